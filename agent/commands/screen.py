"""The desktop conversation on a terminal: what was said scrolls by, what is happening stands below it.

In:  events, and a look at the device several times a second.   Out: a rich Live display.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from agent.conversation.activity import Activity
from agent.conversation.event_log import Event

FLOOR_DBFS = -60.0
METER_CELLS = 24
# From here on a meter warns: soon samples are clipped.
LOUD_DBFS = -6.0
KEYS = "space talk (again: done; or hold it)   m mute   s stop the agent   + - volume   q leave"


@dataclass(frozen=True)
class DesktopStatus:
    """A look at the devices.

    Attributes:
        microphone_dbfs: Level (RMS) of what the agent is given to hear.
        loudspeaker_dbfs: Level of what is played.
        volume: 0 to 1.
        muted: Whether the agent hears nothing.
        push_to_talk: Whether the user is talking by key; None while hands are free.
        device: Both devices, their rate and latency.
        trouble: Why there is no device.
        n_overruns: Losses of microphone samples.
        n_underruns: Gaps of the agent's sound.
        n_losses: How often the device was lost.
        keyed: Whether hands are never free.
    """

    microphone_dbfs: float
    loudspeaker_dbfs: float
    volume: float
    muted: bool
    push_to_talk: bool | None
    device: str
    trouble: str | None
    n_overruns: int
    n_underruns: int
    n_losses: int
    keyed: bool = False


class DesktopScreen:
    """A sink of events, and a picture that rich's Live shows.

    Args:
        console: Where finished lines go.
        look: Looks at the devices.
    """

    def __init__(self, console: Console, look: Callable[[], DesktopStatus]) -> None:
        self._console = console
        self._look = look
        self._activity = Activity()
        self._partial = ""
        self._saying: list[str] = []
        self._latency = ""
        self._paused = False
        self.echo_tier = ""
        # What wakes the agent, while it sleeps.
        self._phrases = ""

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self._activity(event)
        match event["event"]:
            case "session_started":
                used = [f"{stage} {choice['engine']} ({choice['model']})" for stage, choice in event["engines"].items()]
                self._console.print(Text("   ".join(used), style="dim"), soft_wrap=True)
            case "partial_transcript":
                self._partial = event["text"]
            case "transcript":
                self._partial = ""
                self._say(event, "you", event["text"], "bold")
            case "bot_word":
                self._saying.append(event["text"])
            case "bot_stopped_speaking":
                self._finish(event, "cyan")
            case "interruption":
                self._finish(event, "yellow", " –")
            case "latency" if "voice_to_voice_ms" in event:
                self._latency = f"{event['voice_to_voice_ms']} ms"
            case "playout":
                self._paused = event["level"] == "paused"
            case "false_interruption":
                self._paused = False
            case "echo_tier":
                self.echo_tier = str(event["tier"])
            case "asleep":
                self._phrases = " or ".join(event["phrases"])
            case "awake":
                self._phrases = ""
            case "error":
                self._say(event, "error", f"{event['stage']}: {event['message']}", "red")

    def __rich__(self) -> Group:
        """What stands below: captions, meters, state."""
        status = self._look()
        lines = [
            self._caption("you", self._partial, "dim"),
            self._caption("agent", " ".join(self._saying), "cyan"),
            self._meters(status),
            self._state_line(status),
            Text(status.trouble or status.device, style="red" if status.trouble else "dim", overflow="ellipsis"),
            Text(KEYS, style="dim", overflow="ellipsis", no_wrap=True),
        ]
        return Group(*lines)

    def state(self, status: DesktopStatus) -> str:
        """What is going on, in a word or two."""
        activity = self._activity
        if self._paused:
            return "paused"
        if activity.bot_speaking:
            return "speaking"
        if status.muted:
            return "thinking" if activity.answer_due else "muted"
        if activity.user_speaking or activity.turn_open:
            return "hearing you"
        if self._phrases:
            return f"asleep: say {self._phrases}"
        return "thinking" if activity.answer_due else "listening"

    def _finish(self, event: Event, style: str, end: str = "") -> None:
        self._paused = False
        if self._saying:
            self._say(event, "agent", " ".join(self._saying) + end, style)
            self._saying = []

    def _say(self, event: Event, who: str, text: str, style: str) -> None:
        line = Text(f"{event['t']:8.2f}  {who:5}  ")
        self._console.print(line.append(text, style), soft_wrap=True)

    def _caption(self, who: str, text: str, style: str) -> Text:
        name = f"{who:>6}  "
        return Text(name, no_wrap=True).append(_last_cells(text, self._console.width - len(name)), style)

    def _meters(self, status: DesktopStatus) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_row(
            Text("   you  ").append_text(_meter(status.microphone_dbfs)),
            Text("agent  ").append_text(_meter(status.loudspeaker_dbfs)),
            Text(f"volume {round(100 * status.volume)} %", "dim"),
        )
        return table

    def _state_line(self, status: DesktopStatus) -> Text:
        line = Text("        ", no_wrap=True, overflow="ellipsis").append(self.state(status), "bold green")
        if status.push_to_talk is not None:
            resting = "space to talk" if status.keyed else "space to talk, m for hands-free"
            line.append("   push-to-talk: " + ("talking" if status.push_to_talk else resting))
        if self._latency:
            line.append(f"   answered in {self._latency}")
        if self.echo_tier:
            line.append(f"   echo {self.echo_tier}")
        for count, what in (
            (status.n_overruns, "overruns"),
            (status.n_underruns, "underruns"),
            (status.n_losses, "lost devices"),
        ):
            if count:
                line.append(f"   {count} {what}", "yellow")
        return line


def _meter(level_dbfs: float) -> Text:
    share = min(1.0, max(0.0, 1 - level_dbfs / FLOOR_DBFS))
    n_full = round(METER_CELLS * share)
    style = "red" if level_dbfs > LOUD_DBFS else "green"
    return Text("█" * n_full, style).append("·" * (METER_CELLS - n_full), "dim")


def _last_cells(text: str, n_cells: int) -> str:
    """The end of a caption that is longer than a line."""
    return text if len(text) <= n_cells else "…" + text[1 - n_cells :]
