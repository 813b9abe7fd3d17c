"""Whatever a Wyoming client sends, its connection alone ends, with one line; time passes on a clock of the test's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import Describe
from wyoming.tts import SynthesizeChunk, SynthesizeStart

from agent.cli import app
from agent.errors import InputError, SettingsError
from agent.server.guard.places import REQUEST_SECS
from agent.server.state import ServerState
from agent.server.wyoming.events import BODY_SECS, MAX_DATA_BYTES, MAX_LINE_BYTES, MAX_PAYLOAD_BYTES, encoded
from agent.server.wyoming.server import bind_wyoming
from agent.server.wyoming.session import IDLE_SECS, SOUND_SECS, TEXT_SECS
from agent.settings.load import load_settings
from processors.llm.options import LLMOptions
from tests.support.hostile import JSON, at_length, mutated, settled, trying, watching
from tests.support.served import ServedEngine, serving_page
from tests.support.speech_callers import NotingEngine
from tests.support.virtual_time import in_virtual_time
from tests.support.wyoming_peer import ServedWyoming, serving_wyoming

NO_MODEL = LLMOptions("http://127.0.0.1:9/v1", "none")
START = {"rate": 16_000, "width": 2, "channels": 1}
MEGABYTE = 2**20


@asynccontextmanager
async def attacked(**limits: Any) -> AsyncIterator[tuple[ServedEngine, ServedWyoming]]:
    """The server; in the end the next client is served, and nothing is left of those before."""
    with watching() as witness:
        witness.watch_loop()
        async with serving_page(NotingEngine(), NO_MODEL, wyoming_port=0, **limits) as served:
            async with serving_wyoming(served.state) as wyoming:
                yield served, wyoming
                async with wyoming.caller() as caller:
                    await caller.send(Describe())
                    await caller.until("info")
                await settled(lambda: not wyoming.places and not wyoming.server._sessions and not tasks())
                # A thread may be in the middle of decoding.
                await settled(lambda: served.jobs.n_active == served.jobs.uploads.n_bytes == 0)
                assert (served.state.speeches.n_active, served.state.questions.n_active) == (0, 0)
            witness.check()


def tasks() -> list[str]:
    """What the server still does for connections."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith(("wyoming", "door-connection"))]


def line(content: Any, rest: bytes = b"") -> bytes:
    return json.dumps(content).encode() + b"\n" + rest


def event(kind: str, data: Any = None, **head: Any) -> bytes:
    return line({"type": kind, "data": data, **head})


def events_of(answer: bytes) -> list[dict[str, Any]]:
    """The events of an answer, whose sound is left out."""
    found: list[dict[str, Any]] = []
    while answer:
        head_line, _, answer = answer.partition(b"\n")
        head = json.loads(head_line)
        n_data, n_payload = head.get("data_length", 0), head.get("payload_length", 0)
        found.append({"type": head["type"], **(json.loads(answer[:n_data]) if n_data else {})})
        answer = answer[n_data + n_payload :]
    return found


