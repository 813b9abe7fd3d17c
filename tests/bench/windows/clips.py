"""The clips of the bench: people, Kokoro's voices and Piper's, dry, in rooms and in noise.

In:  a directory with real weights of the voices, and recordings of people where they lie beside the repository.
Out: 16 kHz int16 with the words that are said; kept in a file, since synthesis takes minutes.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16
from processors.stt.samples import as_f32, speech_level_dbfs
from processors.text.bare_words import bare
from tests.bench.windows.sentences import SENTENCES
from tests.conftest import REPOSITORY
from transports.recording import load_recording
from transports.room import Room, RoomSpec

PEOPLE = REPOSITORY.parent / "shared" / "audio"
KOKORO_VOICES = ("af_heart", "am_michael", "bf_emma", "am_fenrir", "af_bella", "bm_george", "af_nicole", "am_puck")
PIPER_PACES = (0.85, 1.0, 1.15)
# Of whole sentences: seconds at which a recording of people is cut, in a pause, and the words of each piece.
CUTS: dict[str, tuple[tuple[float, str], ...]] = {
    "harvard": (
        (0.0, "the stale smell of old beer lingers"),
        (3.95, "it takes heat to bring out the odor"),
        (6.75, "a cold dip restores health and zest"),
        (9.75, "a salt pickle tastes fine with ham"),
        (12.3, "tacos al pastor are my favorite"),
        (14.8, "a zestful food is the hot cross bun"),
    ),
    "jfk": (
        (0.0, "and so my fellow americans"),
        (3.0, "ask not what your country can do for you"),
        (7.9, "ask what you can do for your country"),
    ),
}
WHOLE = {
    "hello_world": "hello world",
    "weather_question": "what is the weather in paris",
    "reader1_1": "the child almost hurt the small dog",
    "reader1_2": "drop the two when you add the figures",
    "reader1_3": "at that high level the air is pure",
    "reader1_4": "a thin stripe runs down the middle",
    "reader1_5": "sunday is the best part of the week",
    "reader1_6": "the pencils have all been used",
}
NOISE_SNRS_DB = (15.0, 10.0)
SILENCE_BEFORE_SECS, SILENCE_AFTER_SECS = 0.3, 0.3


@dataclass(frozen=True)
class Clip:
    """An utterance as a conversation hands it to the recognizer: a pause before it and one after it.

    Attributes:
        source: people, kokoro or piper.
        condition: dry, noise or room.
        words: What is said, bare.
    """

    source: str
    condition: str
    words: str
    audio_s16: Pcm16


def load_clips(path: Path, weights: Path, people: Path = PEOPLE) -> list[Clip]:
    """The clips kept in a file; made and kept first where it is not there.

    Args:
        path: An .npz file.
        weights: Holds tts/kokoro-int8 and tts/piper-joe.
        people: Recordings of people; without them there are 51 clips less.
    """
    if not path.is_file():
        clips = list(_make(weights, people))
        facts = json.dumps([[clip.source, clip.condition, clip.words] for clip in clips])
        sounds: dict[str, Any] = {f"c{n:04}": clip.audio_s16 for n, clip in enumerate(clips)}
        np.savez_compressed(path, facts=np.array(facts), **sounds)
    with np.load(path) as kept:
        facts = json.loads(str(kept["facts"]))
        return [Clip(source, condition, words, kept[f"c{n:04}"]) for n, (source, condition, words) in enumerate(facts)]


def _make(weights: Path, people: Path) -> Iterator[Clip]:
    dry = [*_people(people), *_piper(weights / "tts" / "piper-joe"), *_kokoro(weights / "tts" / "kokoro-int8")]
    for number, (source, words, audio_s16) in enumerate(dry):
        yield from in_all_conditions(source, words, audio_s16, number)


def in_all_conditions(source: str, words: str, audio_s16: Pcm16, seed: int) -> Iterator[Clip]:
    """Dry, in noise and, every second voice and all people, in a room."""
    before_s16, after_s16 = (
        np.zeros(int(seconds * SAMPLE_RATE_HZ), np.int16) for seconds in (SILENCE_BEFORE_SECS, SILENCE_AFTER_SECS)
    )
    padded_s16 = np.concatenate([before_s16, audio_s16, after_s16])
    yield Clip(source, "dry", words, padded_s16)
    snr_db = NOISE_SNRS_DB[seed // 2 % 2]
    yield Clip(source, "noise", words, _in_noise(padded_s16, snr_db, np.random.default_rng(seed)))
    if source == "people" or seed % 2 == 0:
        yield Clip(source, "room", words, _in_room(padded_s16, seed))


def _people(folder: Path) -> Iterator[tuple[str, str, Pcm16]]:
    if not folder.is_dir():
        return
    for name, words in WHOLE.items():
        yield "people", words, _trimmed(load_recording(folder / f"{name}.wav").audio_s16)
    for name, pieces in CUTS.items():
        audio_s16 = load_recording(folder / f"{name}.wav").audio_s16
        ends = [start for start, _ in pieces[1:]] + [len(audio_s16) / SAMPLE_RATE_HZ]
        for (start_secs, words), end_secs in zip(pieces, ends, strict=True):
            piece_s16 = audio_s16[int(start_secs * SAMPLE_RATE_HZ) : int(end_secs * SAMPLE_RATE_HZ)]
            yield "people", words, _trimmed(piece_s16)


def _kokoro(folder: Path) -> Iterator[tuple[str, str, Pcm16]]:
    from kokoro_onnx import Kokoro

    model = Kokoro(str(next(folder.glob("*.onnx"))), str(next(folder.glob("voices*.bin"))))
    for number, sentence in enumerate(SENTENCES):
        voice = KOKORO_VOICES[number % len(KOKORO_VOICES)]
        audio_f32, rate_hz = model.create(sentence, voice=voice, lang="en-gb" if voice[0] == "b" else "en-us")
        yield "kokoro", bare(sentence), _at_16_khz(audio_f32, rate_hz)


def _piper(folder: Path) -> Iterator[tuple[str, str, Pcm16]]:
    """VITS as Piper exports it; the padding and the order of its scales are those of piper's own `voice.py`."""
    import onnxruntime
    from kokoro_onnx.tokenizer import Tokenizer

    facts = json.loads(next(folder.glob("*.onnx.json")).read_text(encoding="utf-8"))
    ids_of: dict[str, list[int]] = facts["phoneme_id_map"]
    session = onnxruntime.InferenceSession(str(next(folder.glob("*.onnx"))), providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer()
    for number, sentence in enumerate(SENTENCES):
        ids = [*ids_of["^"], *ids_of["_"]]
        for phoneme in tokenizer.phonemize(sentence, "en-us"):
            ids += [*ids_of.get(phoneme, []), *ids_of["_"]]
        ids += ids_of["$"]
        scales_f32 = np.array([0.667, PIPER_PACES[number % len(PIPER_PACES)], 0.8], np.float32)
        audio: Any = session.run(
            None, {"input": np.array([ids]), "input_lengths": np.array([len(ids)]), "scales": scales_f32}
        )[0]
        yield "piper", bare(sentence), _at_16_khz(audio.squeeze(), facts["audio"]["sample_rate"])


def _at_16_khz(audio_f32: np.ndarray[Any, Any], rate_hz: int) -> Pcm16:
    resampled = soxr.resample(audio_f32, rate_hz, SAMPLE_RATE_HZ)
    return _trimmed((np.clip(resampled / np.abs(resampled).max() * 0.5, -1, 1) * 32767).astype(np.int16))


def _trimmed(audio_s16: Pcm16) -> Pcm16:
    """Without what is 40 dB below the peak at either end, but 50 ms of it."""
    loud = np.flatnonzero(np.abs(audio_s16.astype(np.int32)) > np.abs(audio_s16.astype(np.int32)).max() * 0.01)
    margin = SAMPLE_RATE_HZ // 20
    return audio_s16[max(0, loud[0] - margin) : loud[-1] + margin]


def _in_noise(audio_s16: Pcm16, snr_db: float, rng: np.random.Generator) -> Pcm16:
    """Noise that falls by 3 dB an octave, as rooms and streets have it, under the loud parts of the speech."""
    spectrum = np.fft.rfft(rng.standard_normal(len(audio_s16)))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    noise = np.fft.irfft(spectrum, len(audio_s16))
    rms = 32768 * 10 ** ((speech_level_dbfs(audio_s16) - snr_db) / 20)
    return np.clip(audio_s16 + noise / noise.std() * rms, -32768, 32767).astype(np.int16)


def _in_room(audio_s16: Pcm16, seed: int) -> Pcm16:
    rng = np.random.default_rng(seed)
    spec = RoomSpec(
        rt60_secs=float(rng.choice([0.2, 0.3, 0.4, 0.6])),
        distance_m=float(rng.choice([0.3, 0.5, 1.0])),
        noise_snr_db=float(rng.choice([20, 25, 30])),
    )
    whole = as_f32(audio_s16[: len(audio_s16) // 160 * 160])
    heard = Room(spec, seed=seed, user_dbfs=speech_level_dbfs(audio_s16)).hear(whole, np.zeros_like(whole))
    return (heard * 32767).astype(np.int16)
