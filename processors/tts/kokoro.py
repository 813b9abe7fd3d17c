"""Kokoro-82M: its network by onnxruntime, its tokens and styles by kokoro-onnx.

In:  text.   Out: 24 kHz mono s16, a few words at a time, with word times from the network's own durations. An export
that cannot be cut in halves sounds clause by clause; where it reports no durations, words are spread over the sound in
proportion to their phonemes.
Licence: Apache-2.0 (model), MIT (kokoro-onnx), GPL-3 (espeak-ng, which it takes its phonemes from).
"""

import copy
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from processors.errors import EngineError, EngineUnavailableError, one_line
from processors.text.clauses import split_clauses
from processors.tts.espeak_library import EspeakLibrary, SpokenClause
from processors.tts.finishing import SAMPLE_RATE_HZ, finished
from processors.tts.kokoro_model import (
    CONTEXT_FRAMES,
    FRAME_SAMPLES,
    Audio,
    KokoroSession,
    Prosody,
    StoppedError,
    StopSwitch,
)
from processors.tts.kokoro_stretches import FADE_SAMPLES, FRAME_SECS, Supply, joined, next_cut
from processors.tts.phoneme_words import word_phonemes
from processors.tts.speech_level import SpeechLevel
from processors.tts.synthesizer import SpeechChunk, SpokenWord, Voice
from processors.tts.word_times import spread_words, word_spans

DEFAULT_VOICE = "af_heart"
# Of an export in one piece the first clause is kept short so that it sounds early; later ones are made while it plays.
FIRST_CLAUSE_CHARS = 40
CLAUSE_CHARS = 200
# In two halves, only the first, which is quick, reads the whole.
FIRST_PIECE_CHARS = 80
_MAX_TOKENS = 510
# A consonant goes on a little behind its word; frames.
_BREATH_FRAMES = 5
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
            self._session = KokoroSession(model_path, options, providers)
            # It asks no more of a session than KokoroSession has.
            self._kokoro = Kokoro.from_session(self._session, str(voices_path))  # pyright: ignore[reportArgumentType]
        except Exception as error:
            raise EngineUnavailableError(
                f"kokoro model {model_path} cannot be loaded ({one_line(error)})", "sotto models pull kokoro"
            ) from error
        self._library = EspeakLibrary.shared()
        self._levels: dict[str, SpeechLevel] = {}
        self._lock = threading.Lock()
        self._take_voice(voice, language, speed)

    def _take_voice(self, voice: str, language: str, speed: float) -> None:
        self.model = self._checked_voice(voice)
        self._language = language
        self._espeak_voice = self._library.voice_name(language)
        self._speed = speed
        self._level = self._levels.setdefault(voice, SpeechLevel(SAMPLE_RATE_HZ))
        self._supply = Supply()

    @property
    def has_durations(self) -> bool:
        """Whether the model file tells how long each phoneme lasts."""
        return self._session.has_halves or self._kokoro.has_timings

    def synthesize(self, text: str) -> "KokoroSpeech":
        """See `Synthesizer.synthesize`; even what is being made can be stopped."""
        switch = StopSwitch()
        return KokoroSpeech(self._chunks(text, switch), switch, self._supply)

    def _chunks(self, text: str, switch: StopSwitch) -> Iterator[SpeechChunk]:
        halves = self._session.has_halves
        at_secs = 0.0
        for piece in split_clauses(text, FIRST_PIECE_CHARS if halves else FIRST_CLAUSE_CHARS, CLAUSE_CHARS):
            spoken = self._spoken(piece)
            if not spoken.words or not spoken.phonemes:
                continue
            if halves and len(spoken.phonemes) <= _MAX_TOKENS:
                with self._lock:
                    prosody = self._session.prosody(self._inputs(spoken.phonemes), switch)
                stretches, words = self._stretches(prosody, spoken, switch), spoken.times(prosody)
            else:
                audio_f32, words = self._whole(spoken, switch)
                stretches = iter([audio_f32])
            for chunk in finished(stretches, words, piece, self._level, SAMPLE_RATE_HZ, at_secs):
                yield chunk
                secs = len(chunk.pcm16) / 2 / SAMPLE_RATE_HZ
                at_secs += secs
                self._supply.note_sound(secs)

    def _stretches(self, prosody: Prosody, spoken: "_Spoken", switch: StopSwitch) -> Iterator[Audio]:
        """The sound of a piece, from its first word to its last."""
        start, end = spoken.frames(prosody)
        gaps = spoken.gaps(prosody)
        # Times count from the first token.
        yield np.zeros(start * FRAME_SAMPLES, np.float32)
        tail: Audio | None = None
        while start < end:
            cut = next_cut(start, end, self._supply.frames_in_time(), gaps, prosody.loudness)
            with self._lock:
                began_secs = time.monotonic()
                made, head = self._session.sound(prosody, start, cut, switch)
                self._supply.note_work(time.monotonic() - began_secs, cut - start + 2 * CONTEXT_FRAMES)
            n_samples = (cut - start) * FRAME_SAMPLES
            sound = made[head : head + n_samples + (FADE_SAMPLES if cut < end else 0)].copy()
            if tail is not None:
                sound[: len(tail)] = joined(tail, sound[: len(tail)])
            tail = sound[n_samples:]
            yield sound[:n_samples]
            start = cut

    def _whole(self, spoken: "_Spoken", switch: StopSwitch) -> tuple[Audio, list[SpokenWord]]:
        """The sound of a piece by an export in one piece, or of one too long for the other way."""
        try:
            with self._lock, self._session.stoppable(switch):
                audio_f32, _, timings = self._kokoro.create_timed(
                    spoken.phonemes, voice=self.model, speed=self._speed, lang=self._language, is_phonemes=True
                )
        except (RuntimeError, ValueError, IndexError) as error:
            raise EngineError(f"kokoro failed on {len(spoken.phonemes)} phonemes: {one_line(error)}") from error
        if len(timings) == len(spoken.phonemes):
            edges_secs = [*(timing.start for timing in timings), timings[-1].end]
            return audio_f32, [
                SpokenWord(word, edges_secs[start], edges_secs[end]) for word, start, end in spoken.words
            ]
        weights = [float(max(1, end - start)) for _, start, end in spoken.words]
        words = [word for word, _, _ in spoken.words]
        return audio_f32, list(spread_words(words, weights, 0.0, len(audio_f32) / SAMPLE_RATE_HZ))

    def _inputs(self, phonemes: str) -> dict[str, Any]:
        tokens = self._kokoro.tokenizer.tokenize(phonemes)
        style = self._kokoro.get_voice_style(self.model)
        return {
            self._session.get_inputs()[0].name: np.array([[0, *tokens, 0]], np.int64),
            "style": np.asarray(style[min(len(tokens), len(style)) - 1], np.float32),
            "speed": np.array([self._speed], np.float32),
        }

    def _spoken(self, piece: str) -> "_Spoken":
        phonemes = ""
        words: list[tuple[str, int, int]] = []
        for clause in self._library.clauses(piece, self._espeak_voice):
            phonemes += " " if phonemes else ""
            words += [(word, start + len(phonemes), end + len(phonemes)) for word, start, end in self._words(clause)]
            phonemes += self._known(clause.phonemes) + clause.mark
        return _Spoken(phonemes, words)

    def _words(self, clause: SpokenClause) -> list[tuple[str, int, int]]:
        words = [word for word, _, _ in word_spans(clause.text)]
        return word_phonemes(
            words,
            self._known(clause.phonemes),
            lambda: [self._known(one) for one in self._library.words_phonemes(words, self._espeak_voice)],
        )

    def _known(self, phonemes: str) -> str:
        """What the network has a token for, one a character."""
        return self._kokoro.tokenizer.known(phonemes)

    def voices(self) -> list[Voice]:
        """See `Synthesizer.voices`."""
        return [Voice(name, LANGUAGES.get(name[:1], ""), name) for name in self._kokoro.get_voices()]

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> "KokoroSynthesizer":
        """See `Synthesizer.in_voice`; the model and its lock are shared."""
        spoken = voice or self._voice_for(language)
        other = copy.copy(self)
        other._take_voice(spoken, language, speed)
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


