"""The full-duplex stream and its supervision; PortAudio is scripted (tests/support/scripted_sounddevice.py)."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from tests.support.scripted_sounddevice import Flags, ScriptedDevice, ScriptedSoundDevice
from transports import desktop_audio
from transports.desktop_audio import DesktopAudio
from transports.desktop_devices import DeviceError, StreamFormat, pick_devices
from transports.desktop_stream import MAX_CAPTURED_BLOCKS, DuplexStream, StreamCounts, open_stream
from transports.play_queue import PlayQueue

RATE_HZ = 16_000
BLOCK = RATE_HZ // 100
# A device at the agent's own rate: every sample can be followed through.
EXACT = ScriptedDevice("Exact", n_inputs=1, n_outputs=1, default_rate_hz=RATE_HZ, rates_hz=[RATE_HZ])


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripted device ticks when a test says so: a slow machine must not look like a device that fell silent."""
    monkeypatch.setattr(desktop_audio, "SILENT_AFTER_SECS", 3600.0)
    monkeypatch.setattr(desktop_audio, "STARTING_SECS", 3600.0)
    monkeypatch.setattr(desktop_audio, "STALLED_SECS", 3600.0)
    monkeypatch.setattr(desktop_audio, "FIRST_RETRY_SECS", 0.001)


class Running:
    """Audio on a scripted module, and the frames that it gave."""

    def __init__(self, module: ScriptedSoundDevice, **devices: str) -> None:
        self.module = module
        self.audio = DesktopAudio(module, RATE_HZ, **devices)
        self.frames: list[tuple[bytes, bytes]] = []

    def tick(self, heard_s16: np.ndarray | None = None, flags: Flags | None = None) -> np.ndarray:
        return self.module.open_stream.tick(heard_s16, flags)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.001)


@asynccontextmanager
async def running(module: ScriptedSoundDevice, **devices: str) -> AsyncIterator[Running]:
    run = Running(module, **devices)
    await run.audio.start(lambda heard, played: run.frames.append((heard, played)))
    try:
        yield run
    finally:
        await run.audio.stop()


def exact() -> ScriptedSoundDevice:
    return ScriptedSoundDevice([EXACT])


def voice(n_blocks: int, start: int = 1) -> np.ndarray:
    """Samples of which each is different, as int16."""
    return (1000 + start * BLOCK + np.arange(n_blocks * BLOCK)).astype(np.int16)


async def test_the_reference_is_what_was_written_in_the_same_callback() -> None:
    async with running(exact()) as run:
        await run.audio.player.write(voice(4).astype("<i2").tobytes())
        written, heard = [], []
        for index in range(8):
            heard.append(np.full(BLOCK, 100 + index, np.int16))
            written.append(run.tick(heard[-1])[:, 0])
        await run.until(lambda: len(run.frames) == 4)
    assert np.concatenate(written[:4]).tolist() == voice(4).tolist()
    for index, (microphone, reference) in enumerate(run.frames):
        pair = slice(2 * index, 2 * index + 2)
        assert np.array_equal(np.frombuffer(microphone, "<i2"), np.concatenate(heard[pair]))
        assert np.array_equal(np.frombuffer(reference, "<i2"), np.concatenate(written[pair]))


async def test_silence_is_a_dither_of_one_bit_that_keeps_the_loudspeaker_awake() -> None:
    async with running(exact()) as run:
        silence = np.concatenate([run.tick()[:, 0] for _ in range(50)])
    assert set(np.unique(silence).tolist()) == {-1, 0, 1}


