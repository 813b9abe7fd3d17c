"""The Realtime door against the page's own WebSocket, and eight Realtime sessions at once.

    uv run python -m tests.bench.realtime [--turns 16] [--sessions 8] [--secs 30]

Both doors lead to one server on the same scripted engines, and are asked the same question in turn; both clients are
bare WebSockets that send 20 ms every 20 ms and note when the first audible sample has come. Voice-to-voice runs from
the last sample of the question; the target is the ratio of the medians. Then all sessions talk at once, each from
another place of the same sentences on: a frame is late against the fastest one of its session, once voice activity,
speech-to-text and the turn strategies have had it. These clients have a process of their own, on the same cores.

Hugging Face's speech-to-speech (1.1.0) is not compared. It takes OpenAI-compatible engines, and the scripted ones would
do; but its voice activity detector is fetched by `torch.hub` from GitHub at each start, and torch (858 MB, and CUDA's
libraries besides), torchaudio and transformers are imported whatever engines it is given.
"""

import argparse
import asyncio
import base64
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import numpy as np
import soxr
from loguru import logger
from pipecat.frames.frames import InputAudioRawFrame
from websockets.asyncio.client import ClientConnection, connect

from agent.server.calls.sessions import LiveSessions
from agent.settings.load import load_settings
from tests.bench.sessions.callers import spoken
from tests.bench.sessions.lateness import Probe, worst_ms
from tests.bench.table import median, show
from tests.support.house import SPEECH, hosting
from tests.support.llm_session import options
from tests.support.realtime_caller import live_sessions, serving_realtime
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from transports.recording import Pcm16, load_recording

QUESTION = "capital_of_germany.wav"
FRAME_SECS = 0.02
# 160 ms: eight frames, five windows of 32 ms.
FRAMES_TO_WINDOWS = 8
AUDIBLE_S16 = 1000
QUIET_SECS = 1.0
WAIT_SECS = 30.0
SETTLE_SECS = 10.0
LONGEST_SECS = 600.0
SPEECH_RATE_HZ = 16_000
# What engines on an idle machine may take.
STT_SECS, LLM_SECS, TTS_SECS = 0.15, 0.25, 0.12


class Talker:
    """One client.

    Args:
        line: Joined; the server has greeted.
        rate_hz: Of what it sends.
        message: Sound as the server takes it.
        sound: The agent's sound in what it sends; empty where there is none.
    """

    def __init__(
        self,
        line: ClientConnection,
        rate_hz: int,
        message: Callable[[bytes], str | bytes],
        sound: Callable[[str | bytes], bytes],
    ) -> None:
        self._line, self._rate_hz, self._message, self._sound = line, rate_hz, message, sound
        self._to_say = bytearray()
        self._n_frames = 0
        self._is_said, self._is_heard = asyncio.Event(), asyncio.Event()
        self._said_secs = self._heard_secs = self._last_secs = 0.0
        self.tasks = [asyncio.create_task(self._speak()), asyncio.create_task(self._listen())]

    def say(self, audio_s16: Pcm16) -> None:
        """Say it after what is being said; 16 kHz."""
        self._to_say += soxr.resample(audio_s16, SPEECH_RATE_HZ, self._rate_hz).astype("<i2").tobytes()

    async def ask(self, audio_s16: Pcm16, phase: int) -> float:
        """Ask, and hear the answer to its end; milliseconds from the question's last sample to the first one heard.

        Args:
            audio_s16: 16 kHz.
            phase: How many frames after one that begins with a window of the detector it begins: where a window is
                when a question ends costs up to 32 ms.
        """
        self._is_said.clear()
        self._is_heard.clear()
        while (self._n_frames - phase) % FRAMES_TO_WINDOWS:
            await asyncio.sleep(FRAME_SECS / 4)
        self.say(audio_s16)
        async with asyncio.timeout(WAIT_SECS):
            await self._is_said.wait()
            await self._is_heard.wait()
            while time.monotonic() - self._last_secs < QUIET_SECS:
                await asyncio.sleep(0.1)
        return (self._heard_secs - self._said_secs) * 1000

    async def _speak(self) -> None:
        size = round(self._rate_hz * FRAME_SECS) * 2
        due_secs = time.monotonic()
        while True:
            was_saying = bool(self._to_say)
            frame = bytes(self._to_say[:size]).ljust(size, b"\0")
            del self._to_say[:size]
            await self._line.send(self._message(frame))
            self._n_frames += 1
            if was_saying and not self._to_say:
                self._said_secs = time.monotonic()
                self._is_said.set()
            due_secs += FRAME_SECS
            await asyncio.sleep(max(0.0, due_secs - time.monotonic()))

    async def _listen(self) -> None:
        async for message in self._line:
            pcm16 = self._sound(message)
            if pcm16 and (np.abs(np.frombuffer(pcm16, "<i2").astype(int)) > AUDIBLE_S16).any():
                self._last_secs = time.monotonic()
                if self._is_said.is_set() and not self._is_heard.is_set():
                    self._heard_secs = self._last_secs
                    self._is_heard.set()


