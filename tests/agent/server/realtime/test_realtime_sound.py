"""Sound at the edge of the Realtime door: G.711, rates, and the pace at which it is heard."""

import base64

import numpy as np
import pytest

from agent.server.realtime.session_config import Pcm, Pcma, Pcmu, SessionConfig, changed, merged
from agent.server.realtime.sound import ALAW, ULAW, SoundDecoder, SoundEncoder


def test_g711_gives_the_levels_of_the_standard() -> None:
    # ITU-T G.711: both ends of each law's scale, and its smallest steps around zero.
    assert ULAW.decode(bytes([0x00, 0x80, 0x7F, 0xFF, 0xFE, 0x7E])).tolist() == [-32124, 32124, 0, 0, 8, -8]
    assert ALAW.decode(bytes([0x2A, 0xAA, 0x55, 0xD5])).tolist() == [-32256, 32256, -8, 8]


@pytest.mark.parametrize(("law", "worst"), [(ULAW, 644), (ALAW, 512)])
def test_every_sample_becomes_the_nearest_level(law: object, worst: int) -> None:
    every_s16 = np.arange(-32_768, 32_768).astype("<i2")
    again = law.decode(law.encode(every_s16)).astype(int)  # pyright: ignore[reportAttributeAccessIssue]
    # Half of the largest step, or the clipped end of the scale.
    assert np.abs(again - every_s16).max() == worst
    assert (np.diff(again) >= 0).all()


@pytest.mark.parametrize("form", [Pcm(), Pcmu(type="audio/pcmu"), Pcma(type="audio/pcma")])
def test_a_tone_keeps_its_length_and_level_through_every_format(form: Pcm | Pcmu | Pcma) -> None:
    at = np.arange(22_050)
    tone_s16 = (12_000 * np.sin(2 * np.pi * 440 * at / 22_050)).astype("<i2")
    encoder, decoder = SoundEncoder(form, 22_050), SoundDecoder(form)
    pieces = [encoder.encode(tone_s16[start : start + 441].tobytes()) for start in range(0, len(tone_s16), 441)]
    pieces.append(encoder.encode(b"", last=True))
    again_s16 = np.frombuffer(b"".join(decoder.decode(piece) for piece in pieces), "<i2").astype(int)
    assert encoder.sent_ms == 1_000
    # What the last samples become waits in the decoder for what follows them.
    assert 0.9 * 16_000 <= len(again_s16) <= 16_000
    middle = again_s16[4_000:12_000]
    assert np.sqrt((middle**2).mean()) == pytest.approx(12_000 / np.sqrt(2), rel=0.03)


def test_of_each_piece_its_length_comes_out_at_once() -> None:
    decoder = SoundDecoder(Pcm())
    for n_samples in (480, 480, 3, 2_400, 24_000, 72_000):
        piece = base64.b64encode(bytes(n_samples * 2)).decode()
        assert len(decoder.decode(piece)) == n_samples * 2 // 3 * 2
    assert decoder.decode("") == b""


def test_bytes_of_half_a_sample_are_kept_for_the_next_piece() -> None:
    decoder = SoundDecoder(Pcm())
    assert decoder.decode(base64.b64encode(b"\0").decode()) == b""
    whole = decoder.decode(base64.b64encode(bytes(48_000 - 1)).decode())
    assert len(whole) > 0


def test_updates_are_merged_deeply_and_nulls_are_values() -> None:
    first = changed(SessionConfig(), {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}}})
    second = changed(
        first, {"audio": {"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 700}}}}
    )
    third = changed(second, {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}})
    fourth = changed(third, {"instructions": None, "tools": None, "audio": {"input": {"turn_detection": None}}})
    detection = second.told()["audio"]["input"]["turn_detection"]
    assert (detection["threshold"], detection["silence_duration_ms"]) == (0.7, 700)
    assert "threshold" not in third.told()["audio"]["input"]["turn_detection"]
    assert (fourth.audio.input.turn_detection, fourth.instructions, fourth.tools) == (None, "", [])
    assert fourth.audio.output == SessionConfig().audio.output
    assert merged({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}) == {"a": {"b": None, "c": 2}}
