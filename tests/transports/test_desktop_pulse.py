"""Conversations through a real sound system: PortAudio, ALSA and PulseAudio, on virtual devices."""

import asyncio
import io
import os
import pty
import signal
import sys
import termios
from collections.abc import Iterator

import numpy as np
import pytest
from rich.console import Console

from agent.commands.desktop import DesktopOptions, desktop
from agent.settings.load import Settings
from tests.conftest import REPOSITORY
from tests.support.desktop_talk import PATIENCE_SECS, TONE_PEAK, ask, find, loud_secs, options, talking
from tests.support.house import SPEECH, hosting
from tests.support.pulse import PulseServer
from tests.support.scripted_engines import RATE_HZ, WORD_SECS, ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from transports.desktop_audio import DesktopAudio
from transports.desktop_devices import DeviceError, load_sounddevice, refresh_devices

pytestmark = pytest.mark.device


@pytest.fixture
def bare_pulse(monkeypatch: pytest.MonkeyPatch) -> Iterator[PulseServer]:
    """A sound system without devices, which this process finds."""
    with PulseServer() as server:
        find(server, monkeypatch)
        yield server


@pytest.fixture
def pulse(bare_pulse: PulseServer) -> PulseServer:
    """A sound system with a microphone and a loudspeaker."""
    bare_pulse.plug_in()
    return bare_pulse


async def test_a_question_enters_the_microphone_and_its_answer_leaves_the_loudspeaker(pulse: PulseServer) -> None:
    stt, tts = ScriptedRecognizerEngine("what is the capital of germany"), ScriptedSynthesizer()
    async with ScriptedLLM(Reply("The capital", " is Berlin.")) as server, hosting(stt, options(server), tts) as host:
        async with talking(host) as talk:
            await ask(talk, pulse, "capital_of_germany.wav")
            await pulse.more(0.3)
            played = talk.transport.audio.player.playout
        heard_s16 = pulse.heard_s16
    assert talk.texts("turn_ended") == ["what is the capital of germany"]
    assert talk.texts("bot_word") == ["The", "capital", "is", "Berlin."]
    # Four words of a quarter of a second; a sine is below a sixteenth of its peak for 4 % of the time.
    assert loud_secs(heard_s16) == pytest.approx(4 * WORD_SECS * 0.96, rel=0.05)
    assert played.played_samples / played.rate_hz >= 4 * WORD_SECS
    assert np.abs(heard_s16).max() == pytest.approx(TONE_PEAK, rel=0.05)
    assert "The capital is Berlin." in talk.output.getvalue()


async def test_a_conversation_outlives_its_devices(pulse: PulseServer) -> None:
    stt, tts = ScriptedRecognizerEngine("first", "second"), ScriptedSynthesizer()
    async with (
        ScriptedLLM(Reply("One."), Reply("Two.")) as server,
        hosting(stt, options(server), tts) as host,
        talking(host) as talk,
    ):
        audio = talk.transport.audio
        await ask(talk, pulse, "days_in_a_week.wav")
        await asyncio.to_thread(pulse.pull_out)
        await talk.until(lambda: audio.trouble is not None)
        await asyncio.to_thread(pulse.plug_in)
        await talk.heard()
        await ask(talk, pulse, "what_time_is_it.wav")
    assert talk.texts("turn_ended") == ["first", "second"]
    assert talk.texts("bot_word") == ["One.", "Two."]
    assert audio.counts.n_losses >= 1
    assert talk.count("error") == 0
    assert "lost devices" in talk.output.getvalue().splitlines()[-1]


