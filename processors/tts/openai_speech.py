"""Text to speech on any server with OpenAI's speech API, such as a GPU box in the same house.

In:  a sentence or clause.   Out: 24 kHz mono s16 while it comes, with word times by guess.

Each text is one request. WAV is asked for, whose header tells the rate; a server that refuses it is asked for raw PCM
from then on. It tells no word times: words are spread at the pace of what it has spoken before. API: OpenAI's reference
of /audio/speech; /audio/voices as Kokoro-FastAPI, speaches and sotto have it.
"""

import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import soxr
from loguru import logger

from processors.addresses import AddressGroup
from processors.errors import EngineError, EngineUnavailableError
from processors.http_line import Streamed
from processors.openai_client import VOICE, OpenAIClient, ServerError
from processors.tts.served_sound import Audio, ServedSound, UnreadableSoundError, served_sounds
from processors.tts.synthesizer import SpeechChunk, Voice
from processors.tts.word_times import GuessedWords, word_spans

SAMPLE_RATE_HZ = 24_000
DEFAULT_MODEL = "tts-1"
DEFAULT_VOICE = "alloy"
# How an answer can be asked for, and the statuses that refuse the form and not the text.
FORMS = ("wav", "pcm")
FORM_REFUSALS = (400, 415, 422, 501)
# Of a text that is spoken half as fast as people speak: so long may its answer last.
ANSWER_SECS_A_CHAR = 0.15
# The first request may have to load the model.
WARM_UP_TIMEOUT_SECS = 30.0
CHUNK_SAMPLES = SAMPLE_RATE_HZ // 50
MAX_VOICES = 2000
# Before anything has been spoken; then the pace of what was, the newest most.
FIRST_SECS_A_CHAR = 0.065
NEWEST_SHARE = 0.3

_SPEAKS = re.compile(
    r"tts|speech|speak|voice|kokoro|piper|orpheus|chatterbox|vits|bark|dia\b|csm\b|sotto", re.IGNORECASE
)


def choose_model(names: Sequence[str]) -> str:
    """The first that looks like a text-to-speech model, or else OpenAI's name for one.

    Args:
        names: What the server lists.
    """
    return next((name for name in names if _SPEAKS.search(name)), DEFAULT_MODEL)


class _Server:
    """What all voices of one server share; any number of threads may speak through it."""

    def __init__(
        self, base_url: str, api_key: str | None, timeout_secs: float, model: str | None, group: AddressGroup | None
    ) -> None:
        self.addresses = group
        self.client = OpenAIClient(base_url, api_key, timeout_secs, VOICE, group)
        try:
            listed = self.client.models()
            self.voices = _voices_of(self.client.listing("/audio/voices"))
        except ServerError as error:
            self.client.close()
            raise EngineUnavailableError(error.reason, error.mend) from error
        self.model = model or choose_model(listed)
        self.secs_a_char = FIRST_SECS_A_CHAR
        self.refused: set[str] = set()

    def took(self, n_chars: int, secs: float) -> None:
        """So long it has spoken on so many characters."""
        if n_chars and secs:
            self.secs_a_char += NEWEST_SHARE * (secs / n_chars - self.secs_a_char)


