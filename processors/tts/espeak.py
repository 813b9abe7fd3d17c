"""espeak-ng through the library inside `espeakng-loader`: the voice that needs no download.

In:  text.   Out: 24 kHz mono s16 with word times from espeak's own word events.
Interface: espeak-ng `speak_lib.h`. Licence of the library: GPL-3.0-or-later.

A sentence takes a few milliseconds.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soxr

from processors.errors import EngineError
from processors.tts.espeak_library import EspeakLibrary
from processors.tts.synthesizer import SpeechChunk, SpokenWord, Voice
from processors.tts.word_times import word_spans

SAMPLE_RATE_HZ = 24_000
NATURAL_WORDS_PER_MINUTE = 165

_EVENT_LIST_TERMINATED = 0
_EVENT_WORD = 1
_CHARS_UTF8 = 1
_POS_CHARACTER = 1
_PARAMETER_RATE = 1
_EE_OK = 0


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass
class _Take:
    """What the callback gathers during one synthesis."""

    audio: list[np.ndarray[Any, np.dtype[np.int16]]] = field(default_factory=list)
    # (character offset, milliseconds) of each word event.
    words: list[tuple[int, int]] = field(default_factory=list)


class EspeakSynthesizer:
    """One espeak-ng voice.

    Args:
        voice: espeak's voice name, such as `en-us`, `en-gb` or `en-us+f3`.
        speed: 1 is the natural pace.

    Raises:
        EngineUnavailableError: The library cannot be loaded, or it does not know the voice.
    """

    name = "espeak"
    sample_rate_hz = SAMPLE_RATE_HZ
    max_threads = 1

    def __init__(self, *, voice: str = "en-us", speed: float = 1.0) -> None:
        self.model = voice
        self._words_per_minute = round(NATURAL_WORDS_PER_MINUTE * speed)
        self._take = _Take()
        self._callback = _Callback(self._gather)
        self._library = EspeakLibrary.shared()
        self._voice_name = self._library.voice_name(voice)

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        """See `Synthesizer.synthesize`; one chunk, since the whole takes milliseconds."""
        tokens = word_spans(text)
        if not tokens:
            return
        with self._library.lock:
            take = self._speak(text)
        if not take.audio:
            return
        audio_s16 = soxr.resample(np.concatenate(take.audio), self._library.rate_hz, SAMPLE_RATE_HZ)
        duration_secs = len(audio_s16) / SAMPLE_RATE_HZ
        yield SpeechChunk(audio_s16.tobytes(), _words(tokens, take.words, duration_secs))

    def voices(self) -> list[Voice]:
        """See `Synthesizer.voices`; one for each language, named after it."""
        # Without its dictionary a voice spells letter by letter.
        found = {
            language: Voice(language, language, label)
            for language, label, _ in self._library.listed()
            if language.split("-")[0] in self._library.dictionaries
        }
        return [found[name] for name in sorted(found)]

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> "EspeakSynthesizer":
        """See `Synthesizer.in_voice`."""
        return EspeakSynthesizer(voice=voice or language, speed=speed)

    def warm_up(self) -> None:
        """Speak one word."""
        for _ in self.synthesize("ready"):
            pass

    def close(self) -> None:
        """Nothing to free: the library stays for the life of the process."""

    def _speak(self, text: str) -> _Take:
        self._take = take = _Take()
        calls = self._library.calls
        calls.espeak_SetSynthCallback(self._callback)
        calls.espeak_SetVoiceByName(self._voice_name)
        calls.espeak_SetParameter(_PARAMETER_RATE, self._words_per_minute, 0)
        data = text.encode() + b"\0"
        status = calls.espeak_Synth(data, len(data), 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)
        if status != _EE_OK:
            raise EngineError(f"espeak failed with status {status} on {len(text)} characters")
        calls.espeak_Synchronize()
        return take

    def _gather(self, wave: Any, n_samples: int, events: Any) -> int:
        index = 0
        while events[index].type != _EVENT_LIST_TERMINATED:
            if events[index].type == _EVENT_WORD:
                self._take.words.append((events[index].text_position - 1, events[index].audio_position))
            index += 1
        if n_samples > 0 and wave:
            self._take.audio.append(np.ctypeslib.as_array(wave, (n_samples,)).copy())
        return 0


def _words(
    tokens: list[tuple[str, int, int]], events: list[tuple[int, int]], duration_secs: float
) -> tuple[SpokenWord, ...]:
    """Give every word of the text the time of the first event inside it.

    Args:
        tokens: (word, start, end) character spans in the text.
        events: (character offset, milliseconds), in order of the audio.
        duration_secs: The length of the whole.
    """
    starts: list[float] = []
    pending = list(events)
    latest_secs = 0.0
    for _, start, end in tokens:
        while pending and pending[0][0] < start:
            pending.pop(0)
        # A token without an event of its own (a dash, say) sounds with the word before it.
        if pending and pending[0][0] < end:
            latest_secs = max(latest_secs, min(pending.pop(0)[1] / 1000, duration_secs))
        starts.append(latest_secs)
    ends = [*starts[1:], duration_secs]
    return tuple(
        SpokenWord(word, start_secs, end_secs)
        for (word, _, _), start_secs, end_secs in zip(tokens, starts, ends, strict=True)
    )
