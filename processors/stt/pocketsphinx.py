"""PocketSphinx with its bundled US-English model: the recognizer that needs no download.

In:  16 kHz mono s16 PCM.   Out: partials and a Transcript with word times.
The decoding runs in processes of its own (see `pocketsphinx_worker.py` for why and how): one for conversations, and
one for recordings once the first is asked for, so that a long recording delays nobody who speaks.
Licence: BSD-2-Clause, model included.
"""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

from processors.errors import EngineError, UnsupportedRequestError
from processors.stt import pocketsphinx_worker as worker
from processors.stt.pauses import transcribe_by_pauses
from processors.stt.pocketsphinx_process import PocketSphinxProcess
from processors.stt.recognizer import (
    BYTES_PER_SAMPLE,
    SAMPLE_RATE_HZ,
    Pcm16,
    Segment,
    Transcript,
    TranscriptionRequest,
    Word,
)

# The decoder drops a word that ends with the audio.
TAIL = bytes(SAMPLE_RATE_HZ // 5 * BYTES_PER_SAMPLE)


class PocketSphinxEngine:
    """The decoding processes, shared by all conversations.

    Raises:
        EngineUnavailableError: The process does not start.
    """

    name = "pocketsphinx"
    model = "en-us"
    # A second thread would only wait for the one decoder.
    max_threads = 1
    pauses_freely = False
    shows_partials = True

    def __init__(self) -> None:
        self._stream_ids = itertools.count(1)
        self._process = PocketSphinxProcess()
        self._lock = threading.Lock()
        self._file_process: PocketSphinxProcess | None = None

    @property
    def pid(self) -> int | None:
        """The process that decodes conversations, for memory accounts; None when it is not running."""
        return self._process.pid

    def recognizer(self) -> "PocketSphinxRecognizer":
        """A recognizer for one conversation."""
        return PocketSphinxRecognizer(self._process, next(self._stream_ids))

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        """See `RecognizerEngine.transcribe`; it knows English only."""
        if request.task == "translate":
            raise UnsupportedRequestError("pocketsphinx does not translate: sotto models pull base", "task")
        if request.language not in (None, "auto", "en"):
            raise UnsupportedRequestError(
                f"pocketsphinx knows English only, not language = {request.language!r}: sotto models pull base",
                "language",
            )
        with self._lock:
            if self._file_process is None:
                self._file_process = PocketSphinxProcess()
        recognizer = PocketSphinxRecognizer(self._file_process, next(self._stream_ids))
        return transcribe_by_pauses(recognizer, audio_s16, word_times=request.word_times)

    def warm_up(self) -> str | None:
        """Decode a short silence."""
        recognizer = self.recognizer()
        recognizer.accept(bytes(worker.SAMPLE_RATE_HZ // 5 * 2))
        recognizer.finish()
        return None

    def close(self) -> None:
        """End the processes; each has a second before it is killed."""
        with self._lock:
            file_process, self._file_process = self._file_process, None
        self._process.close()
        if file_process:
            file_process.close()


class PocketSphinxRecognizer:
    """One conversation's stream of utterances; each stretch between two pauses is decoded by itself."""

    def __init__(self, process: PocketSphinxProcess, stream: int) -> None:
        self._process = process
        self._stream = stream
        self._generation: int | None = None
        self._words: list[Word] = []
        self._text = ""
        # Of the utterance: all of it, and where the stretch that is being decoded began.
        self._n_bytes = 0
        self._stretch_start_secs = 0.0
        # The stretch's sound, for a process that takes over from one that died.
        self._stretch = bytearray()
        self._trouble: str | None = None

    def take_trouble(self) -> str | None:
        """See `MendsItself`."""
        trouble, self._trouble = self._trouble, None
        return trouble

    def accept(self, pcm16: bytes) -> str:
        """See `Recognizer.accept`."""
        if self._generation is None:
            self._stretch_start_secs = self._n_bytes / BYTES_PER_SAMPLE / SAMPLE_RATE_HZ
        self._n_bytes += len(pcm16)
        reply = self._request(worker.ACCEPT, pcm16)
        self._stretch += pcm16
        return f"{self._text} {reply['text']}".strip()

    def pause(self) -> Transcript:
        """See `Recognizer.pause`."""
        if self._generation is not None:
            self._request(worker.ACCEPT, TAIL)
            self._stretch += TAIL
            reply = self._request(worker.FINISH)
            self._generation = None
            self._stretch.clear()
            self._text = f"{self._text} {reply['text']}".strip()
            at = self._stretch_start_secs
            self._words += [
                Word(word["text"], word["start"] + at, word["end"] + at, word["probability"]) for word in reply["words"]
            ]
        probabilities = [word.probability for word in self._words if word.probability is not None]
        confidence = sum(probabilities) / len(probabilities) if probabilities else None
        return Transcript(self._text, tuple(self._words), language="en", confidence=confidence)

    def finish(self) -> Transcript:
        """See `Recognizer.finish`."""
        transcript = self.pause()
        self._forget()
        return transcript

    def reset(self) -> None:
        """See `Recognizer.reset`."""
        self._forget()
        self._process.request(worker.RESET, self._stream)

    def _forget(self) -> None:
        self._generation = None
        self._words = []
        self._text = ""
        self._n_bytes = 0
        self._stretch.clear()

    def _request(self, op: int, payload: bytes = b"") -> dict[str, Any]:
        try:
            reply, generation = self._process.request(op, self._stream, payload)
            if self._generation not in (None, generation):
                raise EngineError("pocketsphinx: the decoding process was restarted")
        except EngineError as error:
            self._trouble = str(error)
            # It has been started anew; a sound that ends that one too is given up.
            try:
                if self._stretch:
                    self._process.request(worker.RESET, self._stream)
                    self._process.request(worker.ACCEPT, self._stream, bytes(self._stretch))
                reply, generation = self._process.request(op, self._stream, payload)
            except EngineError:
                self._trouble = None
                self._forget()
                raise
        self._generation = generation
        return reply
