"""What all routes of the web application look at: the settings, what is loaded by now, and the conversations so far."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.conversation.histories import Histories
from agent.conversation.written_answers import WrittenAnswers
from agent.engines.host import MindlessHost, ModelHost
from agent.engines.speaking import Speaking
from agent.models.pulls import Pulls
from agent.server.calls.session import Metered
from agent.server.calls.sessions import BusyError, LiveSessions
from agent.server.calls.webrtc import WebSessions
from agent.server.guard.client_secrets import ClientSecrets
from agent.server.guard.token import with_token
from agent.server.realtime.peer_calls import PeerCalls
from agent.server.speech.jobs import TranscriptionJobs
from agent.server.wire.errors import TooBusyError
from agent.server.wire.slots import Slots
from agent.settings.load import Settings, other_tools_environment

if TYPE_CHECKING:
    from agent.server.metrics.meters import Meters

LOADING = "the agent is still loading its models; try again in a moment"


@dataclass
class Loaded:
    """What the application can offer once the models are loaded.

    Attributes:
        sessions: The conversations; None with `--api-only`.
        peers: Those of them that come by WebRTC; None with `--api-only`.
    """

    host: ModelHost | MindlessHost
    jobs: TranscriptionJobs
    sessions: LiveSessions | None
    peers: WebSessions | None = None


class ServerState:
    """What the routes look at; `loaded` is set when the models are ready.

    Args:
        settings: Limits and thresholds; `server.token` = auto is replaced by a token of its own.
        api_only: Whether there is nothing but the speech API and /health.

    Attributes:
        written: How questions are answered in writing.
        questions: Places for them.
        speeches: Places for texts that are to be spoken.
        secrets: Short-lived keys of Realtime clients.
        calls: Those of Realtime clients by WebRTC.
        pulls: Models that somebody fetches from the page.
        is_draining: Whether calls that are held may end, and no other begins.
        meters: What is counted; None where `metrics.enabled` is off.
    """

    def __init__(self, settings: Settings, *, api_only: bool = False) -> None:
        self.settings = with_token(settings)
        self.api_only = api_only
        self.histories = Histories()
        self.loaded: Loaded | None = None
        self.is_draining = False
        self.secrets = ClientSecrets()
        self.calls = PeerCalls()
        self.pulls = Pulls(self.settings.models_dir.expanduser().absolute(), other_tools_environment())
        self.meters = _meters(settings)
        self.written = WrittenAnswers(self.settings)
        most = self.settings.server.max_chats
        self.questions = Slots(most, lambda: TooBusyError(most, "typed question", "server.max_chats"))
        speeches = self.settings.server.max_speeches
        self.speeches = Slots(speeches, lambda: TooBusyError(speeches, "speech", "server.max_speeches"))

    def metered(self) -> Callable[[str], Metered] | None:
        """Gives what counts for a conversation, by the way that it came in; None where nothing does."""
        if (meters := self.meters) is None:
            return None
        from agent.server.metrics.conversation import ConversationMeter

        return lambda way: ConversationMeter(meters, way)

    def jobs(self) -> TranscriptionJobs | None:
        """What transcribes recordings; None while the models are being loaded."""
        return self.loaded.jobs if self.loaded else None

    def speaking(self) -> Speaking | None:
        """What speaks texts; None where no voice is, or not yet."""
        host = self.loaded.host if self.loaded else None
        if host is None or host.tts is None or host.tts_threads is None:
            return None
        return Speaking(host.tts.loaded, host.tts_threads, self.settings.tts, host.tts_standby)

    def sessions(self) -> LiveSessions:
        """The conversations.

        Raises:
            BusyError: The models are still being loaded.
        """
        if self.loaded is None or self.loaded.sessions is None:
            raise BusyError(LOADING)
        return self.loaded.sessions

    def peers(self) -> WebSessions:
        """Those of them that come by WebRTC.

        Raises:
            BusyError: The models are still being loaded.
        """
        if self.loaded is None or self.loaded.peers is None:
            raise BusyError(LOADING)
        return self.loaded.peers

    def host(self) -> ModelHost:
        """The loaded engines.

        Raises:
            BusyError: The models are still being loaded.
        """
        if self.loaded is None or not isinstance(self.loaded.host, ModelHost):
            raise BusyError(LOADING)
        return self.loaded.host


def _meters(settings: Settings) -> "Meters | None":
    if not settings.metrics.enabled:
        return None
    # The library is imported where it is used only.
    from agent.server.metrics.meters import Meters

    return Meters()