BAD: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"hello\n", "the line of an event is no JSON, or nested too deep"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "the line of an event is no JSON, or nested too deep"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\n", "the line of an event is no JSON, or nested too deep"),
    "nothing": (b"\n", "the line of an event is no JSON, or nested too deep"),
    "a list": (b"[1]\n", "the line of an event is not a JSON object"),
    "very deep": (b'{"type": ' + b"[" * 10_000 + b"]" * 10_000 + b"}\n", "no JSON, or nested too deep"),
    "a long line": (b'{"type": "' + b"x" * 10 * MEGABYTE + b'"}\n', f"longer than {MAX_LINE_BYTES} bytes"),
    "a line without an end": (b"x" * 10 * MEGABYTE, f"longer than {MAX_LINE_BYTES} bytes"),
    "no type": (line({"data": {}}), "an event has no type"),
    "a type that is none": (line({"type": 7}), "an event has no type"),
    "data that are none": (event("describe", [1]), "describe: data is not an object"),
    "much data": (
        event("describe", data_length=10 * MEGABYTE),
        f"data_length = 10485760 is more than {MAX_DATA_BYTES}",
    ),
    "a huge number": (b'{"type": "x", "data_length": ' + b"9" * 4000 + b"}\n", "data_length = a huge number is more"),
    "a number without end": (b'{"type": "x", "data_length": ' + b"9" * 6000 + b"}\n", "no JSON, or nested too deep"),
    "a length below 0": (event("describe", payload_length=-1), "payload_length = -1 is no number of bytes"),
    "a length that is none": (event("describe", data_length="1"), "data_length = '1' is no number of bytes"),
    "a length that is true": (event("describe", data_length=True), "data_length = True is no number of bytes"),
    "a large payload": (event("audio-chunk", START, payload_length=2**31), f"is more than {MAX_PAYLOAD_BYTES} bytes"),
    "bad data": (event("describe", data_length=3) + b"{x}", "the data of an event is no JSON, or nested too deep"),
    "data as a list": (event("describe", data_length=2) + b"[]", "the data of an event is not a JSON object"),
    "sound of no rate": (event("audio-start", {"width": 2, "channels": 1}), "audio-start: rate = None is no whole"),
    "sound of a slow rate": (event("audio-start", START | {"rate": 1}), "rate = 1 is no whole number from 1000 to"),
    "sound of half a rate": (event("audio-start", START | {"rate": 1e4}), "rate = 10000.0 is no whole number"),
    "sound of no width": (event("audio-start", START | {"width": 0}), "width = 0 is no whole number from 1 to 4"),
    "sound of a mile's width": (event("audio-start", START | {"channels": 10**9}), "channels = 1000000000 is no"),
    "sound twice": (event("audio-start", START) * 2, "audio-start: the sound before it has not ended"),
    "sound that changes": (
        event("audio-start", START) + event("audio-chunk", START | {"rate": 8000}, payload_length=2) + b"ab",
        "audio-chunk: rate, width and channels are not those of the sound before it",
    ),
    "an end of nothing": (event("audio-stop"), "audio-stop: no sound has begun"),
    "no language": (event("transcribe", {"language": "klingon"}), "language = 'klingon' is no language"),
    "a language of numbers": (event("transcribe", {"language": 7}), "transcribe: language is no text"),
    "names that are none": (event("transcribe", {"transcript_names": [1]}), "transcript_names is no list of texts"),
    "no text": (event("synthesize"), "synthesize: text is missing"),
    "a text of numbers": (event("synthesize", {"text": 7}), "synthesize: text is no text"),
    "a long text": (event("synthesize", data_length=25_012) + b'{"text": "' + b"x" * 25_000 + b'"}', "than 20000"),
    "a voice as a list": (event("synthesize", {"text": "x", "voice": ["x"]}), "synthesize: voice is not an object"),
    "a voice of numbers": (event("synthesize", {"text": "x", "voice": {"name": 7}}), "synthesize: voice: name is no"),
    "SSML": (event("synthesize", {"text": "x", "text_format": "ssml"}), "synthesize: SSML is not spoken; send text"),
    "a piece of nothing": (event("synthesize-chunk", {"text": "x"}), "no synthesize-start came before it"),
    "a stop of nothing": (event("synthesize-stop"), "synthesize-stop: no synthesize-start came before it"),
    "a text in a text": (event("synthesize-start") * 2, "synthesize-start: the text before it has not ended"),
    "pieces without end": (
        event("synthesize-start") + event("synthesize-chunk", {"text": "x" * 9000}) * 3,
        "the text is longer than 20000 characters",
    ),
    "no question": (event("transcript", {"text": " "}), "transcript: text has no words"),
    "a long question": (event("transcript", {"text": "x" * 9000}), "transcript: text is longer than 8000 characters"),
    "a context as a list": (event("transcript", {"text": "x", "context": [1]}), "transcript: context is not an object"),
    "an id of numbers": (event("transcript", {"text": "x", "context": {"conversation_id": 7}}), "is no text"),
    "a long id": (event("transcript", {"text": "x", "context": {"conversation_id": "x" * 999}}), "longer than 200"),
}


async def test_what_cannot_be_read_is_told_in_one_line_and_ends_that_connection() -> None:
    found: dict[str, dict[str, Any]] = {}
    async with attacked() as (_, wyoming):
        for name, (sent, _) in BAD.items():
            found[name] = events_of(await wyoming.tell(sent))[-1]
    assert {name for name, error in found.items() if error["type"] != "error"} == set()
    assert {name: found[name]["text"] for name, (_, problem) in BAD.items() if problem not in found[name]["text"]} == {}
    for error in found.values():
        assert error["code"]
        assert error["text"].isprintable()
        assert len(error["text"]) <= 500


async def test_what_nobody_knows_is_passed_over_and_half_a_character_does_no_harm() -> None:
    async with attacked() as (_, wyoming), wyoming.caller() as caller:
        await caller.send(Event("select-program", {"name": "x"}), Event("run-satellite"), Event("ping", {"text": 7}))
        assert (await caller.until("pong"))[0].data == {"text": None}
        reader, writer = await asyncio.open_connection("127.0.0.1", wyoming.port)
        writer.write(b'{"type": "ping", "data": {"text": "\\ud800"}}\n')
        assert b'"pong"' in await reader.readline()
        writer.close()


