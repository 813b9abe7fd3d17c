"""Piper's voices: VITS networks that speak five to ten times faster than real time on an ordinary processor.

In:  text.   Out: 24 kHz mono s16 (the voices' own 22.05 kHz is no rate of WebRTC's), a stretch at a time, with word
times from the network's own durations.
Licence: each voice has its own (MODEL_CARD beside it); GPL-3 (espeak-ng, which the phonemes come from).
"""

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from processors.errors import EngineUnavailableError
from processors.text.clauses import split_clauses
from processors.tts.espeak_library import EspeakLibrary, SpokenClause
from processors.tts.finishing import SAMPLE_RATE_HZ, finished
from processors.tts.phoneme_words import word_phonemes
from processors.tts.piper_model import MEND, PiperConfig, PiperModel, Utterance, decomposed, read_config
from processors.tts.speech_level import SpeechLevel
from processors.tts.synthesizer import SpeechChunk, SpokenWord, Voice
from processors.tts.word_times import word_spans

# The first half of the network reads a whole piece before anything sounds: about 0.2 s for a sentence of 80 characters.
FIRST_PIECE_CHARS = 80
PIECE_CHARS = 200
_WARM_UP_TEXT = "The voice is ready, and speaks."


class PiperSynthesizer:
    """Piper's voices on this machine; each is loaded when it is first spoken with.

    Args:
        models: The ONNX file of each voice, by the name that people call it; its `.onnx.json` lies beside it.
        voice: One of `voices`; by default the first of the language.
        language: espeak's name of the language, such as `en-us`.
        speed: 0.5 to 2; 1 is the natural pace.
        threads: CPU threads of one synthesis.
        providers: Of onnxruntime, in order of preference.

    Raises:
        EngineUnavailableError: There is no such voice, or its files are missing or broken.
    """

    name = "piper"
    sample_rate_hz = SAMPLE_RATE_HZ
    max_threads = 1

    def __init__(
        self,
        models: Mapping[str, Path],
        *,
        voice: str | None = None,
        language: str = "en-us",
        speed: float = 1.0,
        threads: int = 1,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        if not models:
            raise EngineUnavailableError("no piper voice is installed", MEND)
        self._shelf = _Shelf(models, threads, providers)
        chosen = voice or self._shelf.voice_for(language)
        if chosen is None:
            raise EngineUnavailableError(f"no piper voice is installed for tts.language = {language!r}", MEND)
        self._take_voice(chosen, speed)

    def _take_voice(self, voice: str, speed: float) -> None:
        self._model = self._shelf.model(voice)
        self._speaker = self._shelf.speaker(voice)
        self._level = self._shelf.level(voice)
        self._library = EspeakLibrary.shared()
        self._espeak_voice = self._library.voice_name(self._model.config.espeak_voice or "en-us")
        self.model = voice
        self._speed = speed

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        """See `Synthesizer.synthesize`; a chunk is some tenths of a second."""
        offset_secs = 0.0
        for piece in split_clauses(text, FIRST_PIECE_CHARS, PIECE_CHARS):
            for chunk in self._speak(piece, offset_secs):
                yield chunk
                offset_secs += len(chunk.pcm16) / 2 / SAMPLE_RATE_HZ

    def _speak(self, piece: str, at_secs: float) -> Iterator[SpeechChunk]:
        """Speak one piece as one utterance; it begins at `at_secs`."""
        phonemes, words = self._phonemes(piece)
        if not words:
            return
        utterance = self._model.encode(phonemes, speed=self._speed, speaker=self._speaker)
        times, stretches = self._word_times(words, utterance), self._model.decode(utterance)
        yield from finished(stretches, times, piece, self._level, self._model.config.sample_rate_hz, at_secs)

    def _phonemes(self, piece: str) -> tuple[str, list[tuple[str, int, int]]]:
        """The phonemes of a piece, and each word with the span of its phonemes."""
        if not self._model.config.espeak_voice:
            letters = decomposed(piece.lower())
            return letters, [(word, start, end) for word, start, end in word_spans(letters)]
        phonemes = ""
        words: list[tuple[str, int, int]] = []
        for clause in self._library.clauses(piece, self._espeak_voice):
            phonemes += " " if phonemes else ""
            words += [(word, start + len(phonemes), end + len(phonemes)) for word, start, end in self._words(clause)]
            phonemes += decomposed(clause.phonemes) + clause.mark
        return phonemes, words

    def _words(self, clause: SpokenClause) -> list[tuple[str, int, int]]:
        words = [word for word, _, _ in word_spans(clause.text)]
        return word_phonemes(
            words,
            decomposed(clause.phonemes),
            lambda: [decomposed(one) for one in self._library.words_phonemes(words, self._espeak_voice)],
        )

    def _word_times(self, words: list[tuple[str, int, int]], utterance: Utterance) -> list[SpokenWord]:
        until_secs = np.concatenate([[0.0], utterance.phoneme_frames]) * self._model.frame_secs
        return [SpokenWord(word, float(until_secs[start]), float(until_secs[end])) for word, start, end in words]

    def voices(self) -> list[Voice]:
        """See `Synthesizer.voices`."""
        return [Voice(name, self._shelf.config(name).espeak_voice, name) for name in self._shelf.names()]

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> "PiperSynthesizer":
        """See `Synthesizer.in_voice`; a voice of another file is loaded once."""
        other = copy.copy(self)
        if voice is None and not _speaks(self._model.config, language):
            voice = self._shelf.voice_for(language)
            if voice is None:
                raise EngineUnavailableError(f"no piper voice is installed for tts.language = {language!r}", MEND)
        other._take_voice(voice or self.model, speed)
        return other

    def warm_up(self) -> None:
        """Speak a sentence, by which the voice's level is known, too."""
        for _ in self.synthesize(_WARM_UP_TEXT):
            pass

    def close(self) -> None:
        """Nothing to stop; memory goes with the object."""


class _Shelf:
    """The voices on disk and those that are loaded, shared by all conversations."""

    def __init__(self, models: Mapping[str, Path], threads: int, providers: Sequence[str]) -> None:
        self._paths = dict(models)
        self._threads = threads
        self._providers = providers
        self._configs: dict[str, PiperConfig] = {}
        self._models: dict[str, PiperModel] = {}
        self._levels: dict[str, SpeechLevel] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Every voice; one of several speakers of a file is called `file/speaker`."""
        names: list[str] = []
        for name in sorted(self._paths):
            speakers = self.config(name).speakers
            names += [f"{name}/{speaker}" for speaker in speakers] if len(speakers) > 1 else [name]
        return names

    def voice_for(self, language: str) -> str | None:
        """The first voice of a language: of just that country if there is one."""
        names = self.names()
        exact = [name for name in names if self.config(name).espeak_voice == language]
        return next(iter([*exact, *(name for name in names if _speaks(self.config(name), language))]), None)

    def config(self, voice: str) -> PiperConfig:
        """The configuration of a voice's file."""
        file = voice.partition("/")[0]
        if file not in self._configs:
            path = self._paths[file]
            self._configs[file] = read_config(path.with_name(f"{path.name}.json"))
        return self._configs[file]

    def speaker(self, voice: str) -> int:
        """The number of a voice in its file."""
        return self.config(voice).speakers.get(voice.partition("/")[2], 0)

    def model(self, voice: str) -> PiperModel:
        """The loaded file of a voice.

        Raises:
            EngineUnavailableError: There is no such voice, or its file is broken.
        """
        file, _, speaker = voice.partition("/")
        if file not in self._paths or (speaker and speaker not in self.config(file).speakers):
            known = ", ".join(self.names()[:8])
            raise EngineUnavailableError(
                f"piper does not know the voice tts.voice = {voice!r}", f"choose one such as {known}"
            )
        with self._lock:
            if file not in self._models:
                self._models[file] = PiperModel(self._paths[file], threads=self._threads, providers=self._providers)
            return self._models[file]

    def level(self, voice: str) -> SpeechLevel:
        """What is known of how loud a voice is."""
        with self._lock:
            return self._levels.setdefault(voice, SpeechLevel(self.config(voice).sample_rate_hz))


def _speaks(config: PiperConfig, language: str) -> bool:
    return config.espeak_voice.partition("-")[0] == language.partition("-")[0]