class OpenAISynthesizer:
    """A text-to-speech server.

    Args:
        base_url: Its address, usually ending in /v1.
        api_key: Bearer token, if it wants one.
        model: The model to ask for; by default the first listed that looks as if it speaks.
        voice: As the server calls it; by default its first of the language.
        language: espeak's name of the language that is spoken, such as `en-us`.
        speed: 0.5 to 2; 1 is the voice's natural pace.
        timeout_secs: The longest wait for sound.
        addresses: Of several servers with the same voices, instead of `base_url` and `api_key`.

    Raises:
        EngineUnavailableError: The server does not answer, refuses the token, or has no voice of the language.
    """

    name = "openai"
    sample_rate_hz = SAMPLE_RATE_HZ
    # Threads only wait for the network.
    max_threads = 4

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        model: str | None = None,
        voice: str | None = None,
        language: str = "en-us",
        speed: float = 1.0,
        timeout_secs: float = 10.0,
        addresses: AddressGroup | None = None,
    ) -> None:
        self._take(_Server(base_url, api_key, timeout_secs, model, addresses), voice, language, speed)

    def _take(self, server: _Server, voice: str | None, language: str, speed: float) -> None:
        self._server, self._language, self._speed = server, language, speed
        self.voice = voice or self._voice_of(language)

    @property
    def addresses(self) -> AddressGroup | None:
        """Where it is asked, if that is more than one address."""
        return self._server.addresses

    @property
    def model(self) -> str:
        """The voice in use."""
        return self.voice

    def synthesize(self, text: str) -> Iterator[SpeechChunk]:
        """See `Synthesizer.synthesize`."""
        return _Speech(self._server, text, self.voice, self._speed)

    def voices(self) -> list[Voice]:
        """See `Synthesizer.voices`; of a server that lists none the one in use. Those whose language it does not tell
        speak whatever they are given, and are listed in the language of the settings."""
        known = self._server.voices or [Voice(self.voice, "", self.voice)]
        return sorted(
            (Voice(one.name, one.language or self._language, one.label) for one in known), key=lambda one: one.name
        )

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> "OpenAISynthesizer":
        """See `Synthesizer.in_voice`; whether there is a voice that its list lacks shows when it is asked."""
        other = object.__new__(OpenAISynthesizer)
        other._take(self._server, voice or (self.voice if self._speaks(language) else None), language, speed)
        return other

    def warm_up(self) -> None:
        """Speak a word, which makes servers load the model and shows what they refuse.

        Raises:
            EngineUnavailableError: No text will be spoken either: no such model, voice or route, or no sound.
        """
        client = self._server.client
        speech = _Speech(
            self._server, "Hello.", self.voice, self._speed, max(client.timeout_secs, WARM_UP_TIMEOUT_SECS)
        )
        try:
            # To its end, so that the server is not cut off in its first answer.
            n_bytes = sum(len(chunk.pcm16) for chunk in speech)
        except ServerError as error:
            if not error.may_pass:
                raise EngineUnavailableError(error.reason, error.mend) from error
            logger.warning(f"tts: {error.reason}; it may still be loading {self._server.model}")
            return
        except EngineError as error:
            raise EngineUnavailableError(str(error), f"correct tts.base_url, now {client.shown}") from error
        if not n_bytes:
            reason = f"the text-to-speech server at {client.shown} makes no sound"
            raise EngineUnavailableError(reason, "look at its log")

    def close(self) -> None:
        """Close the connections."""
        self._server.client.close()

    def _voice_of(self, language: str) -> str:
        """The first of that language, else one that may speak any."""
        voices = self._server.voices
        code = language.split("-")[0]
        same = [one.name for one in voices if one.language == language]
        near = [one.name for one in voices if one.language.split("-")[0] == code]
        any_language = [one.name for one in voices if not one.language]
        if voices and not (same or near or any_language):
            known = ", ".join(sorted({one.language for one in voices})[:12])
            reason = f"no voice of the server speaks tts.language = {language!r}"
            raise EngineUnavailableError(reason, f"choose one such as {known}")
        if same or near:
            return (same or near)[0]
        return DEFAULT_VOICE if not voices or DEFAULT_VOICE in any_language else any_language[0]

    def _speaks(self, language: str) -> bool:
        """Whether the voice in use does, as far as the server tells."""
        own = next((one.language for one in self._server.voices if one.name == self.voice), "")
        return not own or own.split("-")[0] == language.split("-")[0]


