"""One conversation's utterances, heard by a model of whole utterances: partials over a growing sound, finals at pauses.

In:  16 kHz mono s16 PCM.   Out: committed words while the user speaks, a Transcript at each pause.

Work is bounded: a partial is decoded only once enough new sound has come (more where decoding is slow), one at a time,
on a thread of its own, and none while the speaker seems to pause or a final is decoded, which ends one under way. What
is older than a window is decoded once and kept as text.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from loguru import logger

from processors.stt.agreement import LocalAgreement
from processors.stt.finals_first import FinalsFirst
from processors.stt.recognizer import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ, Pcm16, Transcript

# New sound before the next partial, as a multiple of how long the last one took to decode.
PARTIAL_LOAD = 2.0
MIN_PARTIAL_SECS = 1.0
CUT_BLOCK_SECS = 0.2
# Sound so much below the utterance's own level looks like a pause.
QUIET_RATIO = 0.2
QUIET_SECS = 0.15


@dataclass(frozen=True)
class WindowLimits:
    """How much sound a model is shown at once.

    Attributes:
        max_secs: More is cut.
        long_secs: After a pause, so much sound is worth an end to the window.
        cut_range_secs: The cut is made where it is quietest within the last seconds of the window.
    """

    max_secs: float
    long_secs: float
    cut_range_secs: float


class UtteranceModel(Protocol):
    """A loaded model that hears a whole utterance at once."""

    # Read by every recognizer of the model.
    finals_first: FinalsFirst
    partial_threads: Executor

    @property
    def window(self) -> WindowLimits:
        """How much it is shown at once."""
        ...

    @property
    def partial_interval_secs(self) -> float:
        """New sound that is worth a partial, at least."""
        ...

    def decode(self, audio_s16: Pcm16) -> Transcript:
        """Decode as well as the model can; raises EngineError."""
        ...

    def guess(self, audio_s16: Pcm16, wanted: Callable[[], bool], *, language: str | None = None) -> Transcript | None:
        """Decode what has been said so far; None where that is doubtful, no longer wanted or not worth its time."""
        ...

    def written_language(self, spoken: str | None) -> str | None:
        """The language of the text, where `spoken` is heard."""
        ...


class UtteranceRecognizer:
    """See `Recognizer`."""

    def __init__(self, engine: UtteranceModel) -> None:
        self._engine = engine
        self._limits = engine.window
        # Held for bookkeeping only, never while anything is decoded.
        self._lock = threading.Lock()
        self._utterance = 0
        self._forget()

    def accept(self, pcm16: bytes) -> str:
        """See `Recognizer.accept`."""
        if self._paused is not None and self._n_window_samples >= self._limits.long_secs * SAMPLE_RATE_HZ:
            self._keep(self._paused, self._n_window_samples)
        self._paused = None
        self._pausing = False
        self._window += pcm16
        if self._n_window_samples >= self._limits.max_secs * SAMPLE_RATE_HZ:
            self._cut()
        self._start_partial()
        with self._lock:
            return f"{self._kept_text} {self._agreement.text}".strip()

    def pause(self) -> Transcript:
        """See `Recognizer.pause`."""
        self._pausing = True
        if self._paused is None:
            self._paused = self._engine.decode(self._audio_s16()) if self._window else Transcript("")
        transcript = self._paused
        text = f"{self._kept_text} {transcript.text}".strip()
        written = self._engine.written_language(transcript.language)
        spoken = transcript.language if written != transcript.language else None
        return Transcript(text, language=written, confidence=transcript.confidence, spoken=spoken)

    def finish(self) -> Transcript:
        """See `Recognizer.finish`."""
        try:
            return self.pause()
        finally:
            self.reset()

    def reset(self) -> None:
        """See `Recognizer.reset`."""
        with self._lock:
            self._utterance += 1
            self._forget()

    def _forget(self) -> None:
        self._window = bytearray()
        self._kept_text = ""
        self._agreement = LocalAgreement()
        self._paused: Transcript | None = None
        # A partial is worth nothing any more once the words of the pause are worked out.
        self._pausing = False
        # Of the last partial; a final is listened to afresh.
        self._guessed_language: str | None = None
        self._partial_running = False
        self._partial_n_samples = 0
        self._decode_secs = 0.0

    @property
    def _n_window_samples(self) -> int:
        return len(self._window) // BYTES_PER_SAMPLE

    def _audio_s16(self) -> Pcm16:
        return np.frombuffer(bytes(self._window), "<i2")

    def _cut(self) -> None:
        """Decode the window up to the quietest place near its end, and keep that as text."""
        audio_s16 = self._audio_s16()
        block = int(CUT_BLOCK_SECS * SAMPLE_RATE_HZ)
        first = len(audio_s16) - int(self._limits.cut_range_secs * SAMPLE_RATE_HZ)
        starts = range(first, len(audio_s16) - block, block // 2)
        energies = [float(np.square(audio_s16[at : at + block].astype(np.float64)).sum()) for at in starts]
        at = starts[int(np.argmin(energies))] + block // 2
        self._keep(self._engine.decode(audio_s16[:at]), at)

    def _keep(self, transcript: Transcript, n_samples: int) -> None:
        with self._lock:
            # A partial of the old window says nothing about the new one.
            self._utterance += 1
            self._partial_running = False
            self._kept_text = f"{self._kept_text} {transcript.text}".strip()
            self._agreement = LocalAgreement()
            self._partial_n_samples = 0
        del self._window[: n_samples * BYTES_PER_SAMPLE]

    def _start_partial(self) -> None:
        n_samples = self._n_window_samples
        interval_secs = max(self._engine.partial_interval_secs, PARTIAL_LOAD * self._decode_secs)
        new_secs = (n_samples - self._partial_n_samples) / SAMPLE_RATE_HZ
        if self._partial_running or new_secs < interval_secs or n_samples < MIN_PARTIAL_SECS * SAMPLE_RATE_HZ:
            return
        if self._engine.finals_first.busy:
            return
        audio_s16 = self._audio_s16()
        if _seems_to_pause(audio_s16):
            return
        self._partial_running = True
        self._partial_n_samples = n_samples
        self._engine.partial_threads.submit(self._decode_partial, audio_s16, self._utterance)

    def _decode_partial(self, audio_s16: Pcm16, utterance: int) -> None:
        if utterance != self._utterance:
            return
        started_secs = time.monotonic()
        transcript: Transcript | None = None
        try:
            transcript = self._engine.guess(
                audio_s16,
                lambda: utterance == self._utterance and not self._pausing,
                language=self._guessed_language,
            )
        # Whatever it is, the final is decoded anew and will say so.
        except Exception as error:  # noqa: BLE001
            logger.debug(f"no partial: {error!r}")
        with self._lock:
            if utterance != self._utterance:
                return
            if transcript:
                self._decode_secs = time.monotonic() - started_secs
                self._guessed_language = transcript.language
                self._agreement.add(transcript.text)
            self._partial_running = False


def _seems_to_pause(audio_s16: Pcm16) -> bool:
    tail_f64 = audio_s16[-int(QUIET_SECS * SAMPLE_RATE_HZ) :].astype(np.float64)
    whole_f64 = audio_s16.astype(np.float64)
    return float(np.sqrt(np.square(tail_f64).mean())) < QUIET_RATIO * float(np.sqrt(np.square(whole_f64).mean()))
