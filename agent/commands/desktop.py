"""`sotto desktop`: a conversation on this machine's own microphone and loudspeaker.

In:  settings and devices.   Out: a conversation, shown in the terminal, until q, Ctrl-C or SIGTERM.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from loguru import logger
from rich.console import Console
from rich.live import Live
from rich.table import Table

from agent.commands.device_check import libraries_silenced
from agent.commands.keys import PushToTalkKey, keys_read
from agent.commands.printer import ReplayPrinter
from agent.commands.screen import DesktopScreen, DesktopStatus
from agent.conversation.activity import Activity
from agent.conversation.conversation import Conversation
from agent.conversation.events import EndCode
from agent.conversation.observer import Sink
from agent.conversation.tracing import Tracing
from agent.engines.host import ModelHost, start_model_host
from agent.logs import configure_logs
from agent.memory.memory import YOURS, memory_of
from agent.memory.user_memory import UserMemory
from agent.settings.load import Settings, data_folder
from agent.stopping import load_unless_stopped, stop_on_signals
from agent.tools.mcp_servers import McpServers
from agent.tools.timers import TimerBook
from transports.desktop import DesktopTransport
from transports.desktop_devices import list_devices, load_sounddevice

REFRESH_PER_SEC = 12
VOLUME_STEP = 0.1
# Of voices; which one speaks is not known before the models are loaded.
USUAL_RATE_HZ = 24_000

OnPushToTalk = Callable[[bool], Coroutine[Any, Any, None]]
OnStop = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class DesktopOptions:
    """What `sotto desktop` was asked for.

    Attributes:
        input: The microphone's number or part of its name; None is the system's default.
        output: The same of the loudspeaker.
        list_devices: Only list them.
    """

    input: str | None = None
    output: str | None = None
    list_devices: bool = False


class Desktop:
    """What the keys do to a conversation on the desktop.

    Args:
        transport: Its devices.
        keyed: Whether the agent listens only while the user talks by key, always (`turn.mode`).

    Attributes:
        on_push_to_talk: Told when the user begins and ends to talk by key.
        on_stop: Stops the agent.
        left: Set when the user leaves.
    """

    def __init__(self, transport: DesktopTransport, *, keyed: bool = False) -> None:
        self._audio = transport.audio
        self._audio.muted = keyed
        self._keyed = keyed
        self.on_push_to_talk: OnPushToTalk = _nothing
        self.on_stop: OnStop = transport.interrupt
        self.left = asyncio.Event()
        self._key = PushToTalkKey(self._talk)
        self._push_to_talk: bool | None = False if keyed else None
        self._tasks: set[asyncio.Task[None]] = set()

    def press(self, key: str) -> None:
        """Take a key."""
        match key:
            case " ":
                self._key.press()
            case "m" | "M":
                self._mute()
            case "s" | "S":
                self._run(self.on_stop())
            case "q" | "Q":
                self.left.set()
            case "+" | "=":
                self._audio.volume += VOLUME_STEP
            case "-":
                self._audio.volume -= VOLUME_STEP

    def look(self) -> DesktopStatus:
        """A look at the devices."""
        audio = self._audio
        return DesktopStatus(
            audio.microphone_dbfs,
            audio.loudspeaker_dbfs,
            audio.volume,
            audio.muted,
            self._push_to_talk,
            audio.description,
            audio.trouble,
            audio.counts.n_overruns,
            audio.counts.n_underruns,
            audio.counts.n_losses,
            self._keyed,
        )

    async def close(self) -> None:
        """Wait for what keys have begun."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _talk(self, active: bool) -> None:
        self._push_to_talk = active
        self._audio.muted = not active
        self._run(self.on_push_to_talk(active))

    def _mute(self) -> None:
        if self._push_to_talk is None:
            self._audio.muted = not self._audio.muted
            return
        # Back to free hands, unless there are none.
        talking, self._push_to_talk = self._push_to_talk, False if self._keyed else None
        self._key.leave()
        self._audio.muted = self._keyed
        if talking:
            self._run(self.on_push_to_talk(False))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error(f"key failed: {error!r}")