class _Speech:
    """One text being spoken; see `StoppableSpeech`."""

    def __init__(self, server: _Server, text: str, voice: str, speed: float, timeout_secs: float | None = None) -> None:
        self._server = server
        self._text = text
        self._fields: dict[str, Any] = {"model": server.model, "input": text, "voice": voice}
        if speed != 1:
            self._fields["speed"] = speed
        self._speed = speed
        self._timeout_secs = (timeout_secs or server.client.timeout_secs) + ANSWER_SECS_A_CHAR * len(text)
        self._answer: Streamed | None = None
        self._is_stopped = False
        self._lock = threading.Lock()
        self._chunks = self._make()

    def __iter__(self) -> "_Speech":
        return self

    def __next__(self) -> SpeechChunk:
        return next(self._chunks)

    def stop(self) -> None:
        """See `StoppableSpeech`."""
        with self._lock:
            self._is_stopped = True
            if self._answer is not None:
                self._answer.stop()

    def _make(self) -> Iterator[SpeechChunk]:
        words = [word for word, _, _ in word_spans(self._text)]
        if not words or self._is_stopped:
            return
        pace = GuessedWords(words, self._server.secs_a_char / self._speed)
        n_samples = 0
        for audio_s16 in _in_chunks(_at_rate(self._sounds())):
            n_samples += len(audio_s16)
            yield SpeechChunk(audio_s16.astype("<i2").tobytes(), pace.until(n_samples / SAMPLE_RATE_HZ))
        if n_samples and not self._is_stopped:
            self._server.took(pace.n_chars, n_samples / SAMPLE_RATE_HZ * self._speed)
            if rest := pace.rest(n_samples / SAMPLE_RATE_HZ):
                yield SpeechChunk(b"", rest)

    def _sounds(self) -> Iterator[ServedSound]:
        """In the first form that the server does not refuse; that it was is remembered once another one works."""
        forms = [form for form in FORMS if form not in self._server.refused] or [FORMS[-1]]
        refused: list[str] = []
        for form in forms:
            has_sound = False
            try:
                for sound in self._in_form(form):
                    has_sound = True
                    yield sound
            except (ServerError, UnreadableSoundError) as error:
                may_do = isinstance(error, UnreadableSoundError) or error.status in FORM_REFUSALS
                if has_sound or form == forms[-1] or not may_do:
                    raise
                refused.append(form)
                continue
            self._server.refused.update(refused)
            return

    def _in_form(self, form: str) -> Iterator[ServedSound]:
        fields = {**self._fields, "response_format": form}
        asked = self._server.client.streaming(
            "/audio/speech", fields, timeout_secs=self._timeout_secs, on_start=self._started
        )
        try:
            with asked as answer:
                yield from served_sounds(iter(answer), answer.content_type, form)
        except ServerError:
            if not self._is_stopped:
                raise
        finally:
            self._answer = None

    def _started(self, answer: Streamed) -> None:
        with self._lock:
            self._answer = answer
            if self._is_stopped:
                answer.stop()


def _at_rate(sounds: Iterator[ServedSound]) -> Iterator[Audio]:
    """At our rate, whatever the server's."""
    resampler: Any = None
    for sound in sounds:
        if sound.rate_hz == SAMPLE_RATE_HZ:
            yield sound.audio_s16
            continue
        resampler = resampler or soxr.ResampleStream(sound.rate_hz, SAMPLE_RATE_HZ, 1, dtype="int16")
        yield resampler.resample_chunk(sound.audio_s16)
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.int16), last=True)


def _in_chunks(sounds: Iterator[Audio]) -> Iterator[Audio]:
    """In pieces of 20 ms or more, so that no crumb is a sign of life."""
    held: list[Audio] = []
    for sound in sounds:
        held.append(sound)
        if sum(map(len, held)) >= CHUNK_SAMPLES:
            yield np.concatenate(held)
            held = []
    if any(map(len, held)):
        yield np.concatenate(held)


def _voices_of(listing: Any) -> list[Voice]:
    """A list of names or of objects, by itself or as `voices` or `data`."""
    if isinstance(listing, dict):
        listing = listing.get("voices", listing.get("data"))
    found: dict[str, Voice] = {}
    for entry in listing[:MAX_VOICES] if isinstance(listing, list) else ():
        fields = entry if isinstance(entry, dict) else {"id": entry}
        name = fields.get("id") or fields.get("voice_id") or fields.get("name")
        label, language = fields.get("name"), fields.get("language")
        if isinstance(name, str) and name and name.isprintable():
            label = label if isinstance(label, str) and label.isprintable() else name
            language = language.lower().replace("_", "-") if isinstance(language, str) and language.isascii() else ""
            found[name] = Voice(name, language, label)
    return list(found.values())
