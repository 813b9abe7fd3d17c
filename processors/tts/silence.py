"""Silence around speech is cut away, and pauses are put where the text has them.

In:  speech as a model makes it, in pieces.   Out: the same without the silence at both ends, without clicks.
"""

from typing import Any

import numpy as np

_FRAME_SECS = 0.005
# Kept before the first sound and behind the last: a breath, the end of a consonant.
_LEAD_SECS = 0.02
_TAIL_SECS = 0.06
_FADE_SECS = 0.005
# The pause behind a mark that ends a piece of text.
PAUSE_SECS = {".": 0.2, "!": 0.2, "?": 0.2, ",": 0.1, ";": 0.15, ":": 0.15}

Audio = np.ndarray[Any, np.dtype[np.float32]]


class SilenceTrimmer:
    """Trims one stretch of speech while it is made.

    Args:
        sample_rate_hz: Of the sound.
        threshold: Amplitude (RMS of 5 ms) up to which it is silent.
    """

    def __init__(self, sample_rate_hz: int, threshold: float) -> None:
        self._frame = round(_FRAME_SECS * sample_rate_hz)
        self._lead = round(_LEAD_SECS * sample_rate_hz)
        self._tail = round(_TAIL_SECS * sample_rate_hz)
        self._fade = round(_FADE_SECS * sample_rate_hz)
        self._threshold = threshold
        self._held: Audio = np.zeros(0, np.float32)
        self._begun = False
        # Samples cut away in front: what a time in the untrimmed sound is late by.
        self.head_samples = 0

    def push(self, audio_f32: Audio) -> Audio:
        """Add a piece.

        Returns:
            What is certain to be inside the speech, shape (n_samples,); may be empty.
        """
        held = np.concatenate([self._held, audio_f32])
        first, last = self._loud_span(held)
        if not self._begun:
            cut = max(0, (len(held) if first is None else first) - self._lead)
            self.head_samples += cut
            held = held[cut:]
            if first is None:
                self._held = held
                return held[:0]
            self._begun = True
            last = None if last is None else last - cut
            held = held.copy()
            held[: self._fade] *= np.linspace(0.0, 1.0, len(held[: self._fade]), dtype=np.float32)
        until = 0 if last is None else last
        self._held = held[until:]
        return held[:until]

    def finish(self) -> Audio:
        """The end of the speech: what is left of it, faded out."""
        if not self._begun:
            return self._held[:0]
        rest = self._held[: self._tail].copy()
        fade = min(self._fade, len(rest))
        if fade:
            rest[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
        self._held = self._held[:0]
        return rest

    def _loud_span(self, audio_f32: Audio) -> tuple[int | None, int | None]:
        """Where the first frame that is not silent begins, and where the last one ends."""
        n_frames = len(audio_f32) // self._frame
        frames = audio_f32[: n_frames * self._frame].reshape(n_frames, self._frame)
        loud = np.flatnonzero(np.sqrt(np.square(frames).mean(axis=1)) > self._threshold)
        if not len(loud):
            return None, None
        return int(loud[0]) * self._frame, int(loud[-1] + 1) * self._frame


def pause_after(text: str, sample_rate_hz: int) -> Audio:
    """The silence behind a piece of text, by the mark that ends it; none where it ends within a clause."""
    mark = text.rstrip("\"'”’»)]} ")[-1:]
    return np.zeros(round(PAUSE_SECS.get(mark, 0.0) * sample_rate_hz), np.float32)
