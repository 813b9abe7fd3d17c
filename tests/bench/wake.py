"""Wake words: how many are found in rooms at 10 dB SNR, and how many false accepts come of hours of other speech.

    nice -n 10 uv run python -m tests.bench.wake --models-dir ~/models [--hours 2] [--recordings DIR] [--rooms 4]

Found: each word, said by every voice that is installed, in rooms of 0.2 to 0.8 s (RT60), 0.5 to 3 m from the
microphone, with pink noise 10 dB below the voice. False accepts: this repository's own prose, read by espeak-ng's and
Piper's voices, and recordings, in one stream. Both at each word's own threshold and at others; faster than real time.
"""

import argparse
import random
import re
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from agent.engines.tts import tts_candidates
from agent.settings.load import Settings
from processors.errors import EngineError
from processors.tts.synthesizer import Synthesizer
from processors.wake.detector import BLOCK_SAMPLES, COOLDOWN_SECS, SAMPLE_RATE_HZ
from processors.wake.pymicro import PymicroDetector, PymicroEngine
from tests.conftest import REPOSITORY
from transports.recording import load_recording
from transports.room_acoustics import room_response

Audio = np.ndarray[Any, np.dtype[np.float32]]
THRESHOLDS = (None, 0.95, 0.9, 0.8, 0.7, 0.5)
SNR_DB = 10.0
LEVEL_DBFS = -26.0
PROSE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
# Near the words, and none of them.
NEAR = (
    "Hey Charles, is the jar on the shelf? Hey, Travis. A jarring noise. Harvest is over. Hey Jenny, nervous again?",
    "Okay now, booking is closed. Okay, never mind. Oh, Canada. The cable is new. Okay, na und? Can I boo?",
    "Hey, my craft is finished. Hey Michael. Microphones are off. Hey, Minecraft! A hay meadow, my croft.",
    "Alexander lectures on reflexes. A lexicon, a Lexus. Electra. I'll ask her. Alec, sit down. A legacy.",
)
WORDS_A_PIECE = 40


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="Measure wake words.")
    parser.add_argument("--models-dir", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--rooms", type=int, default=4, help="0: false accepts alone")
    parser.add_argument("--voices", type=int, default=12, help="of each engine, at most")
    parser.add_argument("--recordings", type=Path, action="append", default=[])
    given = parser.parse_args()
    settings = Settings.model_validate({"models_dir": given.models_dir})
    wanted = ("kokoro", "piper", "espeak")
    loaded: list[Any] = [one.load() for one in tts_candidates(settings) if one.usable and one.engine in wanted]
    engines: list[Synthesizer] = loaded
    engine = PymicroEngine()
    names = sorted(engine.words)
    wanted_names = names if given.rooms else []
    found = {name: _found(engine, name, engines, given.rooms, given.voices) for name in wanted_names}
    print(f"\n| found at {SNR_DB:g} dB SNR | voices | {' | '.join(map(_shown, THRESHOLDS))} |")
    print("|---|---|" + "---|" * len(THRESHOLDS))
    for name, by_engine in found.items():
        own = engine.words[name].threshold
        for voices, peaks in [*by_engine.items(), ("neural", by_engine.get("kokoro", []) + by_engine.get("piper", []))]:
            shares = [np.mean([peak > (own if t is None else t) for peak in peaks] or [0]) for t in THRESHOLDS]
            print(f"| {name} (own: {own}) | {voices} ({len(peaks)}) | {' | '.join(f'{s:.1%}' for s in shares)} |")
    began_secs = time.monotonic()
    secs, accepts = _accepted(engine.detector(names), _speech(engines, given.recordings), given.hours * 3600)
    took_secs = time.monotonic() - began_secs
    print(f"\nfalse accepts in {secs / 3600:.2f} hours of other speech (in {took_secs:.0f} s)")
    print(f"| word | {' | '.join(map(_shown, THRESHOLDS))} |\n|---|" + "---|" * len(THRESHOLDS))
    for name, counts in accepts.items():
        print(f"| {name} | {' | '.join(map(str, counts))} |")


def _found(
    engine: PymicroEngine, name: str, engines: list[Synthesizer], n_rooms: int, n_voices: int
) -> dict[str, list[float]]:
    """By engine of the voices: the highest probability of each trial."""
    peaks: dict[str, list[float]] = {}
    detector = engine.detector([name])
    for synthesizer in engines:
        for index, said_f32 in enumerate(_said(synthesizer, engine.words[name].phrase, n_voices)):
            for room in range(n_rooms):
                detector.reset()
                heard_f32 = _in_room(said_f32, np.random.default_rng([index, room]))
                peak = max((row[0] for row in _probabilities(detector, heard_f32)), default=0.0)
                peaks.setdefault(synthesizer.name, []).append(peak)
    detector.close()
    return peaks


def _said(synthesizer: Synthesizer, phrase: str, n_voices: int) -> Iterator[Audio]:
    english = [voice for voice in synthesizer.voices() if voice.language.startswith("en")]
    for voice in english[:: max(1, len(english) // n_voices)][:n_voices]:
        speaker = synthesizer.in_voice(voice.name, language=voice.language, speed=1.0)
        # As it is said: alone, and with what is asked in the same breath.
        for text in (f"{phrase}.", f"{phrase}, what time is it?"):
            yield _spoken(speaker, text)


def _spoken(speaker: Synthesizer, text: str) -> Audio:
    pcm16 = b"".join(chunk.pcm16 for chunk in speaker.synthesize(text))
    audio_f32 = np.frombuffer(pcm16, "<i2").astype(np.float32) / 32768
    return np.asarray(soxr.resample(audio_f32, speaker.sample_rate_hz, SAMPLE_RATE_HZ), np.float32)


def _in_room(said_f32: Audio, rng: np.random.Generator) -> Audio:
    """With a second of the room's noise before it, at `SNR_DB`."""
    response = room_response(rng.uniform(0.2, 0.8), rng.uniform(0.5, 3.0), SAMPLE_RATE_HZ, rng)
    wet_f32 = np.convolve(np.pad(said_f32, (SAMPLE_RATE_HZ, SAMPLE_RATE_HZ // 2)), response)
    power = _active_power(wet_f32)
    noise_f32 = _pink(len(wet_f32), rng) * np.sqrt(power / 10 ** (SNR_DB / 10))
    gain = 10 ** (LEVEL_DBFS / 20) / np.sqrt(power)
    return np.clip((wet_f32 + noise_f32) * gain, -1, 1).astype(np.float32)


def _active_power(audio_f32: Audio) -> float:
    """Mean power of the blocks within 30 dB of the loudest."""
    blocks = audio_f32[: len(audio_f32) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
    powers = np.square(blocks).mean(axis=1)
    return float(powers[powers > powers.max() / 1000].mean()) if powers.any() else 1e-9


def _pink(n_samples: int, rng: np.random.Generator) -> Audio:
    """Noise that falls by 3 dB an octave; power 1."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    noise_f32 = np.fft.irfft(spectrum, n_samples)
    return (noise_f32 / noise_f32.std()).astype(np.float32)


def _probabilities(detector: PymicroDetector, audio_f32: Audio) -> Iterator[list[float]]:
    """Of each of the detector's words, every 10 ms."""
    pcm16 = np.round(audio_f32 * 32767).astype("<i2").tobytes()
    for features in detector._features.process_streaming(pcm16):
        yield [float(model.process_streaming_prob(features) or 0.0) for _, model in detector._models]


def _accepted(detector: PymicroDetector, speech: Iterator[Audio], secs: float) -> tuple[float, dict[str, list[int]]]:
    """How much speech there was, and how often each word was heard in it, by threshold."""
    words = [word for word, _ in detector._models]
    counts = {word.name: [0] * len(THRESHOLDS) for word in words}
    quiet_until = np.zeros((len(words), len(THRESHOLDS)))
    at_secs = 0.0
    for audio_f32 in speech:
        for row in _probabilities(detector, audio_f32):
            at_secs += 0.01
            for index, (word, probability) in enumerate(zip(words, row, strict=True)):
                if probability <= 0.5:
                    continue
                for column, threshold in enumerate(THRESHOLDS):
                    least = word.threshold if threshold is None else threshold
                    if probability > least and at_secs >= quiet_until[index, column]:
                        quiet_until[index, column] = at_secs + COOLDOWN_SECS
                        counts[word.name][column] += 1
        if at_secs >= secs:
            break
    return at_secs, counts


def _speech(engines: list[Synthesizer], folders: list[Path]) -> Iterator[Audio]:
    """Other speech without end: recordings once, then prose by one voice after the other; a tenth of it by Piper."""
    for folder in (REPOSITORY / "tests" / "fixtures" / "speech", *folders):
        for path in sorted(folder.glob("*.wav")):
            try:
                yield _levelled(load_recording(path).audio_s16.astype(np.float32) / np.float32(32768))
            except Exception as error:  # noqa: BLE001 - the fixtures hold broken files, too
                print(f"passed over {path.name}: {str(error)[:60]}")
    by_name = {one.name: one for one in engines}
    espeak = by_name["espeak"]
    voices = [
        espeak.in_voice(v.name, language=v.language, speed=1.0)
        for v in espeak.voices()
        if v.language[:2] in ("en", "de", "es")
    ]
    piper = by_name.get("piper")
    speakers: Iterator[Synthesizer] = cycle([*voices[:9], *([piper] if piper else [])])
    pieces = _pieces()
    random.Random(1).shuffle(pieces)
    for piece, speaker in zip(cycle(pieces), speakers, strict=False):
        try:
            yield np.pad(_levelled(_spoken(speaker, piece)), (0, SAMPLE_RATE_HZ // 2))
        except EngineError as error:
            print(f"not spoken: {error}")


def _pieces() -> list[str]:
    """Prose without names of the words, in pieces of some 15 s."""
    text = " ".join((REPOSITORY / name).read_text() for name in PROSE)
    text = re.sub(r"(?i)hey[_ ]jarvis|okay[_ ]nabu|hey[_ ]mycroft|alexa\b|jarvis|mycroft|nabu", " ", text)
    words = re.sub(r"[^A-Za-z0-9.,;:?!'\- ]+", " ", text).split()
    return [*NEAR, *(" ".join(words[at : at + WORDS_A_PIECE]) for at in range(0, len(words), WORDS_A_PIECE))]


def _levelled(audio_f32: Audio) -> Audio:
    return np.clip(audio_f32 * 10 ** (LEVEL_DBFS / 20) / np.sqrt(_active_power(audio_f32)), -1, 1).astype(np.float32)


def _shown(threshold: float | None) -> str:
    return "own threshold" if threshold is None else f"{threshold:g}"


if __name__ == "__main__":
    main()