async def test_a_client_that_goes_in_the_middle_of_an_event_leaves_nothing() -> None:
    whole = event("audio-start", START) + event("audio-chunk", START, payload_length=100) + b"x" * 100
    async with attacked() as (_, wyoming):
        for n_bytes in range(1, len(whole), 7):
            _, writer = await asyncio.open_connection("127.0.0.1", wyoming.port)
            writer.write(whole[:n_bytes])
            writer.close()
            await writer.wait_closed()


async def test_sound_beyond_every_limit_is_refused_while_it_comes() -> None:
    chunk = AudioChunk(16_000, 2, 1, bytes(320_000))
    for limits, problem in (
        ({"max_audio_secs": 15}, "the sound is longer than 15 s (setting server.max_audio_secs)"),
        ({"max_upload_mb": 0.5}, "the sound is larger than 0.5 MB (setting server.max_upload_mb)"),
    ):
        async with attacked(**limits) as (served, wyoming), wyoming.caller() as caller:
            await caller.send(AudioStart(16_000, 2, 1), chunk)
            await settled(lambda jobs=served.jobs: jobs.uploads.n_bytes >= 320_000)
            await caller.send(chunk)
            (error,) = await caller.rest()
            assert error.data["text"] == problem


async def test_uploads_that_take_up_the_memory_leave_none_for_sound() -> None:
    async with attacked(max_upload_mb=1, upload_memory_mb=1) as (served, wyoming), wyoming.caller() as caller:
        served.jobs.uploads.take(MEGABYTE)
        await caller.send(AudioChunk(16_000, 2, 1, bytes(2)))
        (error,) = await caller.rest()
        served.jobs.uploads.give_back(MEGABYTE)
        assert error.data["code"] == "upload_memory"


@in_virtual_time
async def test_time_is_over_for_who_does_not_go_on() -> None:
    loop = asyncio.get_running_loop()
    async with attacked() as (_, wyoming):
        for sent, after_secs, problem in (
            (b"{", REQUEST_SECS, "no whole event came in time"),
            (event("describe"), IDLE_SECS, None),
            (event("transcribe"), SOUND_SECS, "no whole event came in time"),
            (event("audio-start", START), SOUND_SECS, "no whole event came in time"),
            (event("synthesize-start"), TEXT_SECS, "no whole event came in time"),
            (event("audio-chunk", START, payload_length=2), BODY_SECS, "the rest of an event did not come within 10 s"),
        ):
            begun_secs = loop.time()
            found = events_of(await wyoming.tell(sent))
            assert loop.time() - begun_secs == pytest.approx(after_secs, abs=3.0)
            errors = [one["text"] for one in found if one["type"] == "error"]
            assert len(errors) == (1 if problem else 0)
            assert all(one.startswith(problem or "") for one in errors)


@in_virtual_time
async def test_sound_that_trickles_in_loses_its_place() -> None:
    async with attacked() as (_, wyoming), wyoming.caller() as caller:
        await caller.send(AudioStart(16_000, 2, 1))
        for _ in range(5):
            await caller.send(AudioChunk(16_000, 2, 1, bytes(32)))
            await asyncio.sleep(9)
        (error,) = await caller.rest()
        assert error.data["text"] == "the sound comes at less than half its pace"


async def test_connections_have_as_many_places_as_there_are_and_idle_ones_give_way() -> None:
    async with attacked() as (_, wyoming):
        opened = []
        for _ in range(100):
            reader, writer = await asyncio.open_connection("127.0.0.1", wyoming.port)
            writer.write(event("ping"))
            assert b'"pong"' in await reader.readline()
            opened.append(writer)
            assert len(wyoming.places) <= wyoming.places.most
        for writer in opened:
            writer.close()


async def test_where_all_work_the_next_one_is_told() -> None:
    async with (
        serving_page(NotingEngine(), NO_MODEL, wyoming_port=0) as served,
        serving_wyoming(served.state, most_places=1) as wyoming,
        wyoming.caller() as caller,
    ):
        await caller.send(SynthesizeStart(), SynthesizeChunk("Hello."))
        await settled(lambda: served.state.speeches.n_active == 1)
        (error,) = events_of(await wyoming.tell())
        assert error["text"] == "too many connections; try again later"


async def test_the_end_of_the_server_ends_what_is_under_way() -> None:
    with watching():
        async with (
            serving_page(NotingEngine(), NO_MODEL, wyoming_port=0) as served,
            serving_wyoming(served.state) as wyoming,
            wyoming.caller() as speaking,
            wyoming.caller() as talking,
        ):
            await speaking.send(SynthesizeStart(), SynthesizeChunk("Hello."))
            await talking.send(AudioStart(16_000, 2, 1))
            await settled(lambda: served.state.speeches.n_active == 1 and served.jobs.n_active == 1)
            await wyoming.server.close()
            assert (served.state.speeches.n_active, served.jobs.n_active) == (0, 0)
            assert not wyoming.server._sessions