@asynccontextmanager
async def _talking(talker: Talker) -> AsyncIterator[Talker]:
    try:
        yield talker
    finally:
        for task in talker.tasks:
            task.cancel()
        await asyncio.gather(*talker.tasks, return_exceptions=True)


@asynccontextmanager
async def page(url: str) -> AsyncIterator[Talker]:
    """A client of `/api/ws`."""
    async with connect(f"{url}/api/ws", ping_interval=None, compression=None) as line:
        await line.send(json.dumps({"type": "join", "sample_rate_hz": SPEECH_RATE_HZ}))
        assert json.loads(await line.recv())["type"] == "joined"
        talker = Talker(line, SPEECH_RATE_HZ, bytes, lambda message: message if isinstance(message, bytes) else b"")
        async with _talking(talker):
            yield talker


@asynccontextmanager
async def realtime(url: str) -> AsyncIterator[Talker]:
    """A client of `/v1/realtime`, with the page's own detection of turns."""
    async with connect(f"{url}/v1/realtime?model=x", ping_interval=None, compression=None) as line:
        assert json.loads(await line.recv())["type"] == "session.created"
        detection = {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
        await line.send(json.dumps({"type": "session.update", "session": {"type": "realtime", **detection}}))

        def append(pcm16: bytes) -> str:
            return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm16).decode()})

        def sound(message: str | bytes) -> bytes:
            event = json.loads(message)
            return base64.b64decode(event["delta"]) if event["type"] == "response.output_audio.delta" else b""

        async with _talking(Talker(line, 24_000, append, sound)) as talker:
            yield talker


class SampleProbe(Probe):
    """Counts each session's own samples: what comes by a WebSocket has no timestamps."""

    def __init__(self) -> None:
        super().__init__()
        self._spoken_secs: dict[int, float] = {}

    def note(self, session: int, frame: InputAudioRawFrame) -> None:
        spoken_secs = self._spoken_secs.get(session, 0.0)
        frame.pts = round(spoken_secs * 48_000)
        self._spoken_secs[session] = spoken_secs + frame.num_frames / frame.sample_rate
        super().note(session, frame)


