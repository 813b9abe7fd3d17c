"""What all routes of the web application look at: the settings, what is loaded by now, and the conversations so far."""

from dataclasses import dataclass

from agent.conversation.histories import Histories
from agent.engines.host import EarsHost, ModelHost
from agent.engines.speaking import Speaking
from agent.server.calls.sessions import BusyError, LiveSessions
from agent.server.calls.webrtc import WebSessions
from agent.server.guard.token import with_token
from agent.server.speech.jobs import TranscriptionJobs
from agent.settings.load import Settings

LOADING = "the agent is still loading its models; try again in a moment"


@dataclass
class Loaded:
    """What the application can offer once the models are loaded.

    Attributes:
        sessions: The conversations; None with `--api-only`.
        peers: Those of them that come by WebRTC; None with `--api-only`.
    """

    host: ModelHost | EarsHost
    jobs: TranscriptionJobs
    sessions: LiveSessions | None
    peers: WebSessions | None = None


class ServerState:
    """What the routes look at; `loaded` is set when the models are ready.

    Args:
        settings: Limits and thresholds; `server.token` = auto is replaced by a token of its own.
        api_only: Whether there is nothing but the speech API and /health.
    """

    def __init__(self, settings: Settings, *, api_only: bool = False) -> None:
        self.settings = with_token(settings)
        self.api_only = api_only
        self.histories = Histories()
        self.loaded: Loaded | None = None

    def jobs(self) -> TranscriptionJobs | None:
        """What transcribes recordings; None while the models are being loaded."""
        return self.loaded.jobs if self.loaded else None

    def speaking(self) -> Speaking | None:
        """What speaks texts; None where no voice is, or not yet."""
        host = self.loaded.host if self.loaded else None
        if not isinstance(host, ModelHost):
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
