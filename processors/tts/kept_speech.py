"""Speech that is kept: what was said before in the same voice at the same pace is not made again.

In:  a text.   Out: the engine's chunks, or those of the last time.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator

from processors.tts.synthesizer import SpeechChunk, StoppableSpeech, Synthesizer, Voice

# Five minutes at 24 kHz.
MAX_BYTES = 16_000_000


class KeptSpeech:
    """Of all conversations; what was said longest ago makes room. Asked from any thread.

    Args:
        max_bytes: Of sound, in all.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._said: OrderedDict[Hashable, tuple[SpeechChunk, ...]] = OrderedDict()
        self._n_bytes = 0

    @property
    def n_bytes(self) -> int:
        """How much sound is kept."""
        return self._n_bytes

    def find(self, key: Hashable) -> tuple[SpeechChunk, ...] | None:
        """The speech of the last time, if it is still kept."""
        with self._lock:
            if key in self._said:
                self._said.move_to_end(key)
            return self._said.get(key)

    def keep(self, key: Hashable, chunks: tuple[SpeechChunk, ...]) -> None:
        """Keep speech that is whole."""
        with self._lock:
            self._n_bytes += _n_bytes(chunks) - _n_bytes(self._said.pop(key, ()))
            self._said[key] = chunks
            while self._n_bytes > self._max_bytes:
                _, dropped = self._said.popitem(last=False)
                self._n_bytes -= _n_bytes(dropped)


class KeptVoice:
    """An engine that does not say the same twice anew; see `Synthesizer`.

    Args:
        engine: Says what is not kept.
        speech: Of all conversations.
        language: espeak's name of the language that the engine's voice reads; its name does not tell it.
        speed: Its pace; nor this.
    """

    def __init__(self, engine: Synthesizer, speech: KeptSpeech, language: str, speed: float) -> None:
        self._engine = engine
        self._speech = speech
        self._reads = language, speed
        self.name = engine.name
        self.model = engine.model
        self.sample_rate_hz = engine.sample_rate_hz
        self.max_threads = engine.max_threads

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        """See `Synthesizer.synthesize`."""
        key = (self.name, self.model, self.sample_rate_hz, self._reads, text)
        kept = self._speech.find(key)
        return iter(kept) if kept is not None else _Noted(self._engine.synthesize(text), self._speech, key)

    def voices(self) -> list[Voice]:
        """See `Synthesizer.voices`."""
        return self._engine.voices()

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> "KeptVoice":
        """See `Synthesizer.in_voice`."""
        engine = self._engine.in_voice(voice, language=language, speed=speed)
        return KeptVoice(engine, self._speech, language, speed)

    def warm_up(self) -> None:
        """See `Synthesizer.warm_up`."""
        self._engine.warm_up()

    def close(self) -> None:
        """See `Synthesizer.close`."""
        self._engine.close()


class _Noted:
    """The chunks of an engine, kept once all have come and nobody has stopped them."""

    def __init__(self, chunks: Iterator[SpeechChunk], speech: KeptSpeech, key: Hashable) -> None:
        self._chunks = chunks
        self._speech = speech
        self._key = key
        self._taken: list[SpeechChunk] = []
        self._is_stopped = False

    def __iter__(self) -> Iterator[SpeechChunk]:
        return self

    def __next__(self) -> SpeechChunk:
        try:
            chunk = next(self._chunks)
        except StopIteration:
            if not self._is_stopped:
                self._speech.keep(self._key, tuple(self._taken))
            raise
        self._taken.append(chunk)
        return chunk

    def stop(self) -> None:
        """See `StoppableSpeech`; an engine that cannot be stopped is no longer listened to."""
        self._is_stopped = True
        if isinstance(self._chunks, StoppableSpeech):
            self._chunks.stop()


def _n_bytes(chunks: tuple[SpeechChunk, ...]) -> int:
    return sum(len(chunk.pcm16) for chunk in chunks)
