"""Wyoming as Home Assistant speaks it: the protocol's own client, the real server, scripted engines behind."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeVoice

from agent.conversation.histories import NOBODY
from processors.errors import EngineError
from processors.llm.options import LLMOptions
from processors.stt.recognizer import RecognizerEngine, TranscriptionRequest
from processors.tts.synthesizer import SpeechChunk, Synthesizer
from tests.support.llm_session import options
from tests.support.scripted_engines import WORD_SECS, ScriptedSynthesizer
from tests.support.scripted_llm import Failure, Reply, ScriptedLLM, ToolCall
from tests.support.served import ServedEngine, serving_engine, serving_page
from tests.support.sound_files import tone_s16
from tests.support.speech_callers import NotingEngine, PatientEngine, until
from tests.support.wyoming_peer import Caller, ServedWyoming, joined, serving_wyoming

NO_MODEL = LLMOptions("http://127.0.0.1:9/v1", "none")
RATE_HZ = 16_000
SAID = "Good day. Café?"


@dataclass
class House:
    """A server, its Wyoming door, and its engines."""

    served: ServedEngine
    wyoming: ServedWyoming


@asynccontextmanager
async def house(
    ears: RecognizerEngine | None = None,
    model: LLMOptions = NO_MODEL,
    voice: Synthesizer | None = None,
    **limits: Any,
) -> AsyncIterator[House]:
    async with (
        serving_page(ears or NotingEngine(), model, voice, wyoming_port=0, **limits) as served,
        serving_wyoming(served.state) as wyoming,
    ):
        yield House(served, wyoming)


def sound(secs: float = 1.5, rate_hz: int = RATE_HZ, width: int = 2, channels: int = 1) -> list[Any]:
    """A tone as a microphone sends it, in pieces of a tenth of a second."""
    tone = tone_s16(secs, rate_hz=rate_hz).astype(np.int64)
    lanes = np.repeat(tone[:, None], channels, axis=1)
    if width == 1:
        pcm = ((lanes >> 8) + 128).astype(np.uint8).tobytes()
    else:
        pcm = (lanes << (8 * width - 16)).astype("<i8").reshape(-1, 1).view(np.uint8)[:, :width].tobytes()
    step = rate_hz // 10 * width * channels
    chunks = [AudioChunk(rate_hz, width, channels, pcm[at : at + step]) for at in range(0, len(pcm), step)]
    return [AudioStart(rate_hz, width, channels), *chunks, AudioStop()]


async def transcribed(caller: Caller, *events: Any) -> str:
    await caller.send(*events)
    found = await caller.until("transcript-stop")
    (whole,) = [event for event in found if event.type == "transcript"]
    assert [event.type for event in found[:1] + found[-2:]] == ["transcript-start", "transcript", "transcript-stop"]
    assert joined(found, "transcript-chunk") == whole.data["text"]
    return whole.data["text"]


async def test_describe_tells_all_that_home_assistant_looks_for() -> None:
    async with house() as here, here.wyoming.caller() as caller:
        await caller.send(Describe())
        event = await caller.next()
    assert event
    info = Info.from_event(event)
    programs = [*info.asr, *info.tts, *info.handle]
    assert [program.name for program in programs] == ["sotto"] * 3
    parts = [*info.asr[0].models, *info.tts[0].voices, *info.handle[0].models]
    for part in [*programs, *parts]:
        assert part.name
        assert part.installed
        assert part.attribution.name
    assert info.asr[0].models[0].languages == ["en"]
    assert {one.name: one.languages for one in info.tts[0].voices} == {
        one.name: ["en-US" if one.language == "en-us" else one.language] for one in ScriptedSynthesizer().voices()
    }
    assert (info.asr[0].supports_transcript_streaming, info.tts[0].supports_synthesize_streaming) == (True, True)
    # A satellite would hide all else.
    assert info.satellite is None
    assert (info.intent, info.mic, info.snd) == ([], [], [])


async def test_ears_alone_are_told_as_such_and_refuse_all_else() -> None:
    async with serving_engine(NotingEngine(), wyoming_port=0) as served, serving_wyoming(served.state) as wyoming:
        async with wyoming.caller() as caller:
            await caller.send(Describe())
            (event,) = await caller.until("info")
            info = Info.from_event(event)
            assert (len(info.asr), info.tts, info.handle) == (1, [], [])
            assert await transcribed(caller, Transcribe(), *sound()) == SAID
        for asked, missing in (
            (Synthesize("Hello."), "found no voice"),
            (SynthesizeStart(), "found no voice"),
            (Transcript("Hello?"), "no language model"),
        ):
            async with wyoming.caller() as caller:
                await caller.send(asked)
                (error,) = await caller.rest()
                assert missing in error.data["text"]


async def test_two_people_are_heard_at_the_same_time_and_read_the_first_words_before_the_last_are_found() -> None:
    ears = NotingEngine()
    ears.may_go_on.clear()
    async with house(ears) as here, here.wyoming.caller() as one, here.wyoming.caller() as other:
        for caller in (one, other):
            await caller.send(Transcribe(), *sound())
        for caller in (one, other):
            assert joined(await caller.until("transcript-chunk"), "transcript-chunk") == "Good day."
        ears.may_go_on.set()
        for caller in (one, other):
            assert joined(await caller.until("transcript"), "transcript") == SAID


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 48_000])
@pytest.mark.parametrize(("width", "channels"), [(1, 1), (2, 1), (2, 2), (3, 1), (4, 2)])
async def test_sound_of_any_format_is_heard_as_long_as_it_is(rate_hz: int, width: int, channels: int) -> None:
    ears = NotingEngine()
    async with house(ears) as here, here.wyoming.caller() as caller:
        assert await transcribed(caller, *sound(1.0, rate_hz, width, channels)) == SAID
    ((n_samples, _),) = ears.asked
    assert n_samples == pytest.approx(RATE_HZ, abs=20)


async def test_what_is_asked_of_the_ears_reaches_them_and_the_next_request_begins_anew() -> None:
    ears = NotingEngine()
    async with house(ears) as here, here.wyoming.caller() as caller:
        wanted = Transcribe(name="any", language="de-DE", transcript_names=["Ada"], transcript_terms=["lamp"])
        for asked in ([wanted], []):
            await transcribed(caller, *asked, *sound())
    assert [request for _, request in ears.asked] == [
        TranscriptionRequest(language="de", prompt="Ada, lamp"),
        TranscriptionRequest(),
    ]


async def test_sound_without_a_beginning_or_without_a_sample_is_answered() -> None:
    ears = NotingEngine()
    async with house(ears) as here, here.wyoming.caller() as caller:
        assert await transcribed(caller, *sound()[1:]) == SAID
        assert await transcribed(caller, Transcribe(), AudioStart(RATE_HZ, 2, 1), AudioStop()) == ""
        assert len(ears.asked) == 1


async def test_a_failure_of_the_ears_is_one_line_and_ends_that_connection_alone() -> None:
    async with house(NotingEngine(EngineError("the ears\nhurt"))) as here:
        async with here.wyoming.caller() as other:
            async with here.wyoming.caller() as caller:
                await caller.send(Transcribe(), *sound())
                (error,) = await caller.rest()
                assert error.type == "error"
                assert error.data == {"text": "the ears hurt", "code": "engine_failed"}
            await other.send(Ping("still there"))
            assert (await other.until("pong"))[0].data == {"text": "still there"}
        assert here.served.jobs.n_active == 0
        assert here.served.jobs.uploads.n_bytes == 0


async def test_who_hangs_up_in_the_middle_frees_the_place_and_the_sound() -> None:
    ears = PatientEngine()
    async with house(ears, max_transcriptions=1) as here:
        jobs = here.served.jobs
        for leaves_after in (3, len(sound())):
            async with here.wyoming.caller() as caller:
                await caller.send(*sound()[:leaves_after])
                await until(lambda: jobs.n_active == 1)
                if leaves_after == len(sound()):
                    await until(ears.at_work.is_set)
            ears.go.release()
            await until(lambda: jobs.n_active == 0 and jobs.uploads.n_bytes == 0)
        assert not here.wyoming.server._sessions


async def test_one_too_many_is_told_to_come_back() -> None:
    async with house(max_transcriptions=1, max_speeches=1) as here, here.wyoming.caller() as first:
        await first.send(AudioStart(RATE_HZ, 2, 1))
        await until(lambda: here.served.jobs.n_active == 1)
        async with here.wyoming.caller() as second:
            await second.send(AudioStart(RATE_HZ, 2, 1))
            (error,) = await second.rest()
    assert error.data["code"] == "rate_limit_exceeded"
    assert "setting server.max_transcriptions" in error.data["text"]


def secs_of(events: list[Event]) -> float:
    return len(joined(events, "audio-chunk")) / 2 / 24_000


async def test_a_text_is_spoken_at_one_rate_from_its_start_to_its_stop() -> None:
    voice = ScriptedSynthesizer()
    async with house(voice=voice) as here, here.wyoming.caller() as caller:
        await caller.send(Synthesize("One two three. Four five."))
        events = await caller.until("audio-stop")
    assert [event.type for event in events if event.type != "audio-chunk"] == ["audio-start", "audio-stop"]
    formats = {(one.data["rate"], one.data["width"], one.data["channels"]) for one in events[:-1]}
    assert formats == {(24_000, 2, 1)}
    assert secs_of(events) == pytest.approx(5 * WORD_SECS, abs=0.01)
    # The time that each piece begins at is that of the sound before it.
    starts_ms = [event.data["timestamp"] for event in events[1:]]
    assert starts_ms == sorted(starts_ms)
    assert starts_ms[0] == 0
    assert starts_ms[-1] == round(secs_of(events) * 1000)
    assert " ".join(voice.spoken) == "One two three. Four five."


class SteppingVoice(ScriptedSynthesizer):
    """Says each text when it may; a scripted one at the edge."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Semaphore(0)

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        assert self.may_go_on.acquire(timeout=20)
        yield from super().synthesize(text)


