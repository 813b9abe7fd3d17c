"""Speech to text on any server with OpenAI's audio API, such as a GPU box in the same house.

In:  16 kHz mono s16 PCM.   Out: a Transcript at each pause; no partials while somebody speaks.

Each utterance is one upload. `verbose_json` is asked for, because it tells how sure the model is; a server that
refuses it is asked for `json` from then on. API: OpenAI's reference of /audio/transcriptions and /audio/translations.
"""

import io
import re
import wave
from collections.abc import Iterator, Sequence
from dataclasses import replace

from processors.addresses import AddressGroup
from processors.errors import EngineError, EngineUnavailableError, UnsupportedRequestError
from processors.openai_client import NO_SUCH_ROUTE, OpenAIClient, ServerError
from processors.stt.languages import LANGUAGE_NAMES
from processors.stt.openai_answer import Answer, read_answer
from processors.stt.pauses import joined, speech_spans
from processors.stt.recognizer import (
    BYTES_PER_SAMPLE,
    SAMPLE_RATE_HZ,
    Pcm16,
    Segment,
    Task,
    Transcript,
    TranscriptionRequest,
)

DEFAULT_MODEL = "whisper-1"
# OpenAI refuses larger files.
MAX_UPLOAD_BYTES = 25_000_000
MAX_UTTERANCE_BYTES = MAX_UPLOAD_BYTES - 10_000  # header and form
# Less than this holds no word, and servers refuse it.
MIN_UTTERANCE_BYTES = SAMPLE_RATE_HZ // 10 * BYTES_PER_SAMPLE
# An upload of a long recording: 9.6 MB, well below the limit.
MAX_SPAN_SECS = 300.0
# Where each result is wanted as soon as possible.
PROMPT_SPAN_SECS = 30.0
# A longer silence is not worth its upload.
MAX_PAUSE_SECS = 5.0
# The first request may have to load the model.
WARM_UP_TIMEOUT_SECS = 30.0

# How an answer can be asked for, the most telling first, and the statuses that refuse the form and not the sound.
WITH_WORDS = "verbose_json with words"
WITH_SEGMENTS = "verbose_json"
TEXT_ONLY = "json"
FORM_REFUSALS = (400, 415, 422, 501)

_LISTENS = re.compile(r"whisper|\bstt\b|asr\b|transcri|parakeet|canary|moonshine|voxtral|sensevoice", re.IGNORECASE)
# Its name is that of language models, too.
_MAY_LISTEN = re.compile(r"nemotron|speech-to-text", re.IGNORECASE)


def choose_model(names: Sequence[str]) -> str:
    """The first that looks like a speech-to-text model, or else OpenAI's name for Whisper.

    Args:
        names: What the server lists.
    """
    for pattern in (_LISTENS, _MAY_LISTEN):
        for name in names:
            if pattern.search(name):
                return name
    return DEFAULT_MODEL


