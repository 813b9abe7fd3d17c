"""What could serve a stage, what is usable now, and which one is taken.

A candidate is looked at without loading it: is its model on disk, is its library installed, does its server answer.
`auto` takes the first usable one of the stage's order that keeps up on this machine, and remembers why the better ones
were passed over. Where none keeps up, it takes the fastest, with a note that says so.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, cast

from loguru import logger

from agent.engines.speed import Speed, bearable, too_slow
from processors.errors import EngineUnavailableError

Loaded = TypeVar("Loaded")
# What reasons name that stand against an interpreter of two ways.
PAIR_SETTING = "interpreter.languages"


@dataclass(frozen=True)
class Candidate(Generic[Loaded]):
    """One engine that a stage could use.

    Attributes:
        engine: Its name in settings.
        model: The model it would use, if one is known.
        load: Loads it; blocks; raises EngineUnavailableError.
        reason: Why it cannot be used now; None if it can.
        mend: The command that makes it usable.
        weights: What tells its model's files from others of the same name, such as their folder's name.
        last_resort: It does its work so much worse than the others that one of them is taken even if it is rather slow.
        named: The user has given its address: where it is passed over, he is told.
        measurable: Whether how fast it is depends on this machine; another machine's server may charge for asking.
    """

    engine: str
    model: str | None
    load: Callable[[], Loaded]
    reason: str | None = None
    mend: str = ""
    weights: str = ""
    measurable: bool = True
    last_resort: bool = False
    named: bool = False

    @property
    def usable(self) -> bool:
        """Whether nothing is known against it."""
        return self.reason is None

    def is_model(self, name: str) -> bool:
        """Whether an engine that calls its model so may be this one's."""
        return not self.model or name in self.model or self.model in name


@dataclass(frozen=True)
class PassedOver:
    """A better engine that was not taken, and why; `named` as the candidate was."""

    engine: str
    reason: str
    mend: str
    named: bool = False

    def line(self) -> str:
        """What, why, and what mends it."""
        return f"{self.engine}: {self.reason}{f' ({self.mend})' if self.mend else ''}"


@dataclass
class Choice(Generic[Loaded]):
    """The engine that serves a stage.

    Attributes:
        stage: stt, llm or tts.
        engine: Its name.
        model: Its model.
        loaded: The engine itself.
        passed_over: The better ones, in order.
        note: What the user should know about it on this machine, such as that it is too slow; None if all is well.
        speed: How fast it is here, where that was measured.
        candidate: What it was loaded from, where that is known.
    """

    stage: str
    engine: str
    model: str
    loaded: Loaded
    passed_over: list[PassedOver] = field(default_factory=list)
    note: str | None = None
    speed: Speed | None = None
    candidate: Candidate[Loaded] | None = None

    def as_json(self) -> dict[str, Any]:
        """What /health, the page and the event log say about it."""
        return {
            "engine": self.engine,
            "model": self.model,
            "passed_over": [{"engine": one.engine, "reason": one.reason, "mend": one.mend} for one in self.passed_over],
            "note": self.note,
            "speed": {"first_secs": self.speed.first_secs, "factor": self.speed.factor} if self.speed else None,
        }

    def log_passed_over(self) -> None:
        """Tell the user of those that he has asked for; the others are in the log at DEBUG."""
        for one in self.passed_over:
            asked_for = one.named or PAIR_SETTING in one.reason
            told = f"{self.stage}: passed over {one.line()}"
            logger.log("WARNING" if asked_for else "DEBUG", f"{told}; {self.engine} is used" if one.named else told)


class Speeds(Protocol):
    """What is known of how fast engines are; see `KnownSpeeds`."""

    def known(self, stage: str, candidate: Candidate[Any]) -> Speed | None:
        """What was measured of a candidate."""
        ...

    def of(self, stage: str, candidate: Candidate[Any], engine: Any) -> Speed | None:
        """The speed of an engine that is loaded and warmed up."""
        ...

    def are_doubtful(self) -> bool:
        """Whether engines look slower than they are, since the machine is busy with other work."""
        ...


