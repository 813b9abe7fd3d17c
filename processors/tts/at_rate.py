"""Another synthesizer's speech at the rate that a conversation was begun with."""

from collections.abc import Iterator

import numpy as np
import soxr

from processors.tts.synthesizer import SpeechChunk, StoppableSpeech, Synthesizer


def speech_at_rate(synthesizer: Synthesizer, text: str, rate_hz: int) -> Iterator[SpeechChunk]:
    """Speak a text.

    Args:
        synthesizer: Speaks at any rate.
        text: Speakable words and punctuation.
        rate_hz: Of the chunks.

    Returns:
        What `Synthesizer.synthesize` does; the very same where the rates are.
    """
    speech = synthesizer.synthesize(text)
    return speech if synthesizer.sample_rate_hz == rate_hz else _Resampled(speech, synthesizer.sample_rate_hz, rate_hz)


class _Resampled:
    """Chunks at another rate; stopped as the ones it is made of are."""

    def __init__(self, speech: Iterator[SpeechChunk], from_hz: int, to_hz: int) -> None:
        self._speech = speech
        self._resampler = soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16")
        self._is_over = False

    def __iter__(self) -> "_Resampled":
        return self

    def __next__(self) -> SpeechChunk:
        if self._is_over:
            raise StopIteration
        chunk = next(self._speech, None)
        self._is_over = chunk is None
        samples = np.frombuffer(chunk.pcm16 if chunk else b"", "<i2")
        pcm16 = self._resampler.resample_chunk(samples, last=self._is_over).astype("<i2").tobytes()
        return SpeechChunk(pcm16, chunk.words if chunk else ())

    def stop(self) -> None:
        """See `StoppableSpeech`."""
        if isinstance(self._speech, StoppableSpeech):
            self._speech.stop()
