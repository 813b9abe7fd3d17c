"""The agent ends a telephone call by itself: a goodbye first, and nothing closed before it was heard.

In:  a call of the tool, and the conversation's events.
Out: `end`, once all was said and the far side has played it, unless the caller speaks first.

Nobody is asked for a yes: whoever does not want the call to end says so, and it goes on.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.tools.tool import CALL_ID, Final, NoArguments, Tool

HANG_UP = "hang_up"
ABOUT = (
    "End this telephone call, when the caller says goodbye, asks you to hang up, or wants nothing more. "
    "Say goodbye in one short sentence; the call ends once it was heard."
)
WANTED: Mapping[str, str] = {"hanging_up": "say goodbye in one short sentence; the call ends once it was heard"}
SAID: Mapping[str, str] = {"hanging_up": "the call ends once what you have said was heard"}
CALLED_OFF: Mapping[str, str] = {"not_done": "the caller spoke, and the call went on"}


class HangUp:
    """Of one conversation on a telephone.

    Args:
        until_played: Waits until the far side has played what it was sent, for so long as that can take.
        end: Ends the call; must not block.

    Attributes:
        emit: Told of events: the name, then fields.
        when_free: Has something done as soon as nobody speaks and nothing is due.
        amend: Told what has become of a call of the tool whose result is in the history.
    """

    def __init__(self, until_played: Callable[[], Awaitable[None]], end: Callable[[], None]) -> None:
        self._until_played = until_played
        self._end = end
        self.emit: Callable[..., None] = lambda *_, **__: None
        self.when_free: Callable[[Callable[[], Awaitable[bool]]], None] = lambda _: None
        self.amend: Callable[[str, object], None] = lambda *_: None
        # The call of the tool that wants it, if one does, and what it gave.
        self._wanted: str | None = None
        self._given: Mapping[str, str] = WANTED
        self._has_spoken = self._caller_speaks = False
        # A turn that began after that, and may have no words.
        self._turn_open = False

    def tool(self) -> Tool:
        """What the language model calls."""
        return Tool(HANG_UP, ABOUT, NoArguments, self._want)

    def note(self, event: Mapping[str, Any]) -> None:
        """Follow the turns: a caller who speaks does not want to be hung up on; a cough changes nothing.

        Args:
            event: Any of the conversation's.
        """
        match event["event"]:
            case "user_started_speaking":
                self._caller_speaks = True
            case "user_stopped_speaking":
                self._caller_speaks = False
            case "turn_started":
                self._has_spoken = False
                self._begin_turn()
            case "turn_ended" if self._turn_open:
                self._end_turn(has_words=bool(event["text"]))
            case "llm_first_token":
                self._has_spoken = True
            case "tool_result":
                self._has_spoken = False
            case "speculation" if event["outcome"] == "thrown_away":
                self._has_spoken = False

    async def _want(self, _: NoArguments) -> object:
        if self._wanted is None:
            self.emit(HANG_UP, state="wanted")
            self.when_free(self._hang_up)
        self._wanted, self._turn_open = CALL_ID.get(), False
        # What the model wrote before the call was its goodbye: asked on, it would say a second one.
        self._given = SAID if self._has_spoken else WANTED
        return Final(dict(self._given)) if self._has_spoken else dict(self._given)

    async def _hang_up(self) -> bool:
        """End the call, if that is still wanted; nothing is said."""
        if self._wanted is not None:
            await self._until_played()
        if self._wanted is not None and (self._caller_speaks or self._turn_open):
            # Perhaps it is a turn with words, which calls it off.
            self.when_free(self._hang_up)
        elif self._wanted is not None:
            self.emit(HANG_UP, state="done")
            self._end()
        return False

    def _begin_turn(self) -> None:
        if self._wanted is not None:
            self._turn_open = True
            # An answer may be asked for before the turn has ended: it is one to words.
            self.amend(self._wanted, dict(CALLED_OFF))

    def _end_turn(self, *, has_words: bool) -> None:
        self._turn_open = False
        if self._wanted is not None and has_words:
            self._wanted = None
            self.emit(HANG_UP, state="called_off")
        elif self._wanted is not None:
            self.amend(self._wanted, dict(self._given))