class KokoroSpeech(Iterator[SpeechChunk]):
    """The chunks of a synthesis that can be stopped from another thread, in the middle of a chunk.

    Args:
        chunks: What makes them.
        switch: Stops the network.
        supply: What of the conversation waits to be played.
    """

    def __init__(self, chunks: Iterator[SpeechChunk], switch: StopSwitch, supply: Supply) -> None:
        self._chunks = chunks
        self._switch = switch
        self._supply = supply

    def __next__(self) -> SpeechChunk:
        """The next chunk; none once it is stopped."""
        if self._switch.is_thrown:
            raise StopIteration
        try:
            return next(self._chunks)
        except StoppedError:
            raise StopIteration from None

    def stop(self) -> None:
        """See `StoppableSpeech.stop`."""
        self._switch.throw()
        self._supply.drop()

    def close(self) -> None:
        """Stop as soon as nobody wants more."""
        self.stop()


@dataclass(frozen=True)
class _Spoken:
    """A piece of text as tokens: a character of `phonemes` each, with the span of every word."""

    phonemes: str
    words: list[tuple[str, int, int]]

    def frames(self, prosody: Prosody) -> tuple[int, int]:
        """First frame of the first word, and the frame behind the last; what stands around them is silence."""
        starts = _token_starts(prosody)
        start, end = starts[self.words[0][1]], starts[self.words[-1][2]]
        return max(0, int(start) - 1), min(int(end) + _BREATH_FRAMES, prosody.n_frames)

    def gaps(self, prosody: Prosody) -> list[tuple[int, int]]:
        """First and last frame of each space between words."""
        starts = _token_starts(prosody)
        spans = [(end, start) for (_, _, end), (_, start, _) in pairwise(self.words) if start > end]
        return [(int(starts[end]), max(int(starts[end]), int(starts[start]) - 1)) for end, start in spans]

    def times(self, prosody: Prosody) -> list[SpokenWord]:
        """When each word sounds, from the first frame on."""
        starts = _token_starts(prosody) * FRAME_SECS
        return [SpokenWord(word, float(starts[start]), float(starts[end])) for word, start, end in self.words]


def _token_starts(prosody: Prosody) -> np.ndarray[Any, Any]:
    """The frame at which each character of the phonemes begins, and the one behind the last."""
    # The first token is the silence in front.
    return prosody.token_ends[: len(prosody.token_ends) - 1]
