"""The hour: one server's engines, several callers, faults; what is wrong with any call, and what is left at the end."""

import asyncio
import contextlib
import io
import math
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, cast

from loguru import logger

from agent.conversation.histories import Histories, HistoryInUseError
from agent.engines.host import ModelHost
from agent.logs import configure_logs
from agent.server.calls.plans import SessionRequest
from agent.server.calls.sessions import BusyError, LiveSessions
from agent.settings.load import Settings
from processors.ear.silero import SharedSilero
from processors.text.bare_words import bare
from tests.bench.chaos.call import Call, messages_of, remember_sounds
from tests.bench.chaos.engines import CalmEars, SoundsDone, StormyEars, StormyMind, StormyVoice, pace
from tests.bench.chaos.leftovers import Holding, grown, holding
from tests.bench.chaos.log import CallLog
from tests.bench.chaos.rules import SORRY, given_replies, problems_of
from tests.bench.chaos.script import Deed, Visit, rushes, visits
from tests.bench.chaos.weather import HANG_SECS, StormySession, Weather, failing_disk
from tests.bench.chaos.words import said_word
from tests.support.faulty_engines import ReadyStandby
from tests.support.house import hosting, silero_session
from tests.support.llm_session import options
from tests.support.virtual_time import run_in_virtual_time

N_CALLERS = 6
DEFAULT_THREADS = 2
MAX_SESSIONS = 4
FAULT_EVERY_SECS = 25.0
# Own words with higher numbers name a caller to the model.
NAME = 2_499
# What is kept for a while (histories, recordings) is gone by then.
KEPT_SECS = 62 * 60.0
SETTLE_SECS = 60.0
# After the last fault nothing is excused any more, and all engines are to be well again.
CALM_SECS = SETTLE_SECS + 2 * max(HANG_SECS)
IN_PEACE = Visit(0, goes_on=False, record=False, deeds=(Deed("words", "idle", 0), Deed("typed", "idle", 0)))
LOG_LINES_A_MINUTE, LOG_BYTES_A_MINUTE = 40, 8_000


@dataclass
class Report:
    """What an hour was like.

    Attributes:
        mins: How long it is.
        n_callers: How many call.
        fault_every_secs: Between two faults, on average; 0: none ever.
        problems: What does not hold.
        counts: Of what callers did, what struck, and what became of it.
        session_secs: Of all calls together.
    """

    seed: int
    mins: float
    n_callers: int = N_CALLERS
    fault_every_secs: float = FAULT_EVERY_SECS
    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    struck: set[tuple[str, str]] = field(default_factory=set)
    session_secs: float = 0.0
    n_log_lines: int = 0
    n_log_bytes: int = 0

    @property
    def command(self) -> str:
        """Makes the same hour again."""
        callers = "" if self.n_callers == N_CALLERS else f" --callers {self.n_callers}"
        faults = "" if self.fault_every_secs == FAULT_EVERY_SECS else f" --fault-every {self.fault_every_secs:g}"
        return f"uv run python -m tests.bench.chaos --seed {self.seed} --mins {self.mins:g}{callers}{faults}"


