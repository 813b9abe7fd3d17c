"""One call, acted out: joins as a page does, does what its script says, and leaves; its log is kept."""

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from agent.conversation.activity import Activity
from agent.server.calls.plan import SessionPlan
from agent.server.calls.session import LiveSession
from agent.server.calls.sessions import LiveSessions
from tests.bench.chaos.engines import StormyEars
from tests.bench.chaos.log import Asking, CallLog, Told
from tests.bench.chaos.script import Deed
from tests.bench.chaos.words import heard_words, said_word
from tests.support.dynamics_scripts import DEAD_SECS, EVENT_AFTER, SETTLE_SECS, SLOWEST_WORDS_SECS, WORDLESS, said
from tests.support.sounds import cough, recording, voice
from transports.recorded import RecordedTransport
from transports.recording import Recording

# What is said, and what is heard of it: the last word's place is taken by a word of the caller's own.
ASKINGS = (
    "tell me about the weather in Paris",
    "how many people live in Berlin",
    "please call my brother Peter",
    "set a timer for Monday and",
    "what is the tallest mountain of Norway",
    "play some music by Mozart",
)
SLOTS = {"Paris", "Berlin", "Peter", "Monday", "Norway", "Mozart"}
COMMANDS = ("wait a moment Peter", "stop talking please Peter")
BACKCHANNELS = ("mm hmm", "yeah", "okay right", "I see")
LOOK_SECS = 0.05
MESSAGE_SECS = 0.2
END_SECS = 10.0


def remember_sounds() -> None:
    """Make every sound that callers make, which are all kept."""
    for text in (*ASKINGS, *COMMANDS, *BACKCHANNELS):
        said(text)
    voice(WORDLESS)


class PageLine:
    """What carries the call; the page may be gone."""

    def __init__(self) -> None:
        self.is_gone = False

    def gone(self) -> str | None:
        return "is gone" if self.is_gone else None

    async def hang_up(self) -> None:
        pass


