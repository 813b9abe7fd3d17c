"""Conversations recorded while they are held: both sides to the sample, cut where the agent was cut."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from pipecat.frames.frames import InputAudioRawFrame, InterruptionFrame, OutputAudioRawFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_transport import BaseTransport

from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time
from transports import session_recorder
from transports.recording import load_recording
from transports.session_recorder import SessionRecorder

OUT_RATE_HZ = 24_000
LONG_REPLY = "One two three four five six seven eight nine ten eleven twelve."


class Edges(BaseTransport):
    """A transport without anything behind it; a test says what passes through."""

    def __init__(self) -> None:
        super().__init__()
        self._input = FrameProcessor()
        self._output = FrameProcessor()

    def input(self) -> FrameProcessor:
        return self._input

    def output(self) -> FrameProcessor:
        return self._output

    async def hear(self, pcm16: bytes) -> None:
        await self._input._call_event_handler("on_before_push_frame", InputAudioRawFrame(pcm16, 16_000, 1))

    async def play(self, pcm16: bytes, **metadata: Any) -> None:
        frame = OutputAudioRawFrame(pcm16, OUT_RATE_HZ, 1)
        frame.metadata.update(metadata)
        await self._output._call_event_handler("on_before_push_frame", frame)

    async def interrupt(self) -> None:
        await self._output._call_event_handler("on_before_push_frame", InterruptionFrame())


async def record(path: Path, texts: list[str], replies: list[str], steps: list[Any]) -> Held:
    stt, tts = ScriptedRecognizerEngine(*texts), ScriptedSynthesizer()
    recorders: list[SessionRecorder] = []

    def prepare(_: object, run: Any) -> None:
        recorders.append(SessionRecorder(path, OUT_RATE_HZ))
        recorders[0].attach(run.transport)

    async with ScriptedLLM(*map(Reply, replies)) as llm, hosting(stt, options(llm), tts) as host:
        held = await hold(host, steps, prepare=prepare)
    await recorders[0].close()
    assert recorders[0].failure is None
    return held


def sides(path: Path) -> tuple[np.ndarray, np.ndarray]:
    stereo_s16, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == OUT_RATE_HZ
    return stereo_s16[:, 0], stereo_s16[:, 1]


@in_virtual_time
async def _a_question(path: Path, said: list[np.ndarray]) -> None:
    held = await record(
        path, ["what is the capital of germany"], ["The capital is Berlin."], [say("capital_of_germany.wav")]
    )
    said.append(held.said_s16)
    left_s16, right_s16 = sides(path)
    said_s16 = soxr.resample(held.said_s16, 16_000, OUT_RATE_HZ)
    n_samples = min(len(left_s16), len(said_s16)) - OUT_RATE_HZ // 10
    assert n_samples > 3 * OUT_RATE_HZ
    # The same resampler, in pieces.
    assert np.abs(left_s16[:n_samples].astype(int) - said_s16[:n_samples]).max() <= 1
    np.testing.assert_array_equal(right_s16[:n_samples], held.heard_s16[:n_samples])
    assert np.abs(right_s16.astype(int)).max() > 10_000


def test_both_sides_are_recorded_to_the_sample(tmp_path: Path) -> None:
    _a_question(tmp_path / "recording.wav", [])


@in_virtual_time
async def _a_cut(path: Path) -> None:
    steps = [say("days_in_a_week.wav"), say("stop.wav", after="bot_started_speaking", delay_secs=0.5)]
    held = await record(path, ["count please", "stop"], [LONG_REPLY, "Fine."], steps)
    _, right_s16 = sides(path)
    n_samples = min(len(right_s16), len(held.heard_s16)) - OUT_RATE_HZ // 10
    # The card finishes the 20 ms that it has begun; the recording ends at the cut.
    wrong = np.flatnonzero(right_s16[:n_samples] != held.heard_s16[:n_samples])
    cut = held.named("interruption")[0]["t"] * OUT_RATE_HZ
    assert len(wrong) <= 0.02 * OUT_RATE_HZ
    assert (np.abs(wrong - cut) <= 0.02 * OUT_RATE_HZ).all()
    assert not right_s16[wrong].any()


def test_the_agents_side_ends_where_the_user_cut_it_off(tmp_path: Path) -> None:
    _a_cut(tmp_path / "recording.wav")


def test_a_recorded_conversation_can_be_replayed_with_the_users_side_alone(tmp_path: Path) -> None:
    path = tmp_path / "recording.wav"
    said: list[np.ndarray] = []
    _a_question(path, said)
    replayed_s16 = load_recording(path).audio_s16
    n_samples = min(len(replayed_s16), len(said[0]))
    said_s16 = said[0][:n_samples].astype(float)
    # Up to 24 kHz and down again: what is left of the difference is far below the speech, and nothing is the agent's.
    difference = replayed_s16[:n_samples] - said_s16
    assert np.sqrt((difference**2).mean()) < 0.02 * np.sqrt((said_s16**2).mean())


async def test_an_hour_needs_no_more_memory_than_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "recording.wav"
    clock = SimpleNamespace(now_secs=1000.0)
    monkeypatch.setattr(session_recorder, "time", SimpleNamespace(monotonic=lambda: clock.now_secs))
    edges = Edges()
    recorder = SessionRecorder(path, OUT_RATE_HZ)
    recorder.attach(edges)
    most_kept = 0
    for second in range(3600):
        await edges.play(b"\2\0" * 2_400, playout_secs=second + 0.5)
        clock.now_secs += 1.0
        await edges.hear(b"\1\0" * 16_000)
        # A clock that is this fast would leave a real disk behind.
        while len(recorder._unwritten) > 2:
            await asyncio.sleep(0.001)
            recorder._look_for_failure()
        kept = [len(recorder._left), recorder._output.n_waiting * 2, len(recorder._input._waiting) * 32_000]
        most_kept = max(most_kept, sum(kept))
        if second == 1800:
            # It grows while it is being written, and is whole at every moment.
            assert soundfile.info(path).frames >= 1780 * OUT_RATE_HZ
    await recorder.close()
    assert recorder.failure is None
    with soundfile.SoundFile(path) as wav:
        assert wav.frames == pytest.approx(3600 * OUT_RATE_HZ, abs=2)
        # What the agent said before the first sample of the user's side is not on its timeline.
        for second in (1, 1799, 3599):
            wav.seek(second * OUT_RATE_HZ)
            _, right_s16 = wav.read(OUT_RATE_HZ, dtype="int16").T
            assert np.flatnonzero(right_s16).tolist() == list(range(12_000, 14_400))
    # Ten seconds of both sides are 800 KB.
    assert most_kept < 800_000


@in_virtual_time
async def _a_cut_that_nothing_was_played_for(path: Path) -> None:
    edges = Edges()
    recorder = SessionRecorder(path, OUT_RATE_HZ)
    recorder.attach(edges)
    # Before the first sample of the user's side there is no timeline.
    await edges.play(b"\3\0" * 480)
    await edges.interrupt()
    await edges.hear(b"\1\0" * 320)
    await recorder.close()
    left_s16, right_s16 = sides(path)
    assert len(left_s16) == 480
    assert not right_s16.any()
    # After the end nothing is recorded, and nothing fails.
    await edges.hear(b"\1\0" * 320)
    await recorder.close()
    assert soundfile.info(path).frames == 480


def test_what_comes_before_the_beginning_and_after_the_end_is_left_out(tmp_path: Path) -> None:
    _a_cut_that_nothing_was_played_for(tmp_path / "recording.wav")


def test_a_conversation_without_a_sound_leaves_an_empty_recording(tmp_path: Path) -> None:
    @in_virtual_time
    async def nothing() -> None:
        await SessionRecorder(tmp_path / "recording.wav", OUT_RATE_HZ).close()

    nothing()
    assert soundfile.info(tmp_path / "recording.wav").frames == 0


def test_a_full_disk_ends_the_recording_with_one_line(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no device that is always full")

    @in_virtual_time
    async def talk() -> None:
        path = tmp_path / "recording.wav"
        failures: list[str] = []
        edges = Edges()
        recorder = SessionRecorder(path, OUT_RATE_HZ, failures.append)
        recorder.attach(edges)
        for tick in range(100):
            await asyncio.sleep(0.2)
            await edges.hear(b"\1\0" * 3200)
            if tick == 60:
                # From here on every write meets a full disk; what was written is in the other file.
                recorder._file._file.close()
                recorder._file._file = full.open("wb", buffering=0)  # noqa: ASYNC230 - it takes no time
        await recorder.close()
        assert failures == [recorder.failure]
        assert failures == ["recording recording.wav cannot be written: No space left on device"]
        assert soundfile.info(path).frames > 0

    talk()
