"""What could serve a stage, what is usable now, and which one is taken.

A candidate is looked at without loading it: is its model on disk, is its library installed, does its server answer.
`auto` takes the first usable one of the stage's order and remembers why the better ones were passed over.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from processors.errors import EngineUnavailableError

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Candidate(Generic[Loaded]):
    """One engine that a stage could use.

    Attributes:
        engine: Its name in settings.
        model: The model it would use, if one is known.
        load: Loads it; blocks; raises EngineUnavailableError.
        reason: Why it cannot be used now; None if it can.
        mend: The command that makes it usable.
    """

    engine: str
    model: str | None
    load: Callable[[], Loaded]
    reason: str | None = None
    mend: str = ""

    @property
    def usable(self) -> bool:
        """Whether nothing is known against it."""
        return self.reason is None


@dataclass(frozen=True)
class PassedOver:
    """A better engine that was not taken, and why."""

    engine: str
    reason: str
    mend: str


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
    """

    stage: str
    engine: str
    model: str
    loaded: Loaded
    passed_over: list[PassedOver] = field(default_factory=list)
    note: str | None = None

    def as_json(self) -> dict[str, Any]:
        """What /health, the page and the event log say about it."""
        return {
            "engine": self.engine,
            "model": self.model,
            "passed_over": [vars(passed) for passed in self.passed_over],
            "note": self.note,
        }


def choose(stage: str, wanted: str, candidates: Sequence[Candidate[Loaded]]) -> Choice[Loaded]:
    """Load the wanted engine, or with `auto` the first that can be loaded.

    Args:
        stage: stt, llm or tts, for the message.
        wanted: An engine's name, or `auto`.
        candidates: In order of preference.

    Raises:
        EngineUnavailableError: The wanted one cannot be used, or none can.
    """
    passed_over: list[PassedOver] = []
    errors: list[EngineUnavailableError] = []
    for candidate in candidates:
        if wanted not in ("auto", candidate.engine):
            continue
        try:
            loaded = _load(candidate)
        except EngineUnavailableError as error:
            errors.append(error)
            passed_over.append(PassedOver(candidate.engine, error.reason, error.mend))
            continue
        model = getattr(loaded, "model", None) or candidate.model or ""
        return Choice(stage, candidate.engine, model, loaded, passed_over)
    if errors and wanted != "auto":
        # An engine with several models: the first is the best of them.
        raise EngineUnavailableError(f"{stage}.engine = {wanted}: {errors[0].reason}", errors[0].mend) from errors[0]
    if passed_over:
        reasons = "; ".join(f"{passed.engine}: {passed.reason}" for passed in passed_over)
        raise EngineUnavailableError(f"no {stage} engine is usable ({reasons})", "sotto doctor")
    raise EngineUnavailableError(f"{stage}.engine = {wanted} is not known", "sotto doctor")


def _load(candidate: Candidate[Loaded]) -> Loaded:
    if candidate.reason is not None:
        raise EngineUnavailableError(candidate.reason, candidate.mend)
    return candidate.load()