async def voice_to_voice(url: str, n_turns: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each turn, by the page's WebSocket and by Realtime; the first turns warm up and do not count.

    With four turns, or a multiple, each quarter of the detector's windows has its turn.
    """
    question = load_recording(SPEECH / QUESTION).audio_s16
    by_page: list[float] = []
    by_realtime: list[float] = []
    async with page(url) as one, realtime(url) as other:
        for turn in range(n_turns + 1):
            by_page.append(await one.ask(question, 2 * turn))
            by_realtime.append(await other.ask(question, 2 * turn))
    return by_page[1:], by_realtime[1:]


async def talk_at_once(url: str, n_sessions: int) -> None:
    """Sessions that talk all the time, in a process of their own: tell when all of them do, and go on until killed."""
    sentences = spoken()
    async with AsyncExitStack() as calls:
        for index in range(n_sessions):
            talker = await calls.enter_async_context(realtime(url))
            tape = np.roll(sentences, -index * len(sentences) // n_sessions)
            for _ in range(1 + round(LONGEST_SECS * SPEECH_RATE_HZ / len(tape))):
                talker.say(tape)
        print("talking", flush=True)
        await asyncio.sleep(LONGEST_SECS)


async def at_once(url: str, n_sessions: int, secs: float, probe: Probe) -> tuple[float | None, int]:
    """The p95 of lateness of the worst session, in milliseconds, and how many pauses were judged meanwhile."""
    command = (sys.executable, "-m", "tests.bench.realtime", "--talk", url, "--sessions", str(n_sessions))
    clients = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert clients.stdout
    try:
        while await clients.stdout.readline() != b"talking\n":
            assert not clients.stdout.at_eof(), "the clients ended"
        # Conversations begin with the first sound; what waited meanwhile is caught up with.
        await asyncio.sleep(SETTLE_SECS)
        start_secs = time.monotonic()
        await asyncio.sleep(secs)
        end_secs = time.monotonic()
    finally:
        with suppress(ProcessLookupError):
            clients.kill()
        await clients.wait()
    return worst_ms(probe.heard(start_secs, end_secs)[-n_sessions:]), probe.n_judged(start_secs, end_secs)


@asynccontextmanager
async def serving_both(n_sessions: int, n_heard: int) -> AsyncIterator[str]:
    """The whole application on scripted engines; `ws://127.0.0.1:PORT`.

    Args:
        n_sessions: Beside the two that are compared.
        n_heard: How many utterances the ears have words for.
    """
    # The page would give the answer to the same question again.
    settings = load_settings({"server.max_sessions": n_sessions + 2, "llm.keep_answers": False}, alone=True)
    engine = ScriptedRecognizerEngine(*["what is the capital of germany"] * n_heard, finish_secs=STT_SECS)
    async with (
        ScriptedLLM() as llm,
        hosting(engine, options(llm), ScriptedSynthesizer(first_secs=TTS_SECS)) as host,
    ):
        llm.otherwise = Reply("The capital is Berlin.", first_delay_secs=LLM_SECS)
        live: LiveSessions = live_sessions(host, settings)
        async with serving_realtime(live, settings) as api:
            yield api.removesuffix("/v1").replace("http", "ws")
            await live.close()


async def measure(n_turns: int, n_sessions: int, secs: float) -> list[tuple[str, str, str]]:
    """Rows of the table."""
    probe = SampleProbe()
    probe.watch()
    n_heard = n_turns * 4 + n_sessions * round(secs + SETTLE_SECS) + 10
    async with serving_both(n_sessions, n_heard) as url:
        by_page, by_realtime = await voice_to_voice(url, n_turns)
        late_ms, n_judged = await at_once(url, n_sessions, secs, probe) if n_sessions else (None, 0)
    rows = [
        (f"/api/ws, voice-to-voice, median of {n_turns}", f"{median(by_page):.0f} ms", ""),
        (f"/v1/realtime, voice-to-voice, median of {n_turns}", f"{median(by_realtime):.0f} ms", ""),
        ("ratio of the medians", f"{median(by_realtime) / median(by_page):.3f}", "≤ 1.05"),
    ]
    if n_sessions:
        late = "heard nothing" if late_ms is None else f"{late_ms:.1f} ms"
        rows.append((f"{n_sessions} sessions for {secs:.0f} s, {n_judged} pauses: lateness p95", late, "≤ 50 ms"))
    return rows


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=16)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--secs", type=float, default=30.0)
    parser.add_argument("--talk", default="", help=argparse.SUPPRESS)
    given: Any = parser.parse_args()
    logger.remove()
    if given.talk:
        asyncio.run(talk_at_once(given.talk, given.sessions))
        return
    show("Realtime", asyncio.run(measure(given.turns, given.sessions, given.secs)))


if __name__ == "__main__":
    main()
