"""Recordings of conversations that callers asked for: a stereo WAV and an event log each, kept for a while.

In:  a transport that is being talked on, and the events of its conversation.   Out: two files that only this user can
     read, until the server stops, an hour has passed, somebody deletes them, or newer ones need the room.

A conversation that goes on in a further call, which is recorded too, goes on in the same files: there is silence for
the time between, and both have one timeline.

Callers who have no page to ask on are recorded where the user has named a folder for it; those files stay.

RecordingBusyError   the conversation is still being held
"""

import asyncio
import errno
import os
import secrets
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipecat.transports.base_transport import BaseTransport

from agent.conversation.live_recording import LiveRecording, OnFailure
from agent.errors import InputError, SottoError
from transports.errors import RecordingError

KEEP_SECS = 3600.0
MAX_KEPT = 20
# Of one call, whose page starts over again and again.
MAX_KEPT_OF_CALL = 4
# A longer time between two calls is as much silence.
MAX_SILENCE_SECS = 300.0
# A recording is whole by then, or its disk is too slow.
SETTLE_SECS = 6.0
PREFIX = "sotto-recordings-"


class RecordingBusyError(SottoError):
    """The conversation is still being held."""


@dataclass
class _Kept:
    folder: Path
    rate_hz: int
    call: str = ""
    is_wanted: bool = True
    forgetting: asyncio.TimerHandle | None = None
    ended_secs: float = 0.0
    is_whole: bool = True
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_live(self) -> bool:
        return self.forgetting is None


