"""From what a model makes to what is played: silence trimmed, level set, rate changed, words in their places.

In:  stretches of float32 sound of one piece of text, and when its words sound in them.   Out: chunks at 24 kHz.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

import soxr

from processors.tts.silence import SilenceTrimmer, pause_after
from processors.tts.speech_level import Audio, SpeechLevel, at_gain
from processors.tts.synthesizer import SpeechChunk, SpokenWord

SAMPLE_RATE_HZ = 24_000
# Softer than this, at the level at which it will be played, is silence: 35 dB below speech.
_SILENCE = 10.0 ** (-55.0 / 20.0)


def finished(
    stretches: Iterator[Audio],
    words: Sequence[SpokenWord],
    piece: str,
    level: SpeechLevel,
    rate_hz: int,
    at_secs: float,
) -> Iterator[SpeechChunk]:
    """Make chunks of the sound of one piece, each as soon as its sound is there.

    Args:
        stretches: Sound about [-1, 1], shape (n_samples,) each.
        words: The words of the piece; times count from the first sample of the stretches.
        piece: The text, whose last mark says what pause follows.
        level: Of the voice; it learns.
        rate_hz: Of the stretches.
        at_secs: When the piece begins; the words' times in the chunks count from there.
    """
    first: list[Audio] = []
    while not level.is_known and (stretch := next(stretches, None)) is not None:
        level.learn(stretch)
        first.append(stretch)
    stretches = chain(first, stretches)
    gain = level.gain()
    trimmer = SilenceTrimmer(rate_hz, _SILENCE / gain)
    resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1) if rate_hz != SAMPLE_RATE_HZ else None
    waiting = list(words)
    n_sent = 0
    for audio_f32, is_last in _trimmed(stretches, trimmer):
        level.learn(audio_f32)
        sound = resampler.resample_chunk(audio_f32, is_last) if resampler else audio_f32
        n_sent += len(sound)
        late_secs = at_secs - trimmer.head_samples / rate_hz
        until_secs = at_secs + n_sent / SAMPLE_RATE_HZ
        moved = [_moved(word, late_secs, at_secs) for word in waiting]
        begun = [word for word in moved if is_last or word.start_secs < until_secs]
        waiting = waiting[len(begun) :]
        if len(sound) or begun:
            yield SpeechChunk(
                at_gain(sound, gain), tuple(_ended(word, until_secs if is_last else None) for word in begun)
            )
    pause = pause_after(piece, SAMPLE_RATE_HZ)
    if n_sent and len(pause):
        yield SpeechChunk(at_gain(pause, 1.0))


def _trimmed(stretches: Iterator[Audio], trimmer: SilenceTrimmer) -> Iterator[tuple[Audio, bool]]:
    """The stretches without the silence around them, and whether each is the last; only the last may be empty."""
    for audio_f32 in stretches:
        inside = trimmer.push(audio_f32)
        if len(inside):
            yield inside, False
    yield trimmer.finish(), True


def _moved(word: SpokenWord, by_secs: float, from_secs: float) -> SpokenWord:
    start_secs = max(word.start_secs + by_secs, from_secs)
    return SpokenWord(word.text, start_secs, max(word.end_secs + by_secs, start_secs))


def _ended(word: SpokenWord, until_secs: float | None) -> SpokenWord:
    if until_secs is None:
        return word
    return SpokenWord(word.text, min(word.start_secs, until_secs), min(word.end_secs, until_secs))