class OpenAIRecognizerEngine:
    """A speech-to-text server.

    Args:
        base_url: Its address, usually ending in /v1.
        api_key: Bearer token, if it wants one.
        model: The model to ask for; by default the first listed that looks as if it listens.
        language: ISO 639-1 code, or `auto` to let the model detect it.
        task: `translate` writes English whatever is spoken.
        prompt: Text that sets names, spelling and style.
        timeout_secs: The longest wait for an utterance.
        addresses: Of several servers with the same model, instead of `base_url` and `api_key`.

    Raises:
        EngineUnavailableError: The server does not answer, or refuses the token.
    """

    name = "openai"
    # Threads only wait for the network.
    max_threads = 4
    pauses_freely = True
    shows_partials = False

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        model: str | None = None,
        language: str = "en",
        task: Task = "transcribe",
        prompt: str | None = None,
        timeout_secs: float = 10.0,
        addresses: AddressGroup | None = None,
    ) -> None:
        self.addresses = addresses
        self._client = OpenAIClient(base_url, api_key, timeout_secs, addresses=addresses)
        self._own = TranscriptionRequest(language=language, task=task, prompt=prompt)
        self._refused_forms: set[tuple[Task, str]] = set()
        try:
            listed = self._client.models()
        except ServerError as error:
            self._client.close()
            raise EngineUnavailableError(error.reason, error.mend) from error
        self.model = model or choose_model(listed)

    @property
    def languages(self) -> list[str]:
        """See `KnowsLanguages`; what its model knows is for the server to say when it is asked."""
        return sorted(LANGUAGE_NAMES)

    def recognizer(self) -> "OpenAIRecognizer":
        """A recognizer for one conversation."""
        return OpenAIRecognizer(self)

    def hear(self, pcm16: bytes) -> Transcript:
        """Upload one utterance.

        Args:
            pcm16: Little-endian s16 mono at 16 kHz.

        Raises:
            EngineError: The server gave no transcript; the line names its address and what helps.
        """
        return self._ask(pcm16, self._own, self._client.timeout_secs).transcript()

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        """See `RecognizerEngine.transcribe`; one upload holds up to five minutes, and waits as long as it lasts."""
        request = replace(
            request, language=request.language or self._own.language, prompt=request.prompt or self._own.prompt
        )
        max_secs = PROMPT_SPAN_SECS if request.prompt_results else MAX_SPAN_SECS
        for span in joined(speech_spans(audio_s16), max_secs=max_secs, max_gap_secs=MAX_PAUSE_SECS):
            pcm16 = audio_s16[span.start_sample : span.end_sample].astype("<i2").tobytes()
            timeout_secs = self._client.timeout_secs + span.end_secs - span.start_secs
            try:
                answer = self._ask(pcm16, request, timeout_secs)
            except ServerError as error:
                if request.task == "translate" and error.status in NO_SUCH_ROUTE:
                    raise UnsupportedRequestError(str(error), "task") from error
                raise
            yield from answer.placed(span.start_secs, span.end_secs)

    def warm_up(self) -> str | None:
        """Upload half a second of silence, which makes servers load the model and shows what they refuse.

        Returns:
            That the server is slow or busy just now; else None.

        Raises:
            EngineUnavailableError: No utterance will work either: no such model, no such route, no JSON.
        """
        try:
            timeout_secs = max(self._client.timeout_secs, WARM_UP_TIMEOUT_SECS)
            self._ask(bytes(SAMPLE_RATE_HZ // 2 * BYTES_PER_SAMPLE), self._own, timeout_secs)
        except ServerError as error:
            if not error.may_pass:
                raise EngineUnavailableError(error.reason, error.mend) from error
            return f"{error.reason}; it may still be loading {self.model}"
        except EngineError as error:
            raise EngineUnavailableError(str(error)) from error
        return None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, pcm16: bytes, request: TranscriptionRequest, timeout_secs: float) -> Answer:
        wanted = (WITH_WORDS, WITH_SEGMENTS, TEXT_ONLY) if request.word_times else (WITH_SEGMENTS, TEXT_ONLY)
        forms = [form for form in wanted if (request.task, form) not in self._refused_forms]
        return self._ask_in_form(_wav_of(pcm16), request, timeout_secs, forms)

    def _ask_in_form(self, wav: bytes, request: TranscriptionRequest, timeout_secs: float, forms: list[str]) -> Answer:
        """Ask in the first form; where that is refused, in the next, and remember it once that works."""
        form, *simpler = forms
        language = None if request.language == "auto" else request.language
        translate = request.task == "translate"
        try:
            answer = self._client.post(
                "/audio/translations" if translate else "/audio/transcriptions",
                self._fields(request, language, form),
                wav,
                timeout_secs=timeout_secs,
            )
        except ServerError as error:
            if not simpler or error.status not in FORM_REFUSALS:
                raise
        else:
            # A translation is English, whichever language the server says it heard.
            return read_answer({**answer, "language": "en"} if translate else answer, self._client.shown, language)
        heard = self._ask_in_form(wav, request, timeout_secs, simpler)
        self._refused_forms.add((request.task, form))
        return heard

    def _fields(self, request: TranscriptionRequest, language: str | None, form: str) -> dict[str, str | list[str]]:
        fields: dict[str, str | list[str]] = {
            "model": self.model,
            "response_format": "json" if form == TEXT_ONLY else "verbose_json",
        }
        # The API of translations knows neither.
        if request.task == "transcribe":
            if form != TEXT_ONLY:
                fields["timestamp_granularities[]"] = ["word", "segment"] if form == WITH_WORDS else ["segment"]
            if language:
                fields["language"] = language
        if request.prompt:
            fields["prompt"] = request.prompt
        if request.temperature:
            fields["temperature"] = f"{request.temperature:g}"
        return fields


class OpenAIRecognizer:
    """Gathers one utterance and uploads all of it at each pause."""

    def __init__(self, engine: OpenAIRecognizerEngine) -> None:
        self._engine = engine
        self._audio = bytearray()
        self._text = ""
        # Of all audio so far; None once more has come.
        self._transcript: Transcript | None = None

    def accept(self, pcm16: bytes) -> str:
        """See `Recognizer.accept`; the text is that of the last pause."""
        if len(self._audio) + len(pcm16) > MAX_UTTERANCE_BYTES:
            self.reset()
            max_secs = MAX_UTTERANCE_BYTES // BYTES_PER_SAMPLE // SAMPLE_RATE_HZ
            raise EngineError(f"an utterance is longer than {max_secs} s: lower stt.max_utterance_secs")
        if pcm16:
            self._audio += pcm16
            self._transcript = None
        return self._text

    def pause(self) -> Transcript:
        """See `Recognizer.pause`."""
        if self._transcript is None:
            if len(self._audio) < MIN_UTTERANCE_BYTES:
                return Transcript("")
            try:
                self._transcript = self._engine.hear(bytes(self._audio))
            except EngineError:
                self.reset()
                raise
            self._text = self._transcript.text
        return self._transcript

    def finish(self) -> Transcript:
        """See `Recognizer.finish`."""
        try:
            return self.pause()
        finally:
            self.reset()

    def reset(self) -> None:
        """See `Recognizer.reset`."""
        self._audio.clear()
        self._text = ""
        self._transcript = None


def _wav_of(pcm16: bytes) -> bytes:
    """A WAV file of little-endian s16 mono at 16 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(BYTES_PER_SAMPLE)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(pcm16)
    return file.getvalue()
