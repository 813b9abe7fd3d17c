"""So many callers at a time: each asks his question, waits for the answer, and asks again, until the time is over."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.load.line import CallLine, RefusedError
from agent.load.measured import Measured, percentile
from agent.load.questions import Question, words_of

PAUSE_SECS = (0.5, 2.0)
# No answer is waited for any longer to end.
ANSWER_SECS = 60.0
TOLD_SECS = 1.0


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        secs: How long it is measured, once all callers are there.
        ramp_secs: Within so much they come.
        patience_secs: A question that has no answer by then is unanswered.
    """

    secs: float
    ramp_secs: float = 5.0
    patience_secs: float = 15.0


class Callers:
    """All callers of one load.

    Args:
        questions: One for each.
        make_call: Makes the connection of one.
        plan: How long.
        seed: Of the pauses between questions.

    Attributes:
        measured: What came of it so far.
    """

    def __init__(
        self, questions: Sequence[Question], make_call: Callable[[], CallLine], plan: Plan, *, seed: int = 1
    ) -> None:
        self.measured = Measured(len(questions))
        self._questions = questions
        self._make_call = make_call
        self._plan = plan
        self._chance = random.Random(seed)  # noqa: S311 - pauses, no secrets
        self._lines: list[CallLine] = []
        self._counting = False
        self._over = asyncio.Event()
        self._all_there = asyncio.Event()
        self._n_came = 0

    async def run(self, ending: asyncio.Event, tell: Callable[[Measured], None] = lambda _: None) -> Measured:
        """Call, ask, and hang up.

        Args:
            ending: Ends it early.
            tell: Is told once a second how it goes.
        """
        over = asyncio.create_task(self._time(ending))
        telling = asyncio.create_task(self._tell(tell))
        step_secs = self._plan.ramp_secs / max(1, len(self._questions) - 1)
        try:
            async with asyncio.TaskGroup() as group:
                for index, question in enumerate(self._questions):
                    group.create_task(self._call(question, index * step_secs))
        finally:
            for task in (over, telling):
                task.cancel()
        self._look_for_shared_conversations()
        return self.measured

    async def _time(self, ending: asyncio.Event) -> None:
        stopped = asyncio.create_task(ending.wait())
        there = asyncio.create_task(self._all_there.wait())
        await asyncio.wait([stopped, there], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([stopped], timeout=self._plan.secs)
        self._over.set()
        for task in (stopped, there):
            task.cancel()

    async def _tell(self, tell: Callable[[Measured], None]) -> None:
        while True:
            await asyncio.sleep(TOLD_SECS)
            self._note_lateness()
            tell(self.measured)

    async def _call(self, question: Question, after_secs: float) -> None:
        if await self._is_over(after_secs):
            return
        line = self._make_call()
        if not await self._joins(line):
            await line.leave()
            return
        try:
            while not self._over.is_set() and line.lost is None:
                await self._ask(line, question)
                await self._is_over(self._chance.uniform(*PAUSE_SECS))
        finally:
            await line.leave()
        self._count_line(line)

    async def _joins(self, line: CallLine) -> bool:
        try:
            await line.join()
        except RefusedError as error:
            self.measured.refused[error.limit] += 1
            return False
        else:
            self.measured.n_held += 1
            self._lines.append(line)
            return True
        finally:
            self._n_came += 1
            if self._n_came == len(self._questions):
                # What was asked while others still came is practice.
                self._counting = True
                self._all_there.set()

    async def _ask(self, line: CallLine, question: Question) -> None:
        # A greeting is heard out.
        await line.until(lambda: not line.is_spoken_to, self._plan.patience_secs)
        counts, n_answers, n_heard = self._counting, len(line.started_secs), len(line.heard)
        spoken_secs = await line.say(question)
        is_answered = await line.until(lambda: len(line.started_secs) > n_answers, self._plan.patience_secs)
        if is_answered:
            await line.until(lambda: not line.is_spoken_to, ANSWER_SECS)
        for text in line.heard[n_heard:]:
            self._compare(text, question)
        if not counts or line.lost is not None:
            return
        if is_answered:
            self.measured.answer_secs.append(max(0.0, line.started_secs[n_answers] - spoken_secs))
        else:
            self.measured.n_unanswered += 1

    def _compare(self, text: str, question: Question) -> None:
        words = set(words_of(text))
        if not question.marks or words & question.marks:
            return
        others = frozenset().union(*(one.marks for one in self._questions if one is not question))
        if words & (others - question.marks):
            self.measured.n_mixed_up += 1
        else:
            self.measured.n_misheard += 1

    def _count_line(self, line: CallLine) -> None:
        if line.lost is not None:
            self.measured.lost[line.lost] += 1
        self.measured.errors.update(line.errors)
        self._note_lateness()

    def _note_lateness(self) -> None:
        late_secs = [late for one in self._lines for late in one.mouth.late_secs]
        if late_secs:
            self.measured.callers_late_p95_ms = percentile(late_secs, 95) * 1000

    def _look_for_shared_conversations(self) -> None:
        names = [line.conversation for line in self._lines]
        self.measured.n_mixed_up += len(names) - len(set(names))

    async def _is_over(self, after_secs: float) -> bool:
        """Wait for so long, or until the time is over."""
        try:
            await asyncio.wait_for(self._over.wait(), after_secs)
        except TimeoutError:
            return False
        return True
