"""`sotto replay`: a conversation with recorded speech, paced in real time.

In:  a conversation script.   Out: a stereo WAV, an event log, a summary, and an exit status that says how it went.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from loguru import logger
from rich.console import Console

from agent.commands.printer import ReplayPrinter
from agent.commands.script import IDLE, ConversationScript, Step, Typed
from agent.conversation.activity import Activity
from agent.conversation.conversation import Conversation
from agent.conversation.event_log import Event, EventLog
from agent.conversation.events import EndCode
from agent.conversation.tracing import Tracing
from agent.engines.host import ModelHost, start_model_host
from agent.errors import InputError
from agent.memory.memory import YOURS, memory_of
from agent.memory.user_memory import UserMemory
from agent.settings.load import Settings
from agent.stopping import load_unless_stopped, stop_on_signals
from agent.tools.mcp_servers import McpServers
from processors.tts.synthesizer import Synthesizer
from transports.errors import RecordingError
from transports.recorded import IN_RATE_HZ, RecordedTransport
from transports.recording import Recording
from transports.room import AGENT_DBFS, Room, RoomSpec, active_dbfs

# The agent counts as idle when nothing has happened for this long: voice activity is told up to 0.4 s late.
SETTLE_SECS = 0.8
# A step gives the agent up when nothing has happened for this long.
STEP_TIMEOUT_SECS = 60.0
# Servers of tools that are slow to come are not waited for any longer.
SERVERS_SECS = 5.0
# Said to no one, to learn how loud a voice is.
VOICE_SAMPLE = "The quick brown fox jumps over the lazy dog, and then it runs back into the quiet forest."


@dataclass(frozen=True)
class ReplayFiles:
    """What a replay leaves behind."""

    out: Path | None = None
    events: Path | None = None


class _EventTimes:
    """When each event last happened; a sink."""

    def __init__(self) -> None:
        self.latest_secs: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        self.latest_secs[event["event"]] = event["t"]


class Replay:
    """Says the steps of a script to the agent, each at its time.

    Args:
        script: What is said and when.
        room: Where it is said, with an open loudspeaker; None stands for headphones.
        agent_dbfs: Level of the agent's voice, against which the echo is levelled.
    """

    def __init__(
        self, script: ConversationScript, room: RoomSpec | None = None, agent_dbfs: float = AGENT_DBFS
    ) -> None:
        self._script = script
        self.transport = RecordedTransport(_room_for(script, room, agent_dbfs) if room else None)
        self.activity = Activity()
        self._times = _EventTimes()
        self._step_started_secs = 0.0
        self._quiet_since_secs = 0.0
        self.sinks = (self.activity, self._times)

    async def run(self, conversation: Conversation, stopping: asyncio.Event) -> int:
        """Run it to its end, or until it is told to stop.

        Args:
            conversation: The conversation, not started yet.
            stopping: Ends it when set.

        Returns:
            0 if every step was answered and no stage failed, else 1.
        """
        running = conversation.start()
        speaking = asyncio.create_task(self._act(conversation))
        stopped = asyncio.create_task(stopping.wait())
        complete, reason, code = False, "the agent did not answer", EndCode.NO_ANSWER
        try:
            await asyncio.wait([running, speaking, stopped], return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                reason, code = "stopped", EndCode.STOPPED
            elif speaking.done():
                complete, reason, code = speaking.result(), "the script ended", EndCode.SCRIPT_DONE
        finally:
            speaking.cancel()
            stopped.cancel()
            await conversation.stop(reason, code)
        return 0 if complete and not self.activity.errors else 1

    async def _act(self, conversation: Conversation) -> bool:
        """Take every step; whether each one that asks for an answer led to one."""
        answered = True
        following = [*(step.after for step in self._script.steps[1:]), IDLE]
        for step, next_after in zip(self._script.steps, following, strict=True):
            if not await self._wait_for(step):
                return False
            n_answered_before = self.activity.n_answered
            self._step_started_secs = self.transport.card.now_secs
            await self._take(step, conversation)
            # A step that the next one talks into is judged by the turns alone.
            if next_after == IDLE:
                settled = await self._until(self._idle)
                unanswered = step.act and step.after == IDLE and self.activity.n_answered == n_answered_before
                if not settled or unanswered:
                    logger.error(f"not answered: {step}")
                    self.activity.give_up()
                    answered = False
        if not await self._until(self._idle):
            return False
        # A script ends when no timer is due any more, and the agent has told of the last.
        while self.activity.n_timers:
            await self.transport.card.next_tick()
            if not self.activity.n_timers and not await self._until(self._idle):
                return False
        await self._until_time(self.transport.card.now_secs + self._script.end_secs)
        return answered and self.activity.n_answered + self.activity.n_cut >= self.activity.n_turns

    async def _take(self, step: Step, conversation: Conversation) -> None:
        self._quiet_since_secs = self.transport.card.now_secs
        if isinstance(step.act, Recording):
            self.transport.card.say(step.act)
        elif isinstance(step.act, Typed):
            await conversation.type(step.act.text, spoken=step.act.spoken)
        else:
            await conversation.interrupt()

    async def _wait_for(self, step: Step) -> bool:
        if step.after == IDLE:
            happened = await self._until(self._idle)
            since_secs = self.transport.card.now_secs
        else:
            happened = await self._until(lambda: self._happened(step.after))
            since_secs = self._times.latest_secs.get(step.after, 0.0)
        if not happened:
            logger.error(f"never happened: after: {step.after}, before {step}")
            return False
        await self._until_time(since_secs + step.delay_secs)
        return True

    def _happened(self, event: str) -> bool:
        return self._times.latest_secs.get(event, -1.0) >= self._step_started_secs

    def _idle(self) -> bool:
        card = self.transport.card
        if card.is_saying or not self.activity.idle:
            self._quiet_since_secs = card.now_secs
            return False
        quiet_since_secs = max(self._quiet_since_secs, self.activity.last_event_secs)
        return card.now_secs - quiet_since_secs >= SETTLE_SECS

    async def _until(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition, checked at every 20 ms of the timeline; False when nothing happens."""
        card = self.transport.card
        started_secs = card.now_secs
        while not condition():
            since_secs = max(started_secs, self.activity.last_event_secs)
            if card.now_secs - since_secs > STEP_TIMEOUT_SECS and not card.is_saying:
                return False
            await card.next_tick()
        return True

    async def _until_time(self, t_secs: float) -> None:
        while self.transport.card.now_secs < t_secs:
            await self.transport.card.next_tick()