async def test_sound_leaves_before_the_rest_of_it_is_made() -> None:
    voice = SteppingVoice()
    async with house(voice=voice) as here, here.wyoming.caller() as caller:
        await caller.send(Synthesize("One two three. Four five six."))
        voice.may_go_on.release()
        await caller.until("audio-chunk")
        assert " ".join(voice.spoken) == "One two three."
        voice.may_go_on.release()
        await caller.until("audio-stop")
        assert " ".join(voice.spoken) == "One two three. Four five six."


async def test_a_text_in_pieces_is_spoken_while_it_comes_and_its_double_is_passed_over() -> None:
    voice = ScriptedSynthesizer()
    async with house(voice=voice) as here, here.wyoming.caller() as caller:
        await caller.send(SynthesizeStart(), SynthesizeChunk("One two th"), SynthesizeChunk("ree. Four "))
        # The first sentence is out before the second is whole.
        events = await caller.until("audio-chunk")
        await caller.send(SynthesizeChunk("five."), Synthesize("One two three. Four five."), SynthesizeStop())
        events += await caller.until("synthesize-stopped")
        assert [one.type for one in events if one.type != "audio-chunk"] == [
            *("audio-start", "audio-stop", "synthesize-stopped")
        ]
        assert " ".join(voice.spoken) == "One two three. Four five."
        assert secs_of(events) == pytest.approx(5 * WORD_SECS, abs=0.01)
        # And the next one, whole, on the same connection.
        await caller.send(Synthesize("Six."))
        assert secs_of(await caller.until("audio-stop")) == pytest.approx(WORD_SECS, abs=0.01)
        assert here.served.state.speeches.n_active == 0