async def test_the_sound_server_itself_may_be_restarted(pulse: PulseServer) -> None:
    frames: list[tuple[bytes, bytes]] = []
    audio = DesktopAudio(load_sounddevice(), RATE_HZ)
    await audio.start(lambda heard, played: frames.append((heard, played)))
    try:
        async with asyncio.timeout(PATIENCE_SECS):
            await asyncio.to_thread(pulse.stop)
            while audio.trouble is None:
                await asyncio.sleep(0.01)
            n_silent = len(frames)
            while len(frames) < n_silent + 10:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(pulse.start)
            await asyncio.to_thread(pulse.plug_in)
            n_blocks = audio.counts.n_blocks
            while audio.counts.n_blocks < n_blocks + 10:
                await asyncio.sleep(0.01)
    finally:
        await audio.stop()
    assert all(not any(heard) for heard, _ in frames[n_silent : n_silent + 10])
    assert audio.counts.n_losses >= 1


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
async def test_a_tone_leaves_the_loudspeaker_whole_at_any_rate(
    pulse: PulseServer, rate_hz: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transports.desktop_devices.PREFERRED_RATE_HZ", rate_hz)
    audio = DesktopAudio(load_sounddevice(), RATE_HZ)
    tone_s16 = (TONE_PEAK * np.sin(2 * np.pi * 300 * np.arange(RATE_HZ) / RATE_HZ)).astype("<i2")
    references: list[bytes] = []
    await audio.start(lambda heard, played: references.append(played))
    try:
        async with asyncio.timeout(PATIENCE_SECS):
            # A stream on a busy machine may end as soon as it has begun.
            while audio.counts.n_blocks < 50 or not audio.stream_format:
                await asyncio.sleep(0.01)
            assert audio.stream_format.rate_hz == rate_hz
            for start in range(0, RATE_HZ, RATE_HZ // 50):
                await audio.player.write(tone_s16[start : start + RATE_HZ // 50].tobytes())
            await audio.player.drain()
            await pulse.more(0.3)
    finally:
        await audio.stop()
    # A sine is below a sixteenth of its peak for 4 % of the time.
    reference_s16 = np.frombuffer(b"".join(references), "<i2").astype(int)
    assert float((np.abs(reference_s16) > TONE_PEAK // 16).sum()) / 16_000 == pytest.approx(0.96, abs=0.01)
    # PulseAudio's own resampler adds a little. A busy machine may drop a buffer of 50 ms, and counts each time.
    n_gaps = audio.counts.n_underruns + audio.counts.n_losses
    assert 0.95 - 0.05 * n_gaps < loud_secs(pulse.heard_s16) < 0.99


@pytest.mark.parametrize("name", ["desk_mic", "DESK_M"])
async def test_a_named_device_is_opened(pulse: PulseServer, name: str) -> None:
    audio = DesktopAudio(load_sounddevice(), RATE_HZ, name, "desk_speaker")
    await audio.probe()
    assert audio.devices is not None
    assert (audio.devices.microphone.name, audio.devices.loudspeaker.name) == ("desk_mic", "desk_speaker")


async def test_a_machine_without_devices_is_told_so_before_models_are_loaded(bare_pulse: PulseServer) -> None:
    console = Console(file=io.StringIO())
    with pytest.raises(DeviceError, match=r"^sound device cannot be opened: default / default: "):
        await desktop(DesktopOptions(), Settings(), console)


async def test_a_machine_without_a_sound_server_is_told_so(bare_pulse: PulseServer) -> None:
    bare_pulse.stop()
    refresh_devices(load_sounddevice())
    with pytest.raises(DeviceError, match=r"^no microphone found: connect one"):
        await desktop(DesktopOptions(), Settings(), Console(file=io.StringIO()))


PROGRAM = """
import asyncio, sys
from rich.console import Console
from agent.commands.desktop import DesktopOptions, desktop
from agent.settings.load import load_settings
engines = {"stt.engine": "whisper", "tts.engine": "espeak", "llm.engine": "embedded"}
sys.exit(asyncio.run(desktop(DesktopOptions(), load_settings(engines), Console())))
"""


@pytest.mark.group("ears")
async def test_the_bundled_engines_answer_a_question_and_a_signal_ends_them(pulse: PulseServer) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PROGRAM),
        cwd=REPOSITORY,
        env={**os.environ, **pulse.environment, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    lines: list[str] = []

    async def read_until(word: str) -> None:
        async with asyncio.timeout(2 * PATIENCE_SECS):
            while word not in "".join(lines[-1:]):
                assert process.stdout is not None
                line = (await process.stdout.readline()).decode()
                assert line, f"ended early: {lines}"
                lines.append(line)

    try:
        await read_until("whisper")
        await asyncio.to_thread(pulse.say, SPEECH / "capital_of_germany.wav")
        # The line of the answer is complete when it has been said.
        await read_until("  agent  ")
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = await asyncio.wait_for(process.communicate(), PATIENCE_SECS)
    assert process.returncode == 0
    assert any("  user   " in line for line in lines)
    assert "1 turns, 1 answered" in rest.decode()
    assert loud_secs(pulse.heard_s16) > 0.3


async def test_q_leaves_and_the_terminal_is_as_it_was(pulse: PulseServer) -> None:
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", PROGRAM),
        cwd=REPOSITORY,
        env={**os.environ, **pulse.environment, "TERM": "xterm", "COLUMNS": "100"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    shown = bytearray()

    async def read_until(words: bytes) -> None:
        async with asyncio.timeout(2 * PATIENCE_SECS):
            while words not in shown:
                shown.extend(await asyncio.to_thread(os.read, master, 65536))

    try:
        await read_until(b"listening")
        os.write(master, b"m")
        await read_until(b"muted")
        os.write(master, b"q")
        await read_until(b"lost devices\r\n")
        assert await asyncio.wait_for(process.wait(), PATIENCE_SECS) == 0
        assert termios.tcgetattr(slave) == before
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(slave)
        os.close(master)
    # Live hides the cursor and shows it again.
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert b"Expression" not in shown
    assert b"Traceback" not in shown