@at_length(25, 1000)
def test_hostile_events_of_any_shape_are_answered_in_form(n_examples: int) -> None:
    kinds = st.sampled_from(
        [
            *("describe", "ping", "transcribe", "audio-start", "audio-chunk", "audio-stop", "synthesize", "transcript"),
            *("synthesize-start", "synthesize-chunk", "synthesize-stop", "select-program", "x"),
        ]
    )
    data = JSON | st.fixed_dictionaries(
        {}, optional={"text": JSON, "voice": JSON, "rate": JSON, "width": JSON, "channels": JSON, "context": JSON}
    )
    one = st.builds(lambda kind, data, payload: line({"type": kind, "data": data, **payload}), kinds, data, st.just({}))
    good = st.sampled_from(
        [encoded(part.event()) for part in (AudioStart(8000, 1, 1), AudioChunk(8000, 1, 1, b"abc"), AudioStop())]
        + [encoded(part.event()) for part in (SynthesizeStart(), SynthesizeChunk("Hello."), Describe())]
    )
    sent = st.lists(mutated(one | good, most=2), min_size=1, max_size=4).map(b"".join)

    with asyncio.Runner() as runner:
        opened = attacked()
        _, wyoming = runner.run(opened.__aenter__())

        async def send(content: bytes) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", wyoming.port)
            writer.write(content)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
            assert [one for one in events_of(answer) if one["type"] == "error" and "log says more" in one["text"]] == []

        @given(sent)
        @trying(n_examples)
        def check(content: bytes) -> None:
            runner.run(send(content))

        check()
        runner.run(opened.__aexit__(None, None, None))


def test_beyond_this_machine_it_is_refused_until_somebody_is_named() -> None:
    open_ = load_settings({"server.host": "0.0.0.0", "server.wyoming_port": 0})
    with pytest.raises(InputError) as refused:
        bind_wyoming(open_.server)
    assert "--set server.wyoming_clients=" in str(refused.value)
    for clients in ("192.168.1.20", "192.168.1.0/24,fd00::/8", "any"):
        allowed = {"server.wyoming_clients": clients}
        bound = bind_wyoming(load_settings({"server.host": "0.0.0.0", "server.wyoming_port": 0, **allowed}).server)
        assert bound
        bound.close()
    assert bind_wyoming(load_settings({"server.host": "0.0.0.0"}).server) is None


@pytest.mark.parametrize(
    ("clients", "address", "is_let_in"),
    [
        ("", "127.0.0.1", True),
        ("", "::ffff:127.0.0.1", True),
        ("", "192.168.1.20", False),
        ("192.168.1.20", "192.168.1.20", True),
        ("192.168.1.20", "::ffff:192.168.1.20", True),
        ("192.168.1.20", "192.168.1.21", False),
        ("192.168.1.7/24", "192.168.1.21", True),
        ("fd00::/8", "fd00::1%eth0", True),
        ("fd00::/8", "192.168.1.21", False),
        ("any", "203.0.113.9", True),
    ],
)
async def test_who_is_named_is_let_in_and_this_machine_always(clients: str, address: str, is_let_in: bool) -> None:
    state = ServerState(load_settings({"server.wyoming_port": 0, "server.wyoming_clients": clients}))
    async with serving_wyoming(state) as wyoming:
        assert wyoming.server._admits(address) is is_let_in


@pytest.mark.parametrize("clients", ["everyone", "192.168.1", "192.168.1.0/33", "x,any"])
def test_who_may_come_in_is_an_address(clients: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings({"server.wyoming_clients": clients})
    assert "server.wyoming_clients" in str(refused.value)
    assert "is no address" in str(refused.value)


async def test_who_is_not_named_is_told_so() -> None:
    with watching():
        async with (
            serving_page(NotingEngine(), NO_MODEL, wyoming_port=0) as served,
            serving_wyoming(served.state) as wyoming,
        ):
            wyoming.server._admits = lambda address: False
            (error,) = events_of(await wyoming.tell(event("describe")))
            assert error["code"] == "forbidden"
            assert "server.wyoming_clients" in error["text"]


def test_a_busy_port_is_one_line_and_so_is_the_same_port_twice() -> None:
    taken = bind_wyoming(load_settings({"server.wyoming_port": 0}).server)
    assert taken
    with taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as busy:
            bind_wyoming(load_settings({"server.wyoming_port": port}).server)
    assert f"port {port} on 127.0.0.1 cannot be had" in str(busy.value)
    assert "sotto serve --wyoming 0 takes a free one" in str(busy.value)
    result = CliRunner().invoke(app, ["serve", "--port", "7861", "--wyoming", "7861"])
    assert isinstance(result.exception, SettingsError)
    assert "are both 7861" in str(result.exception)
