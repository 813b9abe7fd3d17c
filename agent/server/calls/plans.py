"""What a page, or a client of another door, asks for, and the session that can be started for it."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.conversation.histories import NOBODY, History, Owner
from agent.engines.host import ModelHost
from agent.server.wire.slots import Places
from agent.settings.load import Settings
from agent.tools.tool import Tool


@dataclass(frozen=True)
class Door:
    """What a client of another door than the page brings along, in place of a page and its tools.

    Attributes:
        tools: The client's own.
        own_tools: Whether the agent has its own besides.
    """

    tools: Sequence[Tool] = ()
    own_tools: bool = True


@dataclass(frozen=True)
class SessionRequest:
    """What a page asks for; nothing of it is checked yet.

    Attributes:
        conversation: The id of an earlier conversation to go on with.
        options: Dotted settings of this session.
        record: Whether sound and events are to be kept.
        owner: Whose a new conversation is; of the server's own making.
        memory: Whose memory it has, if any; of the server's own making.
        places: For what its client asks for beside the conversation; of the server's own making.
    """

    conversation: object = None
    options: object = None
    record: object = False
    owner: Owner = NOBODY
    memory: str | None = None
    places: Places | None = None


@dataclass(frozen=True)
class SessionPlan:
    """A session that can be started: settings, engines, a history held for it, if it is recorded, whose memory, places
    for what is asked for beside it, and what its client brings along where that is no page.
    """

    settings: Settings
    host: ModelHost
    history: History
    record: bool = False
    memory: str | None = None
    places: Places | None = None
    door: Door | None = None