async def test_both_rates_are_converted_and_both_sides_stay_together() -> None:
    device = ScriptedDevice("CD", n_inputs=1, n_outputs=1, default_rate_hz=44_100, rates_hz=[44_100])
    async with running(ScriptedSoundDevice([device])) as run:
        at = np.arange(441 * 30) / 44_100
        tone = (8000 * np.sin(2 * np.pi * 500 * at)).astype(np.int16)
        agent = (8000 * np.sin(2 * np.pi * 500 * np.arange(160 * 30) / RATE_HZ)).astype("<i2").tobytes()
        writing = asyncio.create_task(run.audio.player.write(agent))
        written = []
        for index in range(30):
            await asyncio.sleep(0)
            written.append(run.tick(tone[441 * index : 441 * (index + 1)])[:, 0])
            await run.until(lambda index=index: len(run.frames) == (index + 1) // 2)
        await writing
    heard, reference = (np.frombuffer(b"".join(side), "<i2").astype(float) for side in zip(*run.frames, strict=True))
    assert len(heard) == len(reference) == 160 * 30
    # Ten milliseconds in, each side is the tone at its level, and nothing else is in it.
    for side in (heard, reference):
        spectrum = np.abs(np.fft.rfft(side[800:4000] * np.hanning(3200)))
        assert np.argmax(spectrum) == 500 * 3200 // RATE_HZ
        assert np.sqrt(np.mean(side[800:4000] ** 2)) == pytest.approx(8000 / np.sqrt(2), rel=0.01)


async def test_a_device_that_refuses_the_usual_rates_gets_its_own() -> None:
    device = ScriptedDevice("Odd", n_inputs=1, n_outputs=2, default_rate_hz=32_000, rates_hz=[32_000], out_channels=[2])
    module = ScriptedSoundDevice([device])
    async with running(module) as run:
        await run.audio.player.write(voice(4).astype("<i2").tobytes())
        out = run.tick()
        assert run.audio.stream_format == StreamFormat(32_000, 1, 2)
    assert out.shape == (320, 2)
    # Mono for both ears.
    assert np.array_equal(out[:, 0], out[:, 1])
    assert module.attempts == [(48_000, (1, 1)), (48_000, (1, 2)), (32_000, (1, 1)), (32_000, (1, 2))]


async def test_two_microphones_are_heard_as_one() -> None:
    device = ScriptedDevice("Array", n_inputs=2, n_outputs=1, default_rate_hz=RATE_HZ, rates_hz=[RATE_HZ])
    module = ScriptedSoundDevice([device])
    heard = []
    async with running(module) as run:
        stream = DuplexStream(
            StreamFormat(RATE_HZ, 2, 1),
            PlayQueue(RATE_HZ, BLOCK, 2),
            StreamCounts(),
            asyncio.get_running_loop(),
            lambda stream: heard.extend(stream.fetch()),
            lambda stream: None,
        )
        stream.start(module, pick_devices(module, None, None), "low")
        module.streams[-1].tick(np.tile([200, 400], BLOCK))
        await run.until(lambda: len(heard) == 1)
        stream.close()
    assert desktop_audio._both_sides(heard[0], 2)[0].tolist() == [300] * BLOCK


async def test_a_device_that_is_taken_is_told_after_one_try() -> None:
    module = ScriptedSoundDevice([ScriptedDevice("Busy", n_inputs=1, n_outputs=1, busy=True)])
    with pytest.raises(DeviceError) as caught:
        await DesktopAudio(module, RATE_HZ).probe()
    assert str(caught.value) == (
        "sound device cannot be opened: Busy / Busy: Error opening Stream: Device unavailable [PaErrorCode -9985]: "
        "sotto desktop --list-devices shows others"
    )
    assert len(module.attempts) == 1


async def test_a_probe_lets_the_device_go_again() -> None:
    module = exact()
    await DesktopAudio(module, RATE_HZ).probe()
    assert [stream.closed for stream in module.streams if stream.started] == [True]


async def test_over_and_underruns_are_counted_from_the_flags() -> None:
    async with running(exact()) as run:
        # A stream begins with an underflow of the silence before it.
        run.tick(flags=Flags(output_underflow=True))
        run.tick(flags=Flags(input_overflow=True))
        run.tick(flags=Flags(input_overflow=True, output_underflow=True))
        run.tick(flags=Flags(input_underflow=True, output_overflow=True))
        run.tick()
    counts = run.audio.counts
    assert counts == StreamCounts(
        n_blocks=5, n_input_overflows=2, n_input_underflows=1, n_output_underflows=1, n_output_overflows=1
    )
    assert (counts.n_overruns, counts.n_underruns) == (2, 1)


async def test_a_muted_microphone_is_silent_and_the_reference_stays() -> None:
    async with running(exact()) as run:
        run.audio.muted = True
        await run.audio.player.write(voice(2).astype("<i2").tobytes())
        for _ in range(2):
            run.tick(np.full(BLOCK, 5000, np.int16))
        await run.until(lambda: len(run.frames) == 1)
    assert run.frames == [(bytes(640), voice(2).astype("<i2").tobytes())]
    assert run.audio.microphone_dbfs == desktop_audio.SILENCE_DBFS


async def test_the_volume_reaches_the_device_and_the_reference_without_a_jump() -> None:
    async with running(exact()) as run:
        await run.audio.player.write(np.full(4 * BLOCK, 8000, "<i2").tobytes())
        run.tick()
        run.audio.volume = 0.5
        changing, after = run.tick()[:, 0], run.tick()[:, 0]
        run.tick()
        await run.until(lambda: len(run.frames) == 2)
    assert changing[0] == 8000
    assert changing[-1] == 4000
    assert np.abs(np.diff(changing.astype(int))).max() <= 26  # 4000 over 159 steps
    assert set(after.tolist()) == {4000}
    assert np.array_equal(np.frombuffer(run.frames[0][1], "<i2")[BLOCK:], changing)


async def test_a_volume_stays_between_silence_and_full() -> None:
    async with running(exact()) as run:
        run.audio.volume = 1.7
        assert run.audio.volume == 1.0
        run.audio.volume = -0.2
        assert run.audio.volume == 0.0


async def test_a_lost_device_is_opened_again_and_the_same_sound_goes_on() -> None:
    module = exact()
    async with running(module) as run:
        await run.audio.player.write(voice(4).astype("<i2").tobytes())
        first = run.tick()[:, 0]
        module.open_stream.finish()
        await run.until(lambda: len(module.streams) == 2 and run.audio.stream_format is not None)
        second = run.tick()[:, 0]
    assert np.concatenate((first, second)).tolist() == voice(2).tolist()
    assert run.audio.counts.n_losses == 1
    assert [stream.closed for stream in module.streams] == [True, True]
    assert module.n_refreshes == 1


async def test_a_stream_that_ends_as_soon_as_it_has_begun_is_given_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    module = exact()
    async with running(module) as run:
        module.open_stream.finish()
        await run.until(lambda: len(module.streams) == 2 and run.audio.stream_format is not None)
    assert [stream.wanted_latency for stream in module.streams] == ["low", "high"]


async def test_a_device_that_runs_dry_again_and_again_is_given_more_time() -> None:
    module = exact()
    async with running(module) as run:
        for n_streams in (2, 3):
            while len(module.streams) < n_streams:
                if run.audio.stream_format:
                    run.tick(flags=Flags(output_underflow=True))
                await asyncio.sleep(0.001)
            await run.until(lambda: run.audio.stream_format is not None)
    assert [stream.wanted_latency for stream in module.streams] == ["low", "high", 0.2]
    assert run.audio.counts.n_losses == 0


async def test_a_device_that_was_lost_later_keeps_its_short_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop_audio, "SHORT_LIFE_BLOCKS", 3)
    module = exact()
    async with running(module) as run:
        for _ in range(3):
            run.tick()
        module.open_stream.finish()
        await run.until(lambda: len(module.streams) == 2 and run.audio.stream_format is not None)
    assert [stream.wanted_latency for stream in module.streams] == ["low", "low"]