@pytest.mark.parametrize("text", ["", "**", "..."])
async def test_a_text_without_a_word_is_a_short_silence(text: str) -> None:
    async with house() as here, here.wyoming.caller() as caller:
        await caller.send(Synthesize(text), SynthesizeStart(), SynthesizeChunk(text), SynthesizeStop())
        whole, pieces = await caller.until("audio-stop"), await caller.until("synthesize-stopped")
    for events in (whole, pieces):
        assert set(joined(events, "audio-chunk")) == {0}
        assert [one.type for one in events[:2]] == ["audio-start", "audio-chunk"]


async def test_a_voice_is_known_by_its_name_by_openais_or_by_its_language() -> None:
    async with house(max_speeches=1) as here, here.wyoming.caller() as caller:
        (name, *_) = [voice.name for voice in ScriptedSynthesizer().voices()]
        for voice in (SynthesizeVoice(name=name), SynthesizeVoice(name="alloy"), SynthesizeVoice(language="en-US")):
            await caller.send(Synthesize("Hello.", voice=voice))
            assert secs_of(await caller.until("audio-stop")) == pytest.approx(WORD_SECS, abs=0.01)
        for event in (Synthesize("Hello.", voice=SynthesizeVoice(name="nobody")), None):
            async with here.wyoming.caller() as other:
                if event:
                    await other.send(event)
                else:
                    await other.send(SynthesizeStart(voice=SynthesizeVoice(name="nobody")), SynthesizeChunk("Hello."))
                (error,) = await other.rest()
                assert error.type == "error"
                assert "there is no voice 'nobody'" in error.data["text"]


async def test_a_voice_that_fails_in_the_middle_is_told_while_the_text_still_comes() -> None:
    async with house(voice=ScriptedSynthesizer(failing=["Four five six."])) as here, here.wyoming.caller() as caller:
        await caller.send(SynthesizeStart(), SynthesizeChunk("One two three. Four five six. Seven "))
        events = await caller.rest()
        assert events[0].type == "audio-start"
        assert events[-1].type == "error"
        assert events[-1].data["code"] == "engine_failed"
        await until(lambda: here.served.state.speeches.n_active == 0)