class Call:
    """A call while it goes on.

    Args:
        log: Is filled.
        ears: Are told what the caller says.
        next_number: Gives the number of the caller's next own word.
        n_asked: How many replies the caller has been given so far.
        rng: For which words are said.
    """

    def __init__(
        self, log: CallLog, ears: StormyEars, next_number: Callable[[], int], n_asked: Callable[[], int], rng: Random
    ) -> None:
        self.log = log
        self.transport = RecordedTransport()
        self.line = PageLine()
        self._activity = Activity()
        self._ears, self._next_number, self._n_asked, self._rng = ears, next_number, n_asked, rng
        self._session: LiveSession | None = None
        self._latest_secs: dict[str, float] = {}
        self._began_secs = self._said_until_secs = 0.0
        self._last_told_secs = 0.0
        self._marks: list[Any] = []
        self._has_key = False

    def join(self, sessions: LiveSessions, plan: SessionPlan) -> None:
        """Begin; within `planned`."""
        self.log.before = messages_of(plan)
        self.log.began_secs = time.monotonic()
        self._has_key = plan.settings.turn.mode == "push_to_talk"
        self._session = sessions.start(plan, self.transport, self._take, self.line)

    @property
    def has_ended(self) -> bool:
        """Whether the server has ended it."""
        return bool(self.log.named("session_ended"))

    def _take(self, message: dict[str, Any]) -> None:
        event = message["event"]
        now_secs = time.monotonic()
        self.log.told.append(Told(now_secs, event, self._n_asked()))
        self._latest_secs[event["event"]] = self._last_told_secs = now_secs
        self._activity(event)

    async def act(self, deed: Deed) -> None:
        """Wait, then do it."""
        await self._wait_for(deed)
        await asyncio.sleep(deed.delay_ms / 1000)
        if self.has_ended:
            return
        self._began_secs = time.monotonic()
        match deed.kind:
            case "words":
                text = self._rng.choice(ASKINGS)
                await self._say(text, asks=True)
            case "command":
                self.log.cuts_secs.append(self._began_secs)
                await self._say(self._rng.choice(COMMANDS), asks=False)
            case "backchannel":
                self.log.cuts_secs.append(self._began_secs)
                await self._say(self._rng.choice(BACKCHANNELS), asks=False)
            case "laugh" | "cough":
                self.log.cuts_secs.append(self._began_secs)
                self._sound(voice(WORDLESS) if deed.kind == "laugh" else cough(seed=self._rng.randrange(50)))
            case "typed" | "written":
                self._type(spoken=deed.kind == "typed")
            case _:
                self.log.cuts_secs.append(self._began_secs)
                self._tell({"type": "interrupt" if deed.kind == "key" else "start_over"})
        self.log.done.append(f"{self._began_secs - self.log.began_secs:.2f} {deed.kind}")

    async def say_goodbye(self) -> None:
        """Ask one thing in peace, and wait for its answer."""
        await self._idle()
        if not self.has_ended:
            self._began_secs = time.monotonic()
            await self._say(ASKINGS[0], asks=True)
            self.log.final = self.log.askings[-1].word
            await self._idle()

    async def leave(self) -> None:
        """End it as its visit says; `joins again` ends by itself."""
        assert self._session is not None
        if self.log.visit.leaving == "is gone":
            self.line.is_gone = True
        else:
            await self._session.end("the page left")

    async def close(self, after: list[dict[str, Any]]) -> CallLog:
        """Its log, once it has ended.

        Args:
            after: The history.
        """
        async with asyncio.timeout(END_SECS):
            while not self.has_ended:
                await asyncio.sleep(LOOK_SECS)
        self.log.ended_secs = time.monotonic()
        self.log.after = after
        self.log.heard = heard_words(self.transport.card.sides()[1])
        for mark in self._marks:
            self._ears.marks.remove(mark)
        return self.log

    def _tell(self, message: dict[str, Any]) -> None:
        assert self._session is not None
        self._session.handle(message)

    def _type(self, *, spoken: bool) -> None:
        word = self._own_word()
        self.log.askings.append(Asking(word, self._began_secs, self._began_secs, written=not spoken))
        self._tell({"type": "text", "text": f"note {word}", "spoken": spoken})

    def _own_word(self) -> str:
        return said_word(self.log.caller, self._next_number())

    async def _say(self, text: str, *, asks: bool) -> None:
        plain, middles_secs = said(text)
        noise = np.random.default_rng(self._rng.getrandbits(32)).integers(-2, 3, len(plain.audio_s16))
        sound = recording(text, np.clip(plain.audio_s16 + noise, -32768, 32767).astype(np.int16))
        own = [self._own_word() if word in SLOTS else word for word in text.split()]
        n_marks = len(self._ears.marks)
        self._ears.expect(sound, " ".join(own), middles_secs, misheard=False)
        self._marks += self._ears.marks[n_marks:]
        if asks:
            word = next(word for word, plain_word in zip(own, text.split(), strict=True) if plain_word in SLOTS)
            begun_secs = max(self._began_secs, self._said_until_secs)
            self.log.askings.append(Asking(word, begun_secs, begun_secs + sound.duration_secs))
        await self._press(True)
        self._sound(sound)
        if self._has_key:
            await self._until(lambda: not self.transport.card.is_saying)
            await self._press(False)

    async def _press(self, active: bool) -> None:
        if self._has_key:
            self._tell({"type": "push_to_talk", "active": active})
            await asyncio.sleep(MESSAGE_SECS)

    def _sound(self, sound: Recording) -> None:
        self.transport.card.say(sound)
        self._said_until_secs = max(time.monotonic(), self._said_until_secs) + sound.duration_secs

    async def _wait_for(self, deed: Deed) -> None:
        if deed.after == "idle":
            await self._idle()
        elif deed.after != "now":
            await self._until(lambda: not self.transport.card.is_saying)
            if deed.after != "said":
                await self._idle(or_event=EVENT_AFTER[deed.after])

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not (condition() or self.has_ended):
            await asyncio.sleep(LOOK_SECS)

    async def _idle(self, *, or_event: str = "") -> None:
        """Wait until nothing more is to come, or for an event since the caller last did something."""
        quiet_since_secs = time.monotonic()
        while self._latest_secs.get(or_event, -1.0) < self._began_secs and not self.has_ended:
            now_secs = time.monotonic()
            saying = self.transport.card.is_saying
            if saying or not self._activity.idle:
                quiet_since_secs = now_secs
            silent_secs = now_secs - max(quiet_since_secs, self._last_told_secs)
            if silent_secs >= SETTLE_SECS and now_secs - self._said_until_secs >= SLOWEST_WORDS_SECS:
                return
            if not saying and now_secs - self._last_told_secs >= DEAD_SECS:
                doing = [name for name, value in vars(self._activity).items() if value is True]
                self.log.never_idle.append(f"{', '.join(doing)} at {now_secs - self.log.began_secs:.2f} s")
                self._activity.give_up()
                self._activity.user_speaking = self._activity.bot_speaking = False
                return
            await asyncio.sleep(LOOK_SECS)


def messages_of(plan: SessionPlan) -> list[dict[str, Any]]:
    """The history that a plan holds."""
    return [dict(message) for message in plan.history.context.messages if isinstance(message, dict)]
