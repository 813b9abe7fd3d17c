"""One conversation from start to end: a pipeline on a transport, its observer and its history."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from loguru import logger
from pipecat.frames.frames import Frame, InterruptionFrame, LLMMessagesAppendFrame, TTSSpeakFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.transports.base_transport import BaseTransport
from pipecat.workers.runner import WorkerRunner

from agent.conversation.abilities import abilities
from agent.conversation.event_log import Event
from agent.conversation.events import EndCode
from agent.conversation.model_notes import NEWS, SILENCE, without_note
from agent.conversation.observer import ConversationObserver, Sink
from agent.conversation.pipeline import build_worker
from agent.conversation.served_tools import ServedTools
from agent.conversation.speaking_up import SpeakingUp
from agent.conversation.told_addresses import ToldAddresses
from agent.conversation.told_timers import ToldTimers
from agent.conversation.tracing import LatencySpans, is_tracing
from agent.conversation.waiting_pictures import BLIND, PICTURE
from agent.conversation.waking import wakes
from agent.conversation.watched_worker import Heard
from agent.engines.host import ModelHost
from agent.memory.turns import Turns
from agent.memory.user_memory import UserMemory
from agent.settings.load import Settings, public_values
from agent.tools.camera import Camera
from agent.tools.hang_up import HangUp
from agent.tools.mcp_servers import McpServers
from agent.tools.timers import TimerBook
from agent.tools.tool import Tool
from agent.tools.tool_room import room_for
from processors.frames import (
    AnswerFrame,
    ChangeHistoryFrame,
    GoBackFrame,
    NextReplyFrame,
    PushToTalkFrame,
    ReplyTerms,
    StartOverFrame,
    TypedTurnFrame,
)
from processors.llm.history import n_earlier_turns
from processors.llm.on_request import AnswersOnRequest
from processors.llm.pictures import Attached
from processors.llm.routing import without_images
from processors.llm.turn_point import TurnPoint, WayBack

STOP_TIMEOUT_SECS = 2.0
# Of a turn that notes stand for, or that another page has taken back.
GONE = "that turn no longer stands in the conversation word for word; ask it as a new question"


class Conversation:
    """Runs one pipeline until it is stopped.

    Args:
        host: The loaded engines.
        settings: Settings of the conversation.
        transport: Where sound comes from and goes to.
        sinks: Called with each event, on the event loop.
        speech_end_secs: Where the user's voice truly ended, if the transport knows it.
        context: The history to go on with; default: an empty one.
        about: Further fields of `session_started`.
        timers: The user's; default: some of this conversation's own.
        tools: What the agent can do beside what settings allow.
        memory: The user's; None: nothing is remembered.
        servers: Whose tools it can use, besides; connected or not.
        has_camera: Whether a page is there that can be asked for a picture.
        has_requests: Whether a client decides which turns are answered, and how; `answers` then.
        hang_up: Ends the telephone call, where the agent may do that.
        rate_hz: Of the agent's sound; default: its voice's.
        heard: Called with each frame of the microphone that all of the input side has had.

    Attributes:
        answers: Which turns are answered, where a client decides that.
        context: The history.
        camera: What the page sends its pictures to.
        end_reason: Why it ended, in words; `end_code` says it to programs.
        speaking_up: Knows when nobody speaks and nothing is due.
    """

    def __init__(
        self,
        host: ModelHost,
        settings: Settings,
        transport: BaseTransport,
        sinks: Sequence[Sink],
        *,
        speech_end_secs: Callable[[], float | None] = lambda: None,
        context: LLMContext | None = None,
        about: Mapping[str, Any] | None = None,
        timers: TimerBook | None = None,
        tools: Sequence[Tool] = (),
        memory: UserMemory | None = None,
        servers: McpServers | None = None,
        has_camera: bool = False,
        has_requests: bool = False,
        hang_up: HangUp | None = None,
        rate_hz: int | None = None,
        heard: Heard | None = None,
    ) -> None:
        self.speaking_up = SpeakingUp(self._say)
        memory = None if settings.tools.memory == "off" else memory
        kept = [Turns(memory, self._report_memory).note] if memory else []
        spans = LatencySpans() if is_tracing() else None
        self._observer = ConversationObserver(
            [*kept, *sinks, *([spans] if spans else []), self.speaking_up, self._note],
            speech_end_secs=speech_end_secs,
            joins=not settings.interpreter.is_on,
        )
        self.context = context or LLMContext()
        if memory:
            memory.n_turns_told = lambda: n_earlier_turns(self.context.messages)
        self.camera = Camera(has_page=has_camera, has_eyes=host.llm_options.sees)
        self._attached = attached = Attached()
        self._hang_up = hang_up
        if hang_up:
            hang_up.when_free = self.speaking_up.do
        emit = self._observer.emit
        self._timers = ToldTimers(timers, self.speaking_up, lambda: self._abilities.reflexes, emit, self.report)
        self._abilities = abilities(
            settings, self._timers.book, emit, tools, memory, camera=self.camera, hang_up=hang_up
        )
        toolbox = self._abilities.toolbox
        toolbox.report = lambda message: self.report("tool", message)
        # What ran beside the conversation is done: the language model finds the words, as it knows the result.
        toolbox.news = lambda name: self.speaking_up.do(lambda: self._tell_model(NEWS, name))
        toolbox.takes_long = lambda tool: self.speaking_up.add(self._abilities.reflexes.still_words(tool))
        self._served = ServedTools(servers, settings.tools.servers, toolbox, emit, room_for(host.llm_options))
        self._followed = (self._timers, self._served, ToldAddresses(host.addresses(), emit))
        self.answers = answers = AnswersOnRequest(self.context) if has_requests else None
        self._worker, self._steps = build_worker(
            host, settings, transport, self._observer, self.context, self._abilities, answers, rate_hz, attached, heard
        )
        if spans:
            spans.context = self._worker.tracing_context
        self._about = dict(about or {})
        self._waking = waking.as_json() if (waking := wakes(host, settings)) else {}
        self._engines = host.engines() | self._waking
        self._answer_secs, self._settings = host.answer_secs, public_values(settings)
        self._push_to_talk = settings.turn.mode == "push_to_talk"
        self._loop = asyncio.get_running_loop()
        self._running: asyncio.Task[None] | None = None
        self._warming_up: asyncio.Task[None] | None = None
        self._is_stopping = False
        self.end_reason, self.end_code = "ended", EndCode.ENDED

    def start(self) -> asyncio.Task[None]:
        """Start it; the task ends when the conversation has ended."""
        self._observer.emit(
            "session_started",
            t=0.0,
            engines=self._engines,
            answer_secs=self._answer_secs,
            settings=self._settings,
            push_to_talk=self._push_to_talk,
            **self._about,
        )
        for one in self._followed:
            one.begin()
        self._warming_up = asyncio.create_task(asyncio.to_thread(self._abilities.reflexes.warm_up), name="warm-up")
        self._running = asyncio.create_task(self._run(), name="conversation")
        return self._running

    async def change(self, host: ModelHost, settings: Settings, changed: Sequence[str]) -> None:
        """Go on with other engines and settings; what is under way is finished as it was begun.

        Args:
            host: The engines.
            settings: Differ from those of now in what a running conversation takes: `agent.settings.changes`.
            changed: Dotted keys of what differs.
        """
        self._abilities = self._abilities.again(settings)
        self.camera.has_eyes = sees = host.llm_options.sees
        if not sees:
            self._attached.drop()
            await self.change_history(without_images)
        self._served.make_room(room_for(host.llm_options))
        await self._steps.change(host, settings, self._abilities, self.context, set(changed))
        self._observer.emit(
            "settings_changed",
            changed=list(changed),
            engines=host.engines() | self._waking,
            answer_secs=host.answer_secs,
            push_to_talk=settings.turn.mode == "push_to_talk",
            sees=sees,
        )

    def refuse_change(self, message: str, *, needs_call: bool = False) -> None:
        """Tell that settings stay as they are.

        Args:
            message: Why, in one line.
            needs_call: Whether they can be had by joining again.
        """
        self._observer.emit("settings_refused", message=message, needs_call=needs_call)

    async def push_to_talk(self, active: bool) -> None:
        """The user presses or releases the key; it counts where `turn.mode` is push_to_talk.

        Args:
            active: Whether it is held from now on.
        """
        await self._queue(PushToTalkFrame(active))

    async def type(self, text: str, *, spoken: bool, pictures: Sequence[str] = ()) -> None:
        """The user types a turn, which cuts the agent off.

        Args:
            text: Its words; nothing happens without any.
            spoken: Whether the answer is spoken; else it is written only.
            pictures: Shown with it, as data URLs; where the model takes none, nothing is asked.
        """
        if pictures and not self.camera.has_eyes:
            self.report(PICTURE, BLIND)
        elif text.strip():
            if pictures:
                self._attached.add(text.strip(), pictures)
            await self._queue(TypedTurnFrame(text.strip(), spoken))

    async def interrupt(self) -> None:
        """The agent falls silent at once; the history holds what was heard."""
        await self._queue(InterruptionFrame())

    async def start_over(self, begin: Callable[[], str] = str) -> None:
        """The agent falls silent, and the history is emptied.

        Args:
            begin: Called just before; gives the id of the conversation that begins, "" where it has none.
        """
        self._attached.drop()
        await self._queue(InterruptionFrame(), StartOverFrame(begin))

    async def say_again(self, text: str) -> None:
        """The agent says something once more; it is heard into the history once more.

        Args:
            text: What it has said, plain or Markdown.
        """
        if text.strip():
            await self._queue(InterruptionFrame())
            await self._say(text.strip())

    async def ask_again(self, point: TurnPoint, text: str, *, spoken: bool, pictures: Sequence[str] = ()) -> None:
        """The conversation goes back to a turn of the user's, which is asked in other words.

        Args:
            point: The turn; it goes, and all that came after it.
            text: What is asked in its place.
            spoken: See `type`.
            pictures: See `type`; where the model takes none, all stays as it is.
        """
        if pictures and not self.camera.has_eyes:
            self.report(PICTURE, BLIND)
            return
        way = WayBack(point)
        self._attached.drop()
        await self._queue(InterruptionFrame())
        await self._until_done(lambda done: GoBackFrame(way.change, done))
        way.is_over = True
        if not way.found:
            self.report("history", GONE)
            return
        self._observer.emit("went_back", text=point.text, later=point.n_later, taken=way.taken)
        await self.type(text, spoken=spoken, pictures=pictures)

    def lend(self, tools: Sequence[Tool]) -> None:
        """Have these done, too, where the model calls them, in place of what was lent before.

        Args:
            tools: Which a single reply is told of.
        """
        self._abilities.toolbox.lend(tools)

    async def answer(self, terms: ReplyTerms) -> None:
        """Have the history answered as it stands; where a client decides that.

        Args:
            terms: Of the reply.
        """
        await self._queue(AnswerFrame(terms))

    async def speak_up(self, silence_secs: float) -> None:
        """Have the agent say something, as the user has said nothing for so long.

        Args:
            silence_secs: How long.
        """
        await self._tell_model(SILENCE, f"{silence_secs:.0f}")

    async def expect_reply(self, terms: ReplyTerms) -> None:
        """Say how a reply goes on with what its functions gave; returns when the language model knows.

        Args:
            terms: Of what follows.
        """
        await self._until_done(lambda done: NextReplyFrame(terms, done))

    async def change_history(self, change: Callable[[list[Any]], list[Any]]) -> None:
        """Change the history once all that was cut before has reached it; returns when that is done.

        Args:
            change: Gives the messages that are to stand, out of those that do.
        """
        if not self._running or self._running.done():
            self.context.set_messages(change(list(self.context.messages)))
            return
        await self._until_done(lambda done: ChangeHistoryFrame(change, done))

    async def undo(self, mark: str) -> None:
        """The user takes back what a tool did, as the event `tool_undo` offered it.

        Args:
            mark: Of an undo of this conversation; nothing happens by another one, or a second time.
        """
        self._abilities.toolbox.undo(mark)

    def report(self, stage: str, message: str) -> None:
        """Tell of something beside the pipeline that failed; the conversation goes on.

        Args:
            stage: What failed.
            message: How, in one line.
        """
        self._observer.emit("error", stage=stage, message=message)

    async def stop(self, reason: str, code: EndCode = EndCode.STOPPED) -> None:
        """End it now: what is being said is cut.

        Args:
            reason: What the log says about it; the first one counts, for the others follow from it.
            code: The same for programs.
        """
        if self._running and self._running.done():
            return
        if not self._is_stopping:
            self._is_stopping, self.end_reason, self.end_code = True, reason, code
        if self._running is None:
            return
        await self._worker.cancel(reason=reason)
        _, pending = await asyncio.wait([self._running], timeout=STOP_TIMEOUT_SECS)
        if pending:
            self._running.cancel()
            await asyncio.wait([self._running], timeout=STOP_TIMEOUT_SECS)

    def _report_memory(self, message: str) -> None:
        """On the memory's thread; the loop may be over."""
        logger.error(message)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.report, "memory", message)

    def _note(self, event: Event) -> None:
        self._abilities.toolbox.note(event)
        self.camera.note(event)
        if self._hang_up:
            self._hang_up.note(event)

    async def _say(self, text: str) -> None:
        """Say something unasked; it is heard into the history."""
        await self._queue(TTSSpeakFrame(text, append_to_context=True))

    async def _tell_model(self, note: str, what: str) -> None:
        self.context.set_messages(without_note(self.context.messages, note))
        told: list[Any] = [{"role": "developer", "content": note.format(what)}]
        await self._queue(LLMMessagesAppendFrame(told, run_llm=True))

    async def _until_done(self, frame: Callable[[Callable[[], None]], Frame]) -> None:
        """Queue a frame that says when it has been done, and wait for that."""
        if not self._running or self._running.done():
            return
        done = asyncio.Event()
        await self._queue(frame(done.set))
        either: list[asyncio.Task[Any]] = [asyncio.create_task(done.wait()), self._running]
        await asyncio.wait(either, timeout=STOP_TIMEOUT_SECS, return_when=asyncio.FIRST_COMPLETED)
        either[0].cancel()

    async def _queue(self, *frames: Frame) -> None:
        if self._running and not self._running.done():
            await self._worker.queue_frames(list(frames))

    async def _run(self) -> None:
        runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        await runner.add_workers(self._worker)
        try:
            await runner.run()
        finally:
            for one in self._followed:
                one.end()
            if self._warming_up:
                await asyncio.gather(self._warming_up, return_exceptions=True)
            self.speaking_up.close()
            self.camera.close()
            self._abilities.toolbox.close()
            self._observer.emit("session_ended", code=self.end_code.value, reason=self.end_reason)