def level_dbfs(voice: Synthesizer) -> float:
    """How loud a voice is where it speaks; blocks for the time of a sentence.

    Raises:
        EngineError: It failed.
    """
    pcm16 = b"".join(chunk.pcm16 for chunk in voice.synthesize(VOICE_SAMPLE))
    return active_dbfs(np.frombuffer(pcm16, "<i2").astype(np.float32) / np.float32(32768), voice.sample_rate_hz)


def _room_for(script: ConversationScript, spec: RoomSpec, agent_dbfs: float) -> Room:
    """The room, with echo and noise levelled against these voices."""
    recordings = [step.act for step in script.steps if isinstance(step.act, Recording)]
    said_s16 = np.concatenate([np.zeros(0, np.int16), *(recording.audio_s16 for recording in recordings)])
    said_f32 = said_s16.astype(np.float32) / np.float32(32768)
    return Room(spec, IN_RATE_HZ, user_dbfs=active_dbfs(said_f32, IN_RATE_HZ), agent_dbfs=agent_dbfs)


async def replay(
    script: ConversationScript,
    settings: Settings,
    files: ReplayFiles,
    console: Console,
    room: RoomSpec | None = None,
) -> int:
    """Hold the conversation and write its files.

    Args:
        script: What is said and when.
        settings: Engines and thresholds.
        files: Where the WAV and the event log go.
        console: Where the conversation is shown.
        room: Where it is held, with an open loudspeaker; None stands for headphones.

    Returns:
        The exit status: 0 when every turn was answered, 1 when one was not or a stage failed, 130 or 143
        when a signal stopped it.

    Raises:
        InputError: A file cannot be written, or turns wait for a key.
        EngineUnavailableError: A stage has no usable engine.
    """
    if settings.turn.mode == "push_to_talk":
        raise InputError("a replay has no key to hold: sotto replay --set turn.mode=open")
    _check_outputs(files)
    stopping = stop_on_signals()
    tracing = Tracing(settings)
    log = EventLog(files.events, on_failure=stopping.set) if files.events else None
    try:
        host = await load_unless_stopped(lambda: start_model_host(settings), stopping)
        try:
            agent_dbfs = await asyncio.to_thread(level_dbfs, host.tts.loaded) if room else AGENT_DBFS
            run = Replay(script, room, agent_dbfs)
            status = await _hold(run, settings, host, files, console, log, stopping)
        finally:
            await host.close()
    finally:
        await tracing.close()
        if log:
            log.close()
    if log and log.failure:
        raise log.failure
    return stopping.exit_status if stopping.is_set() else status


async def _hold(
    run: Replay,
    settings: Settings,
    host: ModelHost,
    files: ReplayFiles,
    console: Console,
    log: EventLog | None,
    stopping: asyncio.Event,
) -> int:
    printer = ReplayPrinter(console)
    sinks = [*run.sinks, printer, *([log] if log else [])]
    card = run.transport.card
    memory = memory_of(settings)
    servers = McpServers(settings.mcp.servers if settings.tools.servers != "off" else {})
    async with AsyncExitStack() as ends:
        if memory:
            ends.push_async_callback(memory.close)
        ends.push_async_callback(servers.close)
        servers.start()
        # A script begins at once; who talks gives servers their time.
        await servers.settled(SERVERS_SECS)
        conversation = Conversation(
            host,
            settings,
            run.transport,
            sinks,
            speech_end_secs=lambda: card.speech_end_secs,
            memory=UserMemory(memory, YOURS, f"replay-{time.time():.0f}") if memory else None,
            servers=servers,
        )
        try:
            status = await run.run(conversation, stopping)
        finally:
            if files.out:
                _write(run.transport, files.out)
    printer.summary(run.activity, [str(path) for path in (files.out, files.events) if path])
    return status


def _write(transport: RecordedTransport, path: Path) -> None:
    try:
        transport.card.write(path)
    except RecordingError as error:
        raise InputError(str(error)) from error


def _check_outputs(files: ReplayFiles) -> None:
    """Find out before the conversation, not after it, that a file cannot be written."""
    if files.out is None:
        return
    if files.events and files.out.resolve() == files.events.resolve():
        raise InputError(f"--out and --events name the same file: {files.out}")
    try:
        files.out.open("ab").close()
    except OSError as error:
        raise InputError(f"recording cannot be written: {files.out}: {error.strerror}") from error
