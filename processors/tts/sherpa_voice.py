"""A voice that sherpa-onnx's text-to-speech speaks with: what Kitten and Pocket have in common.

In:  pieces of text.   Out: 24 kHz mono s16 as it is made, with word times.

The library calls back with each stretch of sound and is told there whether to go on; with some models it does not
(2.0.1), and gives all of a piece in the end. It runs on a thread of its own for the length of a piece, so that a
stretch is handed on while the next is made; one piece is made at a time.

No export tells how long its phonemes last. A word's time is estimated: the speech between the first and the last sound
is shared out in proportion to how many phonemes espeak-ng finds in each word. Where sound comes in stretches, its end
is estimated by the share of the work that the library says is done.
"""

import copy
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

import numpy as np

from processors.errors import EngineError, EngineUnavailableError, one_line
from processors.text.clauses import Boundary, Strength, find_boundaries, split_clauses
from processors.tts.espeak_library import EspeakLibrary
from processors.tts.finishing import SAMPLE_RATE_HZ, finished
from processors.tts.speech_level import Audio, SpeechLevel
from processors.tts.synthesizer import SpeechChunk, SpokenWord
from processors.tts.word_times import spread_words, word_spans

# What is softer than this share of the loudest block is silence around the speech.
_SILENT_SHARE = 0.03
_BLOCK_SECS = 0.005

# The callback takes samples and the share of the work that is done, and returns 0 to stop.
Take = Callable[[Any, float], int]
# Makes the sound of a text; what comes back is the library's, with all samples.
Generate = Callable[[str, Take], Any]


@dataclass(frozen=True)
class Pieces:
    """How much text is spoken at once, in characters.

    Attributes:
        first: The first piece; short, so that it sounds early.
        rest: The others.
    """

    first: int
    rest: int


