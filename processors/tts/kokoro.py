"""Kokoro-82M through kokoro-onnx.

In:  text.   Out: 24 kHz mono s16, clause by clause, with word times: from the model's own durations where its export
reports them, else spread over the sound in proportion to each word's phonemes.
Licence: Apache-2.0 (model), MIT (kokoro-onnx), GPL-3 (espeak-ng, which it takes its phonemes from).
"""

import copy
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from processors.errors import EngineError, EngineUnavailableError
from processors.text.clauses import split_clauses
from processors.tts.synthesizer import SpeechChunk, SpokenWord, Voice
from processors.tts.word_times import spread_words, word_spans

SAMPLE_RATE_HZ = 24_000
DEFAULT_VOICE = "af_heart"
# The first clause is kept short so that it sounds early; later ones are synthesised while it plays.
FIRST_CLAUSE_CHARS = 60
CLAUSE_CHARS = 200
# A voice's first letter is its language (model card of Kokoro-82M, VOICES.md); the second is f or m.
LANGUAGES = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr-fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-br",
    "z": "cmn",
}


class KokoroSynthesizer:
    """A loaded Kokoro model with one voice.

    Args:
        model_path: The ONNX file.
        voices_path: The `.bin` file with the voices.
        voice: A voice of that file.
        language: espeak's name of the language, such as `en-us`.
        speed: 0.5 to 2; 1 is the natural pace.
        threads: CPU threads of one synthesis.
        providers: Of onnxruntime, in order of preference.

    Raises:
        EngineUnavailableError: A file is missing or broken, or the voice unknown.
    """

    name = "kokoro"
    sample_rate_hz = SAMPLE_RATE_HZ
    max_threads = 1

    def __init__(
        self,
        model_path: Path,
        voices_path: Path,
        *,
        voice: str = DEFAULT_VOICE,
        language: str = "en-us",
        speed: float = 1.0,
        threads: int = 1,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        import onnxruntime
        from kokoro_onnx import Kokoro

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # numpy and onnxruntime each raise their own kinds for a broken file; onnxruntime's derive from Exception alone.
        try:
            session = onnxruntime.InferenceSession(str(model_path), sess_options=options, providers=list(providers))
            self._kokoro = Kokoro.from_session(session, str(voices_path))
        except Exception as error:
            raise EngineUnavailableError(
                f"kokoro model {model_path} cannot be loaded ({_one_line(error)})", "sotto models pull kokoro"
            ) from error
        self.model = self._checked_voice(voice)
        self._language = language
        self._speed = speed
        self._lock = threading.Lock()

    @property
    def has_durations(self) -> bool:
        """Whether the model file reports how long each phoneme lasts."""
        return self._kokoro.has_timings

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        """See `Synthesizer.synthesize`; one chunk a clause."""
        offset_secs = 0.0
        for clause in split_clauses(text, FIRST_CLAUSE_CHARS, CLAUSE_CHARS):
            words = [word for word, _, _ in word_spans(clause)]
            if not words:
                continue
            try:
                with self._lock:
                    audio_f32, _, timings = self._kokoro.create_timed(
                        clause, voice=self.model, speed=self._speed, lang=self._language
                    )
            except (RuntimeError, ValueError, IndexError) as error:
                raise EngineError(f"kokoro failed on {len(clause)} characters: {_one_line(error)}") from error
            duration_secs = len(audio_f32) / SAMPLE_RATE_HZ
            spoken = self._word_times(words, timings, duration_secs)
            yield SpeechChunk(_pcm16(audio_f32), tuple(_shifted(word, offset_secs) for word in spoken))
            offset_secs += duration_secs

    def voices(self) -> list[Voice]:
        """See `Synthesizer.voices`."""
        return [Voice(name, LANGUAGES.get(name[:1], ""), name) for name in self._kokoro.get_voices()]

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> "KokoroSynthesizer":
        """See `Synthesizer.in_voice`; the model and its lock are shared."""
        spoken = voice or self._voice_for(language)
        other = copy.copy(self)
        other.model = self._checked_voice(spoken)
        other._language = language
        other._speed = speed
        return other

    def _voice_for(self, language: str) -> str:
        if LANGUAGES.get(self.model[:1]) == language or language == self._language:
            return self.model
        names = [voice.name for voice in self.voices() if voice.language == language]
        if not names:
            raise EngineUnavailableError(
                f"kokoro has no voice for tts.language = {language!r}", f"choose one of {', '.join(LANGUAGES.values())}"
            )
        return names[0]

    def _checked_voice(self, voice: str) -> str:
        if voice not in self._kokoro.voices:
            known = ", ".join(self._kokoro.get_voices()[:8])
            raise EngineUnavailableError(
                f"kokoro does not know the voice tts.voice = {voice!r}", f"choose one such as {known}"
            )
        return voice

    def warm_up(self) -> None:
        """Speak one word."""
        for _ in self.synthesize("Ready."):
            pass

    def close(self) -> None:
        """Nothing to stop; memory goes with the object."""

    def _word_times(self, words: Sequence[str], timings: Sequence[Any], duration_secs: float) -> tuple[SpokenWord, ...]:
        groups = _phoneme_groups(timings)
        if len(groups) == len(words):
            return tuple(
                SpokenWord(word, group[0].start, group[-1].end) for word, group in zip(words, groups, strict=True)
            )
        weights = [float(max(1, len(self._kokoro.tokenizer.phonemize(word, self._language)))) for word in words]
        return spread_words(words, weights, 0.0, duration_secs)


def _phoneme_groups(timings: Sequence[Any]) -> list[list[Any]]:
    """Phoneme timings grouped by word: spaces separate words."""
    groups: list[list[Any]] = [[]]
    for timing in timings:
        if timing.phoneme.isspace():
            groups.append([])
        else:
            groups[-1].append(timing)
    return [group for group in groups if group]


def _shifted(word: SpokenWord, by_secs: float) -> SpokenWord:
    return SpokenWord(word.text, word.start_secs + by_secs, word.end_secs + by_secs)


def _pcm16(audio_f32: np.ndarray[Any, Any]) -> bytes:
    """Model audio to wire audio, clipped: shape (n_samples,), float32 about [-1, 1]."""
    return (np.clip(audio_f32, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