class Recordings:
    """All of them, the latest of each conversation; made and called on the event loop.

    Args:
        keep_secs: How long one is kept after its conversation.
        max_kept: How many are kept; the oldest goes first.
    """

    def __init__(self, *, keep_secs: float = KEEP_SECS, max_kept: int = MAX_KEPT) -> None:
        self._keep_secs = keep_secs
        self._max_kept = max_kept
        self._root: Path | None = None
        # In the order in which they ended; by the id of the conversation, which never becomes part of a path.
        self._kept: dict[str, _Kept] = {}

    def begin(
        self,
        conversation: str,
        transport: BaseTransport,
        rate_hz: int,
        on_failure: OnFailure = lambda failure: None,
        *,
        asleep: bool = False,
        at_secs: float = 0.0,
        call: str = "",
    ) -> LiveRecording:
        """Record a conversation from now on; an earlier recording of it goes on.

        One that has not ended, or is at another rate, is deleted: see `settled` and `rate_hz_of`.

        Args:
            conversation: Its id.
            transport: What it will be held on, or is.
            rate_hz: Of the agent's voice.
            on_failure: Called once, with one line, when nothing more can be recorded; the conversation goes on.
            asleep: Whether the conversation begins asleep.
            at_secs: When it begins, on the call's timeline.
            call: The conversation that the call began with; default: this one.

        Raises:
            InputError: Nothing can be recorded at all, for want of a place on the disk say.
        """
        if conversation in self._kept and self.rate_hz_of(conversation) != rate_hz:
            self._drop(conversation)
        earlier = self._kept.get(conversation)
        kept, after_secs = earlier or _Kept(Path(), rate_hz), None
        try:
            if earlier:
                after_secs = min(asyncio.get_running_loop().time() - earlier.ended_secs, MAX_SILENCE_SECS)
            else:
                kept.folder = self._folder()
            on_end = lambda is_whole: self._keep(conversation, kept, is_whole)  # noqa: E731 - it is handed on
            live = LiveRecording(
                *(kept.folder, transport, rate_hz, on_failure, on_end),
                after_secs=after_secs,
                asleep=asleep,
                at_secs=at_secs,
            )
        except (RecordingError, InputError) as error:
            raise InputError(str(error)) from error
        except OSError as error:
            raise InputError(f"nothing can be recorded: {error.strerror or error}") from error
        if kept.forgetting:
            kept.forgetting.cancel()
        kept.forgetting, kept.call, kept.is_wanted = None, call or conversation, True
        kept.ended.clear()
        self._kept[conversation] = kept
        return live

    def rate_hz_of(self, conversation: str) -> int | None:
        """The rate of a recording that goes on with the next call; None where none does, or it is still being written.

        Args:
            conversation: Its id.
        """
        kept = self._kept.get(conversation)
        return kept.rate_hz if kept and not kept.is_live and kept.is_whole else None

    async def settled(self, conversation: str) -> None:
        """Wait until the files of a conversation that has just ended are whole.

        Args:
            conversation: Its id.
        """
        kept = self._kept.get(conversation)
        if kept and kept.is_live:
            with suppress(TimeoutError):
                await asyncio.wait_for(kept.ended.wait(), SETTLE_SECS)

    def file(self, conversation: str, name: str) -> Path | None:
        """A file of the latest recording of a conversation; None if there is none.

        Args:
            conversation: Its id.
            name: `recording.wav` or `events.jsonl`.

        Raises:
            RecordingBusyError: It is still being held.
        """
        kept = self._kept.get(conversation)
        if kept is None:
            return None
        if kept.is_live:
            raise RecordingBusyError("this conversation is still being held; end it first")
        path = kept.folder / name
        return path if path.is_file() else None

    def forget(self, conversation: str) -> bool:
        """Delete what was recorded of a conversation; whether there was anything.

        Raises:
            RecordingBusyError: It is still being held.
        """
        kept = self._kept.get(conversation)
        if kept is None:
            return False
        if kept.is_live:
            raise RecordingBusyError("this conversation is still being held; end it first")
        self._drop(conversation)
        return True

    def let_go(self, conversation: str) -> None:
        """Delete what was recorded of a conversation, as soon as it has been written.

        Args:
            conversation: Its id.
        """
        if (kept := self._kept.get(conversation)) is None:
            return
        if kept.is_live:
            kept.is_wanted = False
        else:
            self._drop(conversation)

    def close(self) -> None:
        """Delete everything; conversations must have ended."""
        for conversation in list(self._kept):
            self._drop(conversation)
        if self._root:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None

    def _folder(self) -> Path:
        if self._root is None:
            _sweep()
            self._root = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        return self._root / secrets.token_hex(8)

    def _keep(self, conversation: str, kept: _Kept, is_whole: bool) -> None:
        if self._kept.get(conversation) is not kept:
            # Another recording has taken its place.
            shutil.rmtree(kept.folder, ignore_errors=True)
            return
        if not kept.is_wanted:
            kept.ended.set()
            del self._kept[conversation]
            shutil.rmtree(kept.folder, ignore_errors=True)
            return
        kept.ended_secs, kept.is_whole = asyncio.get_running_loop().time(), is_whole
        kept.ended.set()
        # To the end of the order.
        self._kept[conversation] = self._kept.pop(conversation)
        kept.forgetting = asyncio.get_running_loop().call_later(self._keep_secs, self._drop, conversation)
        ended = [name for name, one in self._kept.items() if not one.is_live]
        of_call = [name for name in ended if self._kept[name].call == kept.call]
        for name in {*ended[: -self._max_kept], *of_call[:-MAX_KEPT_OF_CALL]}:
            self._drop(name)

    def _drop(self, conversation: str) -> None:
        kept = self._kept.pop(conversation)
        if kept.forgetting:
            kept.forgetting.cancel()
            shutil.rmtree(kept.folder, ignore_errors=True)


def prepare_folder(folder: Path) -> None:
    """Make sure that a folder is there, and that recordings can be kept in it.

    Raises:
        InputError: They cannot.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(
            f"server.recordings = {folder} cannot be used ({error.strerror}): name a folder that may be written"
        ) from error


def kept_recording(
    folder: Path, door: str, transport: BaseTransport, rate_hz: int, on_failure: OnFailure
) -> LiveRecording:
    """Record a conversation into a folder of the user's, where it stays.

    Args:
        folder: In which it gets a folder of its own, called by the time.
        door: Whose caller it is; part of that name.
        transport: What it will be held on; not started yet.
        rate_hz: Of the agent's voice.
        on_failure: Called once, with one line, when nothing more can be recorded; the conversation goes on.

    Raises:
        InputError: Nothing can be recorded.
    """
    prepare_folder(folder)
    name = f"{time.strftime('%Y-%m-%d %H.%M.%S')} {door} {secrets.token_hex(2)}"
    try:
        return LiveRecording(folder / name, transport, rate_hz, on_failure, lambda _: None)
    except RecordingError as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"nothing can be recorded: {error.strerror or error}") from error


def _sweep() -> None:
    """Delete what servers that were killed have left behind."""
    if os.name != "posix":
        # Elsewhere there is no harmless way to ask whether a process lives.
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        # Whose it is may delete it just then.
        with suppress(FileNotFoundError):
            if pid.isdigit() and folder.stat().st_uid == os.getuid() and not _is_running(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