class SherpaSpeech(Iterator[SpeechChunk]):
    """The chunks of one synthesis, which can be stopped from any thread.

    Args:
        text: What is spoken.
        generate: Makes the sound of one piece.
        pieces: How the text is cut.
        level: Of the voice; it learns.
        rate_hz: Of the sound that is made.
        espeak_voice: Whose phonemes weigh the words.
        busy: Held while a piece is made.
        name: The engine's, for its failures.
    """

    def __init__(
        self,
        text: str,
        generate: Generate,
        pieces: Pieces,
        level: SpeechLevel,
        rate_hz: int,
        *,
        espeak_voice: bytes,
        busy: threading.Lock,
        name: str,
    ) -> None:
        self._generate = generate
        self._level = level
        self._rate_hz = rate_hz
        self._espeak_voice = espeak_voice
        self._busy = busy
        self._name = name
        self._stopped = threading.Event()
        self._chunks = self._spoken(_cut(text, pieces))

    def __next__(self) -> SpeechChunk:
        """The next chunk; none once it is stopped."""
        if self._stopped.is_set():
            raise StopIteration
        return next(self._chunks)

    def stop(self) -> None:
        """See `StoppableSpeech.stop`; the library stops at its next stretch of sound."""
        self._stopped.set()

    def close(self) -> None:
        """Stop as soon as nobody wants more."""
        self.stop()

    def __del__(self) -> None:
        self.stop()

    def _spoken(self, pieces: Iterable[str]) -> Iterator[SpeechChunk]:
        at_secs = 0.0
        for piece in pieces:
            words = [word for word, _, _ in word_spans(piece)]
            if not words or self._stopped.is_set():
                continue
            stretches = self._made(piece)
            first = next(stretches, None)
            if first is None:
                continue
            sound, share = first
            times = self._times(words, sound, share)
            rest = (stretch for stretch, _ in stretches)
            for chunk in finished(chain([sound], rest), times, piece, self._level, self._rate_hz, at_secs):
                if self._stopped.is_set():
                    return
                yield chunk
                at_secs += len(chunk.pcm16) / 2 / SAMPLE_RATE_HZ

    def _made(self, piece: str) -> Iterator[tuple[Audio, float]]:
        """Stretches of sound, and the share of the work that is done with each."""
        made: queue.SimpleQueue[tuple[Audio, float] | BaseException | None] = queue.SimpleQueue()
        n_taken = 0

        def take(samples: Any, share: float) -> int:
            nonlocal n_taken
            if self._stopped.is_set():
                return 0
            n_taken += 1
            # The library frees the samples when this returns.
            made.put((np.array(samples, np.float32).ravel(), float(share)))
            return 1

        def work() -> None:
            try:
                with self._busy:
                    whole = None if self._stopped.is_set() else self._generate(piece, take)
                if whole is not None and not n_taken and len(whole.samples):
                    take(whole.samples, 1.0)
                made.put(None)
            # Handed to the thread that waits, which raises it.
            except BaseException as error:  # noqa: BLE001
                made.put(error)

        worker = threading.Thread(target=work, name=f"tts-{self._name}", daemon=True)
        worker.start()
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise EngineError(f"{self._name} failed on {len(piece)} characters: {one_line(item)}") from item
            yield item
        worker.join()

    def _times(self, words: list[str], sound: Audio, share: float) -> tuple[SpokenWord, ...]:
        block = round(_BLOCK_SECS * self._rate_hz)
        peaks = np.abs(sound[: len(sound) // block * block]).reshape(-1, block).max(axis=1)
        loud = np.flatnonzero(peaks > _SILENT_SHARE * peaks.max(initial=0.0))
        start = int(loud[0]) * block if len(loud) else 0
        phonemes = EspeakLibrary.shared().words_phonemes(words, self._espeak_voice)
        weights = [float(max(1, len(one))) for one in phonemes]
        if not 0.0 < share < 1.0:
            end = int(loud[-1] + 1) * block if len(loud) else len(sound)
            return spread_words(words, weights, start / self._rate_hz, end / self._rate_hz)
        # Stretches are equally long but for the last, of which half is expected and none is certain.
        n_certain = (round(1.0 / share) - 1) * len(sound)
        certain_secs, end_secs = n_certain / self._rate_hz, (n_certain + 0.5 * len(sound)) / self._rate_hz
        return tuple(
            SpokenWord(word.text, word.start_secs, max(word.start_secs, min(word.end_secs, certain_secs)))
            for word in spread_words(words, weights, start / self._rate_hz, end_secs)
        )


class SherpaSynthesizer:
    """What every engine on sherpa-onnx's text-to-speech does; a `Synthesizer` once it has a voice and `voices`.

    Attributes:
        name: The engine's.
        model: The voice.
        pieces: How text is cut for it.

    Args:
        rate_hz: Of the sound that the library makes.
        espeak_voice: Whose phonemes weigh the words.
    """

    name: str
    model: str
    pieces: Pieces
    sample_rate_hz = SAMPLE_RATE_HZ
    max_threads = 1

    def __init__(self, rate_hz: int, espeak_voice: bytes) -> None:
        self._rate_hz = rate_hz
        self._espeak_voice = espeak_voice
        self._busy = threading.Lock()
        self._levels: dict[str, SpeechLevel] = {}

    def _take_voice(self, voice: str, speed: float) -> None:
        """Speak in that voice from now on.

        Raises:
            EngineUnavailableError: There is none of that name.
        """
        self.model = voice
        self._level = self._levels.setdefault(voice, SpeechLevel(self._rate_hz))

    def _generator(self) -> Generate:
        raise NotImplementedError

    def synthesize(self, text: str) -> SherpaSpeech:
        """See `Synthesizer.synthesize`; the module of each engine says when a stop takes effect."""
        return SherpaSpeech(
            text,
            self._generator(),
            self.pieces,
            self._level,
            self._rate_hz,
            espeak_voice=self._espeak_voice,
            busy=self._busy,
            name=self.name,
        )

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> Self:
        """See `Synthesizer.in_voice`."""
        if language.partition("-")[0] != "en":
            raise EngineUnavailableError(
                f"{self.name} speaks English only, not tts.language = {language!r}", "choose piper"
            )
        other = copy.copy(self)
        other._take_voice(voice or self.model, speed)
        return other

    def warm_up(self) -> None:
        """Speak a sentence, by which the voice's level is known, too."""
        for _ in self.synthesize("The voice is ready, and speaks."):
            pass

    def close(self) -> None:
        """Nothing to stop; memory goes with the object."""


def _cut(text: str, pieces: Pieces) -> Iterator[str]:
    """The pieces of a text, none of them longer than a sentence: the library counts its work by sentences."""
    for piece in split_clauses(text, pieces.first, pieces.rest):
        found = [at for at in find_boundaries(piece) if isinstance(at, Boundary) and at.strength >= Strength.SENTENCE]
        starts, ends = [0, *(cut.start for cut in found)], [*(cut.end for cut in found), len(piece)]
        yield from (piece[start:end] for start, end in zip(starts, ends, strict=True))
