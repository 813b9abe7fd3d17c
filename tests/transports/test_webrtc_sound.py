"""Sound by WebRTC: the agent's voice as packets, and a peer's packets as frames of the microphone."""

import asyncio
import queue
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from aiortc.jitterbuffer import JitterFrame
from av import AudioFrame, CodecContext
from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet

from tests.bench.sessions.callers import encoded
from tests.support.house import SPEECH
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording
from transports.sound_input import LateSound
from transports.webrtc_microphone import DECODER_QUEUE, DecodesAtOnce, Ear, MicrophoneFrame, decode_at_once
from transports.webrtc_voice import PACKET_TICKS, SETTLED_PACKETS, VoiceEncoder, VoiceTrack

OPUS = SimpleNamespace(name="opus", mimeType="audio/opus")


def tone(rate_hz: int, secs: float) -> bytes:
    at = np.arange(round(rate_hz * secs))
    return (8_000 * np.sin(2 * np.pi * 300 * at / rate_hz)).astype("<i2").tobytes()


def heard(packets: list[Packet]) -> np.ndarray[Any, Any]:
    """What a peer hears, 48 kHz mono."""
    decoder = cast(AudioCodecContext, CodecContext.create("libopus", "r"))
    decoder.layout = "mono"
    return np.concatenate(
        [frame.to_ndarray().reshape(-1) for packet in packets for frame in decoder.decode(Packet(bytes(packet)))]
    )


async def spoken(rate_hz: int, secs: float, n_packets: int) -> list[Packet]:
    """So many packets of a track that a transport gives a tone, in chunks of twice 10 ms, after 0.1 s."""
    track = VoiceTrack(rate_hz)
    pcm16, size = tone(rate_hz, secs), rate_hz // 100 * 4

    async def speak() -> None:
        await asyncio.sleep(0.1)
        for start in range(0, len(pcm16), size):
            await track.add_audio_bytes(pcm16[start : start + size])

    speaking = asyncio.create_task(speak())
    packets = [await track.recv() for _ in range(n_packets)]
    await speaking
    return packets


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 24_000])
@in_virtual_time
async def test_the_voice_is_heard_without_a_gap_and_as_long_as_it_was_spoken(rate_hz: int) -> None:
    packets = await spoken(rate_hz, 0.5, 50)
    sound = np.abs(heard(packets).astype(int))
    loud = np.flatnonzero(sound > 1000)
    assert (loud[-1] - loud[0]) / 48_000 == pytest.approx(0.5, abs=0.025)
    # 5 ms are more than one period of 300 Hz.
    middle = sound[loud[0] + 960 : loud[-1] - 960]
    assert min(middle[at : at + 240].max() for at in range(0, len(middle) - 240, 240)) > 7_000


@in_virtual_time
async def test_silence_is_sent_on_time_as_one_packet_again_and_again() -> None:
    packets = await spoken(24_000, 0.1, 10 + SETTLED_PACKETS + 10)
    assert [packet.pts for packet in packets] == [index * PACKET_TICKS for index in range(len(packets))]
    assert len({bytes(packet) for packet in packets[-5:]}) == 1
    assert packets[-1].size < 10
    assert np.abs(heard(packets)[-2 * PACKET_TICKS :]).max() == 0


def test_a_peers_packets_become_frames_of_the_microphone_with_their_timestamps() -> None:
    said_s16 = load_recording(SPEECH / "kitchen_lights.wav").audio_s16
    track: asyncio.Queue[Any] = asyncio.Queue()
    decodes, ear = DecodesAtOnce(queue.Queue(), track), Ear()
    frames: list[MicrophoneFrame] = []
    for index, packet in enumerate(encoded(said_s16)):
        decodes.put((OPUS, JitterFrame(packet, index * 960)))
        frames += ear.hear(track.get_nowait())
    # Whole windows of voice activity, each with the time of its first sample, to the few that the resampler keeps back.
    assert {frame.num_frames for frame in frames} == {512}
    times = [frame.pts for frame in frames]
    assert None not in times
    assert all(0 <= (pts or 0) - index * 1536 <= 120 for index, pts in enumerate(times))
    heard_s16 = np.frombuffer(b"".join(frame.audio for frame in frames), "<i2")
    # The resampler keeps a few samples back.
    assert len(said_s16) - 1000 < len(heard_s16) <= len(said_s16)
    assert np.sqrt(np.square(heard_s16 / 32768).mean()) == pytest.approx(
        np.sqrt(np.square(said_s16 / 32768).mean()), rel=0.1
    )


def test_a_peer_may_change_its_codec_in_the_middle_of_a_call() -> None:
    ear = Ear()
    n_samples: list[int] = []
    for rate_hz, layout in ((48_000, "stereo"), (8_000, "mono"), (48_000, "mono")):
        for _ in range(10):
            decoded = AudioFrame("s16", layout, rate_hz // 50)
            decoded.sample_rate = rate_hz
            for plane in decoded.planes:
                plane.update(bytes(plane.buffer_size))
            n_samples += [frame.num_frames for frame in ear.hear(decoded)]
    # The resampler keeps a few samples back at each change, and less than a window waits for what follows.
    assert 30 * 320 - 3 * 100 - 512 < sum(n_samples) <= 30 * 320


def test_a_packet_that_is_no_sound_costs_itself_alone() -> None:
    track: asyncio.Queue[Any] = asyncio.Queue()
    decodes = DecodesAtOnce(queue.Queue(), track)
    good = encoded(load_recording(SPEECH / "stop.wav").audio_s16)[:2]
    for payload in (good[0], b"\xff\xff\xff\xff", good[1]):
        decodes.put((OPUS, JitterFrame(payload, 0)))
    assert track.qsize() == 2


def test_what_a_busy_machine_does_not_take_is_thrown_away_and_told() -> None:
    track: asyncio.Queue[Any] = asyncio.Queue()
    late = LateSound(latest_secs=0.5)
    decodes = DecodesAtOnce(queue.Queue(), track, late=late)
    for index, packet in enumerate(encoded(load_recording(SPEECH / "kitchen_lights.wav").audio_s16)[:60]):
        decodes.put((OPUS, JitterFrame(packet, index * 960)))
        assert track.qsize() * 0.02 <= 0.52
    assert (late.told() or "").startswith("1 s of sound were not heard")


def test_the_decoder_thread_still_ends_with_its_receiver() -> None:
    thread: queue.Queue[Any] = queue.Queue()
    receiver = SimpleNamespace(track=SimpleNamespace(_queue=asyncio.Queue()), **{DECODER_QUEUE: thread})
    decode_at_once(receiver)
    getattr(receiver, DECODER_QUEUE).put(None)
    assert thread.get_nowait() is None


def test_a_receiver_of_another_make_decodes_as_before() -> None:
    receiver = SimpleNamespace(track=None)
    decode_at_once(receiver)
    assert vars(receiver) == {"track": None}


@in_virtual_time
async def test_an_encoder_that_fails_once_costs_its_packet_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    encode, failures = VoiceEncoder.next_packet, [MemoryError("no memory")]

    def next_packet(encoder: VoiceEncoder) -> bytes:
        if failures and encoder.waiting_secs:
            raise failures.pop()
        return encode(encoder)

    monkeypatch.setattr(VoiceEncoder, "next_packet", next_packet)
    packets = await spoken(24_000, 1.0, 60)
    # aiortc sends nothing more after an error; here all packets come, and 20 ms are silent.
    assert len(packets) == 60
    assert [packet.pts for packet in packets] == [960 * n for n in range(60)]
    assert np.abs(heard(packets)).max() > 0.1