async def test_a_named_device_that_has_gone_gives_way_to_the_default_one() -> None:
    module = ScriptedSoundDevice([EXACT, ScriptedDevice("Headset", n_inputs=1, n_outputs=1)])
    async with running(module, microphone="headset", loudspeaker="headset") as run:
        assert module.open_stream.device == (1, 1)
        module.devices.pop()
        module.open_stream.finish()
        await run.until(lambda: len(module.streams) > 1 and run.audio.stream_format is not None)
        assert module.open_stream.device == (0, 0)


async def test_a_device_that_stays_away_is_tried_again_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop_audio, "MAX_RETRY_SECS", 0.002)
    module = exact()
    async with running(module) as run:
        module.devices[0] = ScriptedDevice("Exact", n_inputs=1, n_outputs=1, busy=True)
        module.open_stream.finish()
        await run.until(lambda: module.n_refreshes >= 3)
        assert run.audio.description == "no sound device"
        assert "Device unavailable" in (run.audio.trouble or "")
        module.devices[0] = EXACT
        await run.until(lambda: run.audio.stream_format is not None)
        assert run.audio.trouble is None
    assert run.audio.counts.n_losses == 1


async def test_a_device_that_falls_silent_without_a_word_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    module = exact()
    monkeypatch.setattr(desktop_audio, "STARTING_SECS", 0.01)
    async with running(module) as run:
        # Not one callback ever comes.
        await run.until(lambda: len(module.streams) >= 2)
    assert run.audio.counts.n_losses >= 1