async def test_who_hangs_up_while_he_is_spoken_to_ends_the_speech() -> None:
    voice = SteppingVoice()
    async with house(voice=voice) as here:
        for begin in ([Synthesize("One two three. Four.")], [SynthesizeStart(), SynthesizeChunk("One two three. Fo")]):
            async with here.wyoming.caller() as caller:
                await caller.send(*begin)
                await until(lambda: here.served.state.speeches.n_active == 1)
            voice.may_go_on.release(5)
            await until(lambda: here.served.state.speeches.n_active == 0)


async def answered(caller: Caller, text: str, **context: Any) -> Event:
    await caller.send(Transcript(text, context=context or None))
    events = await caller.until("handled-stop")
    assert [event.type for event in events if event.type != "handled-chunk"] == [
        *("handled-start", "handled", "handled-stop")
    ]
    (whole,) = [event for event in events if event.type == "handled"]
    assert joined(events, "handled-chunk").strip() == whole.data["text"]
    assert whole.data["context"] == events[0].data["context"]
    return whole


async def test_the_agent_answers_and_remembers_by_the_conversations_id() -> None:
    replies = Reply("Hello Ada."), Reply("Ada."), Reply("I do not know.")
    async with ScriptedLLM(*replies) as llm, house(model=options(llm)) as here:
        for question, id_, answer in (
            ("I am Ada.", "01HA", "Hello Ada."),
            ("Who am I?", "01HA", "Ada."),
            ("Who am I?", "01HB", "I do not know."),
        ):
            # Home Assistant opens a connection for each.
            async with here.wyoming.caller() as caller:
                event = await answered(caller, question, conversation_id=id_, device_id="d", satellite_id=None)
                assert event.data == {"text": answer, "context": {"conversation_id": id_}}
        sent = [[one["content"] for one in request.messages[1:]] for request in llm.requests]
        assert sent == [["I am Ada."], ["I am Ada.", "Hello Ada.", "Who am I?"], ["Who am I?"]]
        # It is spoken: nobody asks for Markdown.
        assert not any("Markdown" in request.messages[0]["content"] for request in llm.requests)
        owners = {one.owner for one in here.served.state.histories._histories.values()}
        assert owners == {("this machine", "wyoming")}
        assert NOBODY not in owners


async def test_the_agents_own_tool_is_called_for_an_answer() -> None:
    sums = Reply(tool_calls=[ToolCall("calculate", ('{"expression": "6 * 7"}',))])
    async with ScriptedLLM(sums, Reply("Forty two.")) as llm, house(model=options(llm)) as here:
        async with here.wyoming.caller() as caller:
            answer = await answered(caller, "tell me about six and seven")
        assert (answer.data["text"], llm.requests[1].messages[-1]["content"]) == ("Forty two.", '"42"')


async def test_without_an_id_a_conversation_gets_one_that_it_can_go_on_by() -> None:
    async with ScriptedLLM(Reply("One."), Reply("Two.")) as llm, house(model=options(llm)) as here:
        async with here.wyoming.caller() as caller:
            first = await answered(caller, "Count.")
            again = await answered(caller, "Go on.", **first.data["context"])
        assert first.data["context"] == again.data["context"]
        assert len(llm.requests[1].messages) == 4


async def test_a_dead_language_model_is_not_handled_and_can_be_asked_again() -> None:
    async with (
        ScriptedLLM(Failure(500), Reply("Yes.")) as llm,
        house(model=options(llm)) as here,
        here.wyoming.caller() as caller,
    ):
        await caller.send(Transcript("Are you there?", context={"conversation_id": "1"}))
        (event,) = await caller.until("not-handled")
        assert event.data["text"]
        assert event.data["text"].isprintable()
        assert (await answered(caller, "Are you there?", conversation_id="1")).data["text"] == "Yes."
        assert len(llm.requests[-1].messages) == 2


async def test_while_models_are_loaded_it_says_so() -> None:
    async with house() as here:
        loaded, here.served.state.loaded = here.served.state.loaded, None
        for asked in (Describe(), AudioStart(RATE_HZ, 2, 1), Synthesize("Hello."), Transcript("Hello?")):
            async with here.wyoming.caller() as caller:
                await caller.send(asked)
                (error,) = await caller.rest()
                assert error.data["code"] in ("loading", "no_voice_loaded"), asked
        here.served.state.loaded = loaded
        async with here.wyoming.caller() as caller:
            await caller.send(Describe())
            await caller.until("info")