def choose(
    stage: str, wanted: str, candidates: Sequence[Candidate[Loaded]], speeds: Speeds | None = None
) -> Choice[Loaded]:
    """Load the first engine of the wanted name, or of any with `auto`, that can be loaded and keeps up; blocks.

    Args:
        stage: stt, llm or tts, for the message.
        wanted: An engine's name, or `auto`.
        candidates: In order of preference.
        speeds: Tells how fast they are; engines are warmed up with it. None: for no conversation, so any speed will do.

    Raises:
        EngineUnavailableError: The wanted one cannot be used, or none can.
    """
    considered = [candidate for candidate in candidates if wanted in ("auto", candidate.engine)]
    if not considered:
        raise EngineUnavailableError(f"{stage}.engine = {wanted} is not known", "sotto doctor")
    passed_over: list[PassedOver] = []
    slow = _Slow[Loaded](stage)
    for candidate in considered:
        if candidate.last_resort and speeds and slow.is_better_than_the_last_resort(speeds):
            break
        try:
            speed = speeds.known(stage, candidate) if speeds and candidate.usable else None
            choice = None if too_slow(stage, speed) else _taken(stage, candidate, speeds)
        except EngineUnavailableError as error:
            passed_over.append(PassedOver(candidate.engine, error.reason, error.mend, candidate.named))
            continue
        except BaseException:
            slow.close()
            raise
        speed = choice.speed if choice else speed
        reason = too_slow(stage, speed)
        if choice and not reason:
            slow.close()
            choice.passed_over = passed_over
            return choice
        if speed and reason:
            passed_over.append(PassedOver(candidate.engine, f"{candidate.model or candidate.engine}: {reason}", ""))
            slow.add(speed, candidate, choice, passed_over[-1])
    if slow.fastest:
        return slow.take(passed_over, speeds)
    if wanted != "auto":
        first = passed_over[0]
        raise EngineUnavailableError(f"{stage}.engine = {wanted}: {first.reason}", first.mend)
    reasons = "; ".join(f"{passed.engine}: {passed.reason}" for passed in passed_over)
    raise EngineUnavailableError(f"no {stage} engine is usable ({reasons})", _mend_of(passed_over))


def _mend_of(passed_over: Sequence[PassedOver]) -> str:
    """What most of the engines wait for, where that is a model."""
    pulls = Counter(passed.mend for passed in passed_over if passed.mend.startswith("sotto models pull "))
    return pulls.most_common(1)[0][0] if pulls else "sotto doctor"


class _Slow(Generic[Loaded]):
    """The fastest of the engines that do not keep up; it stays loaded, if it is."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self.fastest: tuple[Speed, Candidate[Loaded], Choice[Loaded] | None, PassedOver] | None = None

    def add(
        self, speed: Speed, candidate: Candidate[Loaded], choice: Choice[Loaded] | None, passed: PassedOver
    ) -> None:
        entry = (speed, candidate, choice, passed)
        if self.fastest and (self.fastest[0].factor, self.fastest[0].first_secs) <= (speed.factor, speed.first_secs):
            _close(choice)
            return
        self.close()
        self.fastest = entry

    def is_better_than_the_last_resort(self, speeds: Speeds) -> bool:
        """Whether one is not that slow, or only looked so just now."""
        if self.fastest is None:
            return False
        speed, _, measured_now, _ = self.fastest
        return bearable(speed) or (measured_now is not None and speeds.are_doubtful())

    def take(self, passed_over: list[PassedOver], speeds: Speeds | None) -> Choice[Loaded]:
        """The fastest, which is slow, since there is no better one."""
        assert self.fastest  # noqa: S101 - the caller has looked
        _, candidate, choice, passed = self.fastest
        choice = choice or _taken(self._stage, candidate, speeds)
        # Those behind it are no better ones, whatever stands against them.
        choice.passed_over = passed_over[: next(i for i, one in enumerate(passed_over) if one is passed)]
        slow = f"too slow for a conversation: {passed.reason}"
        choice.note = f"{choice.note}; {slow}" if choice.note else slow
        return choice

    def close(self) -> None:
        """Let it go, for a better one was found."""
        if self.fastest:
            _close(self.fastest[2])
        self.fastest = None


def _close(choice: Choice[Any] | None) -> None:
    if choice:
        choice.loaded.close()


def _taken(stage: str, candidate: Candidate[Loaded], speeds: Speeds | None) -> Choice[Loaded]:
    """Load one engine; for a conversation, warm it up and find out how fast it is.

    Raises:
        EngineUnavailableError: It cannot be used, or fails on its first work.
    """
    if candidate.reason is not None:
        raise EngineUnavailableError(candidate.reason, candidate.mend)
    loaded: Any = candidate.load()
    model = getattr(loaded, "model", None) or candidate.model or ""
    choice = Choice(stage, candidate.engine, model, cast(Loaded, loaded), candidate=candidate)
    if speeds:
        try:
            choice.note = loaded.warm_up()
            choice.speed = speeds.of(stage, candidate, loaded)
        except BaseException:
            loaded.close()
            raise
    return choice
