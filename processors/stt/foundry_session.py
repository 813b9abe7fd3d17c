"""One live transcription session of Foundry Local, with the thread that reads its results.

In:  pieces of sound from one thread.   Out: text so far; all of the text once it is stopped.
"""

import threading
from typing import Any

from processors.errors import EngineError, one_line
from processors.stt.foundry_catalogue import engine_errors
from processors.stt.recognizer import BYTES_PER_SAMPLE, SAMPLE_RATE_HZ

# A session that failed to stop may leave its reader waiting for ever.
READER_END_SECS = 1.0


class LiveSession:
    """One live transcription session with the thread that reads its results.

    Raises:
        EngineError: It does not start.
    """

    def __init__(self, model: Any, language: str | None) -> None:
        self._lock = threading.Lock()
        self._stopped = False
        self._partial = ""
        self._final: str | None = None
        self._error: Exception | None = None
        self._reading = threading.Event()
        with engine_errors():
            self._session = model.get_audio_client().create_live_transcription_session()
            settings = self._session.settings
            settings.sample_rate = SAMPLE_RATE_HZ
            settings.channels = 1
            settings.bits_per_sample = 8 * BYTES_PER_SAMPLE
            settings.language = language
            try:
                self._session.start()
            except BaseException:
                self._session.close()
                raise
        self._reader = threading.Thread(target=self._read, name="foundry-reader", daemon=True)
        self._reader.start()
        # A session that is stopped before anybody reads it refuses to be read.
        self._reading.wait()

    def push(self, pcm16: bytes) -> None:
        """Hand over about 100 ms of sound.

        Raises:
            EngineError: The session has failed.
        """
        self._check()
        with engine_errors():
            self._session.append(pcm16)

    def text(self) -> str:
        """What was heard so far.

        Raises:
            EngineError: The session has failed.
        """
        self._check()
        return self._partial.strip()

    def stop(self) -> str:
        """End the session and wait for its whole text; a second call only gives the text again.

        Raises:
            EngineError: The session failed.
        """
        with self._lock:
            if not self._stopped:
                self._stopped = True
                self._end()
        self._check()
        return (self._partial if self._final is None else self._final).strip()

    def _end(self) -> None:
        with engine_errors():
            try:
                self._session.stop()
                # Once that returns, the end of the results lies in the reader's queue.
                self._reader.join()
            finally:
                self._session.close()
                self._reader.join(READER_END_SECS)

    def _check(self) -> None:
        if self._error is not None:
            raise EngineError(f"foundry failed: {one_line(self._error)}") from self._error

    def _read(self) -> None:
        self._reading.set()
        try:
            for response in self._session.get_stream():
                text = "".join(part.text for part in response.content)
                if response.is_final:
                    self._final = text
                else:
                    # Pieces of words; they carry their own spaces.
                    self._partial += text
        # The SDK hands on whatever its own thread ran into; the engine's thread raises it.
        except Exception as error:  # noqa: BLE001
            self._error = error