class Hour:
    """What callers share.

    Args:
        report: Is filled.
    """

    def __init__(
        self, report: Report, sessions: LiveSessions, ears: StormyEars, mind: StormyMind, weather: Weather
    ) -> None:
        self.report = report
        self.sessions = sessions
        self.ears, self.mind, self.weather = ears, mind, weather
        self.began_secs = time.monotonic()

    @property
    def now_secs(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began_secs

    def judge(self, log: CallLog) -> None:
        """Look at a call that has ended."""
        report = self.report
        log.asked = self.mind.asked_of.pop(log.caller, [])
        log.struck = [struck for struck in self.weather.struck if struck.until_secs + SETTLE_SECS >= log.began_secs]
        report.session_secs += log.ended_secs - log.began_secs
        _count(report.counts, log)
        mins = math.ceil((log.ended_secs - self.began_secs) / 60)
        for problem in problems_of(log):
            shortest = replace(report, mins=min(report.mins, mins))
            report.problems.append(f"{problem}\n{_story(log, self.began_secs)}\n  {shortest.command}")


def _count(counts: Counter[str], log: CallLog) -> None:
    given = given_replies(log)
    counts["calls"] += 1
    counts["acts"] += len(log.done)
    counts["asked"] += len(log.askings)
    counts["turns"] += sum(bool(told.event["text"]) for told in log.named("turn_ended"))
    counts["answered"] += sum(bool(reply.indices) for reply in given.values())
    counts["apologised"] += sum(bare(told.event["text"]) == SORRY for told in log.named("bot_word"))
    counts["cut"] += len(log.named("interruption"))
    counts["errors told"] += len(log.named("error"))
    counts[f"left: {log.visit.leaving}"] += 1


def _story(log: CallLog, began_secs: float) -> str:
    struck = [
        f"{one.stage} {one.name} at {one.secs - log.began_secs:.2f}"
        for one in log.struck
        if log.began_secs - SETTLE_SECS <= one.secs <= log.ended_secs
    ]
    return (
        f"  caller {log.caller} at {log.began_secs - began_secs:.2f} s for {log.ended_secs - log.began_secs:.2f} s,"
        f" {log.visit.leaving}, {log.visit.options}: {', '.join(log.done)}; struck: {', '.join(struck) or 'nothing'}"
    )


class Caller:
    """One who calls again and again.

    Args:
        index: Which.
    """

    def __init__(self, hour: Hour, index: int) -> None:
        self._hour = hour
        self._index = index
        self._n_words = self._n_replies = 0
        self._rng = Random(f"{hour.report.seed} words {index}")
        self._conversation: str | None = None
        # A call that goes on while its caller joins again.
        self._held: Call | None = None

    async def call_once(self, visit: Visit | None = None) -> None:
        """Call once, before the hour begins or after it has ended."""
        await self._call(visit or next(visits(self._hour.report.seed, self._index)))
        await self._end_held()

    async def run(self, until_secs: float) -> None:
        """Call until the hour is over."""
        hour = self._hour
        windows = rushes(hour.report.seed)
        begins_secs, ends_secs = next(windows)
        for visit in visits(hour.report.seed, self._index):
            if not self._held:
                await asyncio.sleep(visit.wait_ms / 1000)
            while hour.now_secs >= ends_secs:
                begins_secs, ends_secs = next(windows)
            if not self._held:
                await asyncio.sleep(max(0.0, begins_secs - hour.now_secs))
            if hour.now_secs >= until_secs:
                break
            await self._call(visit)
        await self._end_held()

    async def _call(self, visit: Visit) -> None:
        call = self._new_call(visit)
        try:
            await self._join(call, visit)
        except (BusyError, HistoryInUseError) as refusal:
            self._hour.report.counts[f"refused: {type(refusal).__name__}"] += 1
            await self._end_held()
            return
        for deed in visit.deeds:
            await call.act(deed)
        if visit.leaving == "says goodbye":
            await call.say_goodbye()
        self._held = call
        if visit.leaving != "joins again":
            await self._end_held()

    def _new_call(self, visit: Visit) -> Call:
        def next_number() -> int:
            self._n_words += 1
            return self._n_words

        def n_asked() -> int:
            return len(self._hour.mind.asked_of.get(self._index, []))

        log = CallLog(self._hour.report.seed, self._index, visit)
        return Call(log, self._hour.ears, next_number, n_asked, self._rng)

    async def _join(self, call: Call, visit: Visit) -> None:
        persona = f"You are terse. You talk to {said_word(self._index, NAME)}."
        wish = SessionRequest(
            conversation=self._conversation if visit.goes_on or self._held else None,
            options={"llm.system_prompt": persona, **visit.options},
            record=visit.record,
            owner=("page", str(self._index)),
        )
        async with self._hour.sessions.planned(wish) as plan:
            self._conversation = plan.history.id
            if self._held:
                held, self._held = self._held, None
                self._hour.judge(await held.close(messages_of(plan)))
            call.join(self._hour.sessions, plan)

    async def _end_held(self) -> None:
        if self._held:
            call, self._held = self._held, None
            await call.leave()
            history = self._hour.sessions.histories.find(self._conversation)
            log = await call.close([])
            log.after = [dict(message) for message in history.context.messages] if history else []  # type: ignore[call-overload]
            self._hour.judge(log)


@asynccontextmanager
async def _opened(report: Report, weather: Weather, rng: Random) -> AsyncIterator[Hour]:
    """A server's engines and its conversations."""
    how = pace(rng)
    ears, voice = StormyEars(how, weather), StormyVoice(how, weather)
    async with StormyMind(rng, weather) as mind:
        patience = options(mind, first_token_timeout_secs=4.0, token_stall_timeout_secs=2.0, max_tokens=32)
        async with hosting(ears, patience, voice) as host:
            stt, tts = ReadyStandby(CalmEars(ears, how)), ReadyStandby(StormyVoice(how, None))
            host = replace(host, stt_standby=stt, tts_standby=tts)
            host.silero = SharedSilero(cast(Any, StormySession(silero_session(), weather, "vad")))
            host.turn_session = cast(Any, StormySession(SoundsDone(), weather, "turn"))
            settings = Settings.model_validate(
                {
                    "server": {"max_sessions": MAX_SESSIONS},
                    "input": {"auto_gain": False},
                    "tools": {"reflexes": False},
                }
            )
            await _all_threads(host, stt, tts)
            remember_sounds()
            sessions = LiveSessions(host, settings, Histories(clock=time.monotonic))
            try:
                yield Hour(report, sessions, ears, mind, weather)
            finally:
                await sessions.close()
                stt.shutdown()
                tts.shutdown()


async def _all_threads(host: ModelHost, *standbys: ReadyStandby) -> None:
    """Have every pool begin all its threads, so that none is begun later."""
    loop = asyncio.get_running_loop()
    default = ThreadPoolExecutor(DEFAULT_THREADS, "default")
    loop.set_default_executor(default)
    sizes = [
        (default, DEFAULT_THREADS),
        (host.stt_threads, host.stt.loaded.max_threads),
        (host.tts_threads, host.tts.loaded.max_threads),
        (host.vad_threads, 1),
        (host.turn_threads, 1),
        *((standby.threads, 1) for standby in standbys),
    ]
    for pool, size in sizes:
        together = threading.Barrier(size)
        await asyncio.gather(*(loop.run_in_executor(pool, together.wait) for _ in range(size)))


class _Counted(io.TextIOBase):
    """Counts what is written, and keeps none of it."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def write(self, text: str) -> int:
        self._report.n_log_lines += text.count("\n")
        self._report.n_log_bytes += len(text)
        return len(text)


@contextmanager
def _logged(report: Report) -> Iterator[None]:
    """Count what the product writes into its log, as it is set up by default."""
    log = _Counted(report)
    with contextlib.redirect_stderr(log):
        configure_logs("INFO")
    try:
        yield
    finally:
        logger.configure(handlers=[{"sink": sys.stderr, "level": "WARNING"}])
        report.problems += too_much_log(report)


def too_much_log(report: Report) -> list[str]:
    """Whether the log has grown beyond its bounds."""
    mins = max(1.0, report.session_secs / 60)
    lines, size = report.n_log_lines / mins, report.n_log_bytes / mins
    if lines <= LOG_LINES_A_MINUTE and size <= LOG_BYTES_A_MINUTE:
        return []
    return [f"the log grows by {lines:.0f} lines and {size:.0f} bytes a minute of a call"]


async def _at_rest(hour: Hour) -> Holding:
    """What is held once all that is kept for a while is gone."""
    await asyncio.sleep(KEPT_SECS)
    hour.mind.asked_of.clear()
    return holding(len(hour.sessions.histories))


async def _hold(report: Report) -> None:
    rng = Random(report.seed)
    weather = Weather(rng, report.fault_every_secs)
    with failing_disk(weather):
        async with _opened(report, weather, rng) as hour:
            callers = [Caller(hour, index) for index in range(report.n_callers)]
            await asyncio.gather(*(caller.call_once() for caller in callers[:2]))
            before = await _at_rest(hour)
            blowing = asyncio.create_task(weather.blow())
            hour.began_secs = time.monotonic()
            await asyncio.gather(*(caller.run(report.mins * 60) for caller in callers))
            blowing.cancel()
            await asyncio.gather(blowing, return_exceptions=True)
            weather.calm()
            await asyncio.sleep(CALM_SECS)
            for caller in callers[:1]:
                await caller.call_once(IN_PEACE)
            after = await _at_rest(hour)
    report.struck = {(struck.stage, struck.name) for struck in weather.struck}
    report.problems += [f"{one}\n  {report.command}" for one in grown(before, after)]


def hold_hour(report: Report, *, limit_secs: float = 600.0) -> Report:
    """Hold an hour, or a part of it, in virtual time.

    Args:
        report: Its seed, how long it is, how many call and how often engines fail; is filled.
        limit_secs: Of real time.
    """
    with _logged(report):
        run_in_virtual_time(lambda: _hold(report), limit_secs=limit_secs)
    return report
