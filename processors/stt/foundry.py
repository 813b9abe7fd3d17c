"""Speech to text through Foundry Local: its live transcription session with NVIDIA's Nemotron.

In:  16 kHz mono s16 PCM.   Out: partials while somebody speaks, a Transcript at each pause.

The optional package foundry-local-sdk 2.x is imported when the engine is loaded. A live session takes sound from the
engine's thread, about 100 ms a push, and gives pieces of text to a thread that reads them; its one final text comes
after `stop()` only, so each pause ends a session and the next sound opens another. Every session is stopped, whatever
happens. No model is downloaded here.

Privacy: the runtime asks Microsoft's catalogue at each start and reports its process even with telemetry off, as its
own log says ("ProcessInfo still uploads"); `warm_up` tells the user. Licence: MIT; the model has its own.
"""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processors.errors import EngineError, EngineUnavailableError, UnsupportedRequestError
from processors.foundry_runtime import PRIVACY_NOTE, load
from processors.stt.foundry_catalogue import (
    DEFAULT_ALIAS,
    SPEECH,
    catalogue_model,
    knows_english_only,
    unavailable_on_error,
)
from processors.stt.foundry_session import LiveSession
from processors.stt.languages import LANGUAGE_NAMES
from processors.stt.pauses import transcribe_by_pauses
from processors.stt.recognizer import (
    BYTES_PER_SAMPLE,
    SAMPLE_RATE_HZ,
    Pcm16,
    Segment,
    Transcript,
    TranscriptionRequest,
)

PUSH_BYTES = SAMPLE_RATE_HZ // 10 * BYTES_PER_SAMPLE


class FoundryEngine:
    """A speech model that Foundry Local has loaded.

    Args:
        model_alias: Its name in Foundry Local's catalogue.
        language: ISO 639-1 code, or `auto` to give the model no hint.
        app_data_dir: Where Foundry Local keeps models and logs; its own directory in the user's home by default.

    Raises:
        EngineUnavailableError: The package is missing, the catalogue cannot be reached or lacks the alias, the model
            is not downloaded, or it does not load.
    """

    name = "foundry"
    # Threads only hand sound over and wait; the decoding is the runtime's.
    max_threads = 4
    pauses_freely = False
    shows_partials = True

    def __init__(
        self, model_alias: str = DEFAULT_ALIAS, *, language: str = "en", app_data_dir: Path | None = None
    ) -> None:
        if language not in ("en", "auto") and knows_english_only(model_alias):
            raise EngineUnavailableError(
                f"Foundry Local's model {model_alias} knows English only, not stt.language = {language!r}",
                "set stt.model to a multilingual alias of its catalogue",
            )
        self.model = model_alias
        self.language = language
        self._sessions: set[LiveSession] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._ending = contextlib.ExitStack()
        with contextlib.ExitStack() as ending:
            self._model = ending.enter_context(catalogue_model(model_alias, app_data_dir))
            load(self._model, model_alias, SPEECH)
            self._ending = ending.pop_all()

    def recognizer(self) -> "FoundryRecognizer":
        """A recognizer for one conversation."""
        return FoundryRecognizer(self, self.language)

    @property
    def languages(self) -> list[str]:
        """See `KnowsLanguages`; which ones a model of several languages knows is not told."""
        return ["en"] if knows_english_only(self.model) else sorted(LANGUAGE_NAMES)

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        """See `RecognizerEngine.transcribe`; it does not translate, and has no word times."""
        if request.task == "translate":
            raise UnsupportedRequestError("foundry does not translate: sotto models pull base", "task")
        language = request.language or self.language
        if language not in ("en", "auto") and knows_english_only(self.model):
            raise UnsupportedRequestError(
                f"{self.model} knows English only, not language = {language!r}: set stt.model to another alias",
                "language",
            )
        recognizer = FoundryRecognizer(self, language)
        return transcribe_by_pauses(recognizer, audio_s16, word_times=request.word_times)

    def warm_up(self) -> str | None:
        """Transcribe half a second of silence."""
        recognizer = self.recognizer()
        recognizer.accept(bytes(SAMPLE_RATE_HZ // 2 * BYTES_PER_SAMPLE))
        recognizer.finish()
        return PRIVACY_NOTE

    def close(self) -> None:
        """Stop every session, unload the model and end the runtime."""
        with self._lock:
            self._closed = True
            sessions = list(self._sessions)
        for session in sessions:
            with contextlib.suppress(EngineError):
                self.end_session(session)
        try:
            with unavailable_on_error("Foundry Local does not unload its model"):
                self._model.unload()
        finally:
            self._ending.close()

    def open_session(self, language: str | None) -> LiveSession:
        """Start a live session; `end_session` must follow.

        Raises:
            EngineError: It does not start, or the engine is closed.
        """
        with self._lock:
            if self._closed:
                raise EngineError("foundry is closed")
            session = LiveSession(self._model, language)
            self._sessions.add(session)
            return session

    def end_session(self, session: LiveSession) -> str:
        """Stop a live session, whatever state it is in.

        Returns:
            Its whole text.

        Raises:
            EngineError: It failed, now or before.
        """
        with self._lock:
            self._sessions.discard(session)
        return session.stop()


class FoundryRecognizer:
    """One conversation's stream of utterances; each stretch between two pauses is a session of its own."""

    def __init__(self, engine: FoundryEngine, language: str) -> None:
        self._engine = engine
        self._language = None if language == "auto" else language
        self._session: LiveSession | None = None
        self._waiting = bytearray()
        # Of the stretches before the running session.
        self._text = ""

    def accept(self, pcm16: bytes) -> str:
        """See `Recognizer.accept`."""
        self._waiting += pcm16
        with self._forgetting_on_error():
            while len(self._waiting) >= PUSH_BYTES:
                self._push(PUSH_BYTES)
            return self._with(self._session.text() if self._session else "")

    def pause(self) -> Transcript:
        """See `Recognizer.pause`."""
        with self._forgetting_on_error():
            if self._waiting:
                self._push(len(self._waiting))
            if self._session:
                session, self._session = self._session, None
                self._text = self._with(self._engine.end_session(session))
        return Transcript(self._text, language=self._language if self._text else None)

    def finish(self) -> Transcript:
        """See `Recognizer.finish`."""
        transcript = self.pause()
        self._text = ""
        return transcript

    def reset(self) -> None:
        """See `Recognizer.reset`."""
        self._waiting.clear()
        self._text = ""
        session, self._session = self._session, None
        if session:
            # What it heard or why it failed no longer matters: the utterance is thrown away.
            with contextlib.suppress(EngineError):
                self._engine.end_session(session)

    def _push(self, n_bytes: int) -> None:
        if self._session is None:
            self._session = self._engine.open_session(self._language)
        self._session.push(bytes(self._waiting[:n_bytes]))
        del self._waiting[:n_bytes]

    def _with(self, text: str) -> str:
        return f"{self._text} {text}".strip()

    @contextmanager
    def _forgetting_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.reset()
            raise
