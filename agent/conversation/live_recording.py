"""The recording of a conversation while it is held: a stereo WAV and an event log.

In:  a transport that is being talked on, and the events of its conversation.   Out: two files in a folder.

One thread writes both, in the order in which things come, so that a slow disk holds up no sound. One that stays behind
ends the recording, not the conversation, and that is told; what is whole by then stays.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from loguru import logger
from pipecat.transports.base_transport import BaseTransport

from agent.conversation.event_log import Event, EventLog
from transports.errors import RecordingError
from transports.session_recorder import CLOSE_TIMEOUT_SECS, TOO_SLOW, SessionRecorder

SOUND = "recording.wav"
EVENTS = "events.jsonl"
AWAKE, ASLEEP = "awake", "asleep"
# Of events; a lively conversation has some ten a second.
MAX_UNWRITTEN = 2_000
OnFailure = Callable[[str], None]


class LiveRecording:
    """The recording of a conversation that is being held; a sink of its events. Made and called on the event loop.

    Args:
        folder: Where the files go.
        transport: What is recorded; it must not have been started.
        rate_hz: Of the agent's voice.
        on_failure: Called once, with one line, when nothing more can be recorded.
        on_end: Called at the end, with whether the files are whole: a disk that is too slow may still be written to.
        after_secs: The files that are there go on so much later; None: there are none.
        asleep: Whether the conversation begins asleep.
        at_secs: When it begins, on the call's timeline, which the events and the sound are dated on.

    Attributes:
        start_secs: Where in the files it goes on; 0 in new ones.

    Raises:
        RecordingError, InputError, OSError: A file cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        transport: BaseTransport,
        rate_hz: int,
        on_failure: OnFailure,
        on_end: Callable[[bool], None],
        *,
        after_secs: float | None = None,
        asleep: bool = False,
        at_secs: float = 0.0,
    ) -> None:
        self._at_secs = at_secs
        goes_on = after_secs is not None
        if not goes_on:
            folder.mkdir(mode=0o700)
        self._on_failure = on_failure
        self._on_end = on_end
        self._failed = self._ended = self._is_behind = False
        self._loop = asyncio.get_running_loop()
        self._events = EventLog(folder / EVENTS, on_failure=self._fail_at_events, goes_on=goes_on)
        self._thread = ThreadPoolExecutor(1, "recorder")
        self._unwritten: deque[Future[None]] = deque()
        try:
            self._sound = SessionRecorder(
                folder / SOUND, rate_hz, self._fail, self._thread, after_secs=after_secs, at_secs=at_secs
            )
        except RecordingError:
            self._events.close()
            self._thread.shutdown(wait=False)
            raise
        self.start_secs = self._sound.start_secs
        # The first sound comes before the event that tells of sleep.
        self._sound.input_is_silent = asleep
        self._sound.attach(transport)

    def __call__(self, event: Event) -> None:
        """Take one event; settings are the owner's, and whoever talks may take the log away.

        What the microphone hears while the agent sleeps is nobody's: it is recorded as silence.
        """
        if event["event"] in (AWAKE, ASLEEP):
            self._sound.input_is_silent = event["event"] == ASLEEP
        if self._ended or self._is_behind:
            return
        while self._unwritten and self._unwritten[0].done():
            self._unwritten.popleft().result()
        if len(self._unwritten) >= MAX_UNWRITTEN:
            self._is_behind = True
            self._fail(TOO_SLOW)
            return
        told = {key: value for key, value in event.items() if key != "settings"}
        told["t"] = max(0.0, event["t"] - self._at_secs) + self.start_secs
        self._unwritten.append(self._thread.submit(self._events, told))

    async def end(self) -> None:
        """Finish the files, once the conversation has ended; a second end changes nothing.

        A disk that is too slow even now goes on being written to, for as long as the process lives.
        """
        if self._ended:
            return
        self._ended = True
        is_whole = False
        try:
            await self._sound.close()
            # The thread's last work: once it is done, all is.
            closing = self._loop.run_in_executor(self._thread, self._events.close)
            _, pending = await asyncio.wait([closing], timeout=CLOSE_TIMEOUT_SECS)
            is_whole = not pending
            if pending:
                self._fail(TOO_SLOW)
            else:
                closing.result()
        finally:
            self._thread.shutdown(wait=False)
            self._on_end(is_whole)

    def _fail_at_events(self) -> None:
        """On the thread that writes."""
        failure = str(self._events.failure or "event log cannot be written")
        with suppress(RuntimeError):
            # The loop may be over.
            self._loop.call_soon_threadsafe(self._fail, failure)

    def _fail(self, failure: str) -> None:
        if self._failed:
            return
        self._failed = True
        logger.error(failure)
        self._on_failure(failure)