async def desktop(options: DesktopOptions, settings: Settings, console: Console) -> int:
    """Hold a conversation on the desktop until the user leaves.

    Args:
        options: Devices.
        settings: Engines and thresholds.
        console: Where the conversation is shown; captions and keys need a terminal, a pipe gets plain lines.

    Returns:
        The exit status: 0, or that of the signal which came before the models were loaded.

    Raises:
        DeviceError: PortAudio or a device is missing, unknown or refuses.
        EngineUnavailableError: A stage has no usable engine.
    """
    if options.list_devices:
        print_devices(console)
        return 0
    stopping = stop_on_signals()
    # Whatever is wrong with the devices is told before models are loaded.
    with libraries_silenced():
        await _transport(options, USUAL_RATE_HZ).audio.probe()
    tracing = Tracing(settings)
    host = await load_unless_stopped(lambda: start_model_host(settings), stopping)
    try:
        if stopping.is_set():
            return stopping.exit_status
        transport = _transport(options, host.tts.loaded.sample_rate_hz)
        await hold(host, settings, transport, console, stopping)
    finally:
        await tracing.close()
        await host.close()
    return 0


async def hold(
    host: ModelHost,
    settings: Settings,
    transport: DesktopTransport,
    console: Console,
    stopping: asyncio.Event,
    sinks: Sequence[Sink] = (),
) -> None:
    """Hold one conversation on a transport until the user leaves or it is told to stop.

    Args:
        host: The engines.
        settings: Thresholds.
        transport: The devices.
        console: Where it is shown.
        stopping: Ends it when set.
        sinks: Called with each event too.
    """
    desk = Desktop(transport, keyed=settings.turn.mode == "push_to_talk")
    activity = Activity()
    printer = ReplayPrinter(console)
    with keys_read(desk.press) as has_keys:
        screen = DesktopScreen(console, desk.look) if has_keys and console.is_terminal else None
        timers = TimerBook(data_folder() / "timers" / "desktop.json" if settings.timers.keep else None)
        servers = McpServers(settings.mcp.servers if settings.tools.servers != "off" else {})
        shown = [activity, screen or printer, *sinks]
        memory = memory_of(settings)
        mine = UserMemory(memory, YOURS, f"desktop-{time.time():.0f}") if memory else None
        async with AsyncExitStack() as ends:
            ends.push_async_callback(servers.close)
            if memory:
                ends.push_async_callback(memory.close)
            ends.push_async_callback(timers.close)
            servers.start()
            conversation = Conversation(host, settings, transport, shown, timers=timers, memory=mine, servers=servers)
            desk.on_push_to_talk = conversation.push_to_talk
            with _shown(screen, console, settings.log_level) if screen else nullcontext():
                await _run(conversation, desk, stopping)
    printer.summary(activity, [])
    counts = transport.audio.counts
    console.print(f"{counts.n_overruns} overruns, {counts.n_underruns} underruns, {counts.n_losses} lost devices")


async def _run(conversation: Conversation, desk: Desktop, stopping: asyncio.Event) -> None:
    running = conversation.start()
    ends = [asyncio.create_task(event.wait()) for event in (desk.left, stopping)]
    try:
        await asyncio.wait([running, *ends], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
        if desk.left.is_set():
            await conversation.stop("the user left", EndCode.USER_LEFT)
        else:
            await conversation.stop("stopped")
        await desk.close()


@contextmanager
def _shown(screen: DesktopScreen, console: Console, log_level: str) -> Iterator[None]:
    """Show the screen; log lines scroll by above it."""
    try:
        with (
            libraries_silenced(),
            Live(screen, console=console, refresh_per_second=REFRESH_PER_SEC, transient=True),
        ):
            # Live has put itself in the place of standard error.
            configure_logs(log_level)
            yield
    finally:
        configure_logs(log_level)


def _transport(options: DesktopOptions, out_rate_hz: int) -> DesktopTransport:
    return DesktopTransport(out_rate_hz, microphone=options.input, loudspeaker=options.output)


def print_devices(console: Console) -> None:
    """Print the table of sound devices.

    Raises:
        DeviceError: PortAudio is not installed.
    """
    table = Table("", "device", "sound system", "inputs", "outputs", "rate", "default", box=None)
    for device in list_devices(load_sounddevice()):
        defaults = [
            name for name, is_it in (("in", device.is_default_input), ("out", device.is_default_output)) if is_it
        ]
        table.add_row(
            str(device.index),
            device.name,
            device.host_api,
            str(device.n_inputs),
            str(device.n_outputs),
            f"{device.default_rate_hz} Hz",
            ", ".join(defaults),
        )
    if not table.row_count:
        console.print("no sound devices found")
        return
    console.print(table)


async def _nothing(active: bool) -> None:
    pass