async def test_without_a_device_the_microphone_is_silent_and_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop_audio, "SILENT_AFTER_SECS", 0.0)
    module = ScriptedSoundDevice([], (-1, -1))
    async with running(module) as run:
        # More than fits into the queue: a writer is not held up for ever.
        await asyncio.wait_for(run.audio.player.write(voice(20).astype("<i2").tobytes()), 30)
        await run.audio.player.drain()
        await run.until(lambda: len(run.frames) >= 5)
        playout = run.audio.player.playout
        assert playout.lost_samples == playout.written_samples
        assert playout.played_samples == 0
    assert set(run.frames) == {(bytes(640), bytes(640))}


async def test_a_loudspeaker_that_wakes_up_slowly_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desktop_audio, "SILENT_AFTER_SECS", 0.0)
    async with running(exact()) as run:
        await run.audio.player.write(voice(4).astype("<i2").tobytes())
        await run.until(lambda: len(run.frames) >= 5)
        first = run.tick()[:, 0]
    assert first.tolist() == voice(1).tolist()


async def test_blocks_that_the_event_loop_does_not_fetch_are_counted_and_the_rest_is_whole() -> None:
    async with running(exact()) as run:
        for index in range(MAX_CAPTURED_BLOCKS + 10):
            run.tick(np.full(BLOCK, index, np.int16))
        await run.until(lambda: len(run.frames) == MAX_CAPTURED_BLOCKS // 2)
    heard = np.frombuffer(b"".join(microphone for microphone, _ in run.frames), "<i2")
    assert heard.tolist() == np.repeat(np.arange(MAX_CAPTURED_BLOCKS), BLOCK).tolist()
    assert run.audio.counts.n_late_blocks == 10


async def test_a_busy_interpreter_costs_no_block() -> None:
    n_blocks = 1000
    done = threading.Event()
    async with running(exact()) as run:

        def burn() -> None:
            while not done.is_set():
                sum(range(1000))

        def tick() -> None:
            for index in range(n_blocks):
                run.tick(np.full(BLOCK, index, np.int16))
                # A real device keeps its own pace; this one is a second ahead of the event loop at most.
                while index - 2 * len(run.frames) > MAX_CAPTURED_BLOCKS // 2:
                    time.sleep(0.001)

        burners = [threading.Thread(target=burn) for _ in range(2)]
        device = threading.Thread(target=tick)
        for thread in (*burners, device):
            thread.start()
        try:
            await run.until(lambda: len(run.frames) == n_blocks // 2)
        finally:
            done.set()
            for thread in (*burners, device):
                thread.join()
    heard = np.frombuffer(b"".join(microphone for microphone, _ in run.frames), "<i2")
    assert heard.tolist() == np.repeat(np.arange(n_blocks), BLOCK).tolist()
    assert run.audio.counts == StreamCounts(n_blocks=n_blocks)


async def test_stopping_lets_the_device_go_while_it_is_being_opened() -> None:
    opening, go_on = threading.Event(), threading.Event()

    class SlowModule(ScriptedSoundDevice):
        def _initialize(self) -> None:
            super()._initialize()
            opening.set()
            go_on.wait(30)

    module = SlowModule([EXACT])
    run = Running(module)
    await run.audio.start(lambda heard, played: None)
    module.open_stream.finish()
    await run.until(opening.is_set)
    await run.audio.stop()
    go_on.set()
    await run.until(lambda: len(module.streams) == 2 and module.streams[1].closed)


async def test_open_stream_reports_the_last_refusal_when_every_format_is_refused() -> None:
    module = ScriptedSoundDevice([ScriptedDevice("Strange", n_inputs=1, n_outputs=1, rates_hz=[12_345])])
    queue = PlayQueue(RATE_HZ, BLOCK, 2)
    loop = asyncio.get_running_loop()

    def make(format_: StreamFormat) -> DuplexStream:
        return DuplexStream(format_, queue, StreamCounts(), loop, lambda stream: None, lambda stream: None)

    with pytest.raises(
        DeviceError, match=r"Strange / Strange: Error opening Stream: Invalid sample rate \[PaErrorCode -9997\]: "
    ):
        open_stream(module, pick_devices(module, None, None), make)
    assert [rate_hz for rate_hz, _ in module.attempts] == [48_000, 44_100, 24_000, 16_000]
