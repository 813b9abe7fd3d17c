"""Whatever reaches the socket of the engine process, the conversations that it serves go on."""

import asyncio
import json
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.engines.process.batches import MAX_ROWS, ROW_BYTES
from agent.engines.process.host import RemoteModelHost, connect_model_host
from agent.engines.process.peer import MAX_WAITING, Peer
from agent.engines.process.server import EngineServer
from agent.engines.process.sockets import socket_folder
from agent.engines.process.wire import LENGTHS, MAX_BODY_BYTES, MAX_HEAD_BYTES, Unpacker, WireError, packed
from processors.stt.calls import RecognizerCalls
from tests.agent.engines.process.test_engine_process_ends import SETTINGS
from tests.agent.engines.process.test_remote_engines import sound
from tests.support.engines_elsewhere import serving_engines, until
from tests.support.house import hosting
from tests.support.left_over import leaving_nothing
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM

# No message, or none that anybody may send: each ends its connection.
NO_MESSAGES = {
    "noise": random.Random(7).randbytes(4096),
    "a head that is too long": LENGTHS.pack(MAX_HEAD_BYTES + 1, 0),
    "a body that is too long": LENGTHS.pack(2, MAX_BODY_BYTES + 1) + b"{}",
    "no JSON": LENGTHS.pack(4, 0) + b"{{{{",
    "a list": LENGTHS.pack(2, 0) + b"[]",
    "JSON that is nested deep": LENGTHS.pack(100_000, 0) + b"[" * 100_000,
    "nothing that there is": packed({"kind": "shutdown"}),
    "no kind": packed({}),
    "a kind that is none": packed({"kind": ["vad"]}),
    "settings that are none": packed({"kind": "lease", "changes": {"server": {"port": 1}}}),
    "a setting that is none": packed({"kind": "lease", "changes": {"tts": {"engine": "rm -rf"}}}),
    "half a sample": packed({"kind": "recognizer"}) + packed({"op": "accept"}, b"abc"),
    "an unknown wish of a recognizer": packed({"kind": "recognizer"}) + packed({"op": "__class__"}),
    "a recording without an end": packed({"kind": "transcription", "request": {}, "n_bytes": 10**15}),
    "a recording that is longer than it says": packed({"kind": "transcription", "request": {}, "n_bytes": 2})
    + packed({}, bytes(4)),
    "a text that is none": packed({"kind": "synthesis", "text": 7}),
    "a text without an end": packed({"kind": "synthesis", "text": "a" * 200_000}),
    "a voice that is none": packed({"kind": "synthesis", "text": "a", "voice": ["a"]}),
}
# What is answered with an error, and no more than that.
REFUSED = {
    "a lease that nobody has": packed({"kind": "recognizer", "lease": "x"}),
    "a voice that nobody has": packed({"kind": "in_voice", "voice": ["nobody", "en-us", 1.0]}),
    "no windows": packed({"kind": "vad"}) + packed({}, b""),
    "half a window": packed({"kind": "vad"}) + packed({}, bytes(ROW_BYTES - 1)),
    "too many windows": packed({"kind": "vad"}) + packed({}, bytes(ROW_BYTES * (MAX_ROWS + 1))),
    "no numbers": packed({"kind": "vad"}) + packed({}, np.full(ROW_BYTES // 4, np.nan, "<f4").tobytes()),
    "no features": packed({"kind": "turn"}) + packed({}, bytes(7)),
}


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Path, RemoteModelHost, EngineServer]]:
    ears = ScriptedRecognizerEngine("hello")
    async with leaving_nothing(), ScriptedLLM() as llm, hosting(ears, options(llm), ScriptedSynthesizer()) as host:
        with socket_folder() as folder:
            async with serving_engines(folder / "engines", host, SETTINGS) as server:
                remote = await connect_model_host(SETTINGS, folder / "engines")
                yield folder / "engines", remote, server
                await remote.close()


async def answer_to(path: Path, data: bytes) -> list[Any]:
    """The heads of all answers until the other side hangs up, or has told an error."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    found, unpacker = [], Unpacker()
    try:
        writer.write(data)
        async with asyncio.timeout(30):
            while not any("error" in head for head in found) and (read := await reader.read(65536)):
                found += [head for head, _ in unpacker.feed(read)]
    except ConnectionError:
        pass
    finally:
        writer.close()
    return found


async def test_what_is_no_message_ends_its_connection_and_no_other() -> None:
    async with served() as (path, remote, _):
        calls = RecognizerCalls(remote.stt.loaded, remote.stt_threads)
        await calls.accept(sound())
        for what, data in NO_MESSAGES.items():
            assert await answer_to(path, data) == [], what
        assert (await calls.pause()).text == "hello"
        calls.end()


async def test_what_cannot_be_done_is_told_and_the_next_is_done() -> None:
    async with served() as (path, remote, _):
        calls = RecognizerCalls(remote.stt.loaded, remote.stt_threads)
        await calls.accept(sound())
        for what, data in REFUSED.items():
            assert [list(head) for head in await answer_to(path, data)] == [["error"]], what
        assert (await calls.pause()).text == "hello"
        calls.end()


async def test_messages_in_any_portions_are_read_and_half_of_one_waits() -> None:
    data = packed({"kind": "ping"}) + packed({"a": [1, "ü"]}, b"body")
    for size in (1, 3, 7, len(data)):
        unpacker = Unpacker()
        found = [message for at in range(0, len(data), size) for message in unpacker.feed(data[at : at + size])]
        assert found == [({"kind": "ping"}, b""), ({"a": [1, "ü"]}, b"body")]
    assert list(Unpacker().feed(data[:-1])) == [({"kind": "ping"}, b"")]
    with pytest.raises(WireError, match="too long"):
        packed({}, bytes(MAX_BODY_BYTES + 1))
    assert struct.calcsize(">II") == LENGTHS.size
    assert json.loads(packed({"ü": 1})[8:].decode()) == {"ü": 1}


async def test_a_flood_is_read_no_faster_than_it_is_answered() -> None:
    class Counted:
        def __init__(self) -> None:
            self.n_read = self.n_paused = 0

        def pause_reading(self) -> None:
            self.n_paused += 1

    transport: Any = Counted()
    peer = Peer()
    peer._transport = transport
    for _ in range(MAX_WAITING - 1):
        peer.data_received(packed({}))
    assert transport.n_paused == 0
    peer.data_received(packed({}))
    assert transport.n_paused == 1


async def test_who_takes_no_answers_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.engines.process.peer.TAKEN_WITHIN_SECS", 0.2)
    async with served() as (path, _, server):
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1)
        # Before it asks for anything: later it may be gone between two looks.
        await until(lambda: bool(server.n_peers))
        # Half a minute of sound is more than the system's buffers hold.
        writer.write(packed({"kind": "synthesis", "text": "word " * 120}))
        await writer.drain()
        await until(lambda: not server.n_peers)
        writer.close()
        reader.feed_eof()
