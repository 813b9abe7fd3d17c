"""Whom a conversation asks, and that this may change while the conversation goes on.

In:  an Asking.   Out: from the next turn on the models are asked as it says; a reply that is under way goes on.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipecat.processors.aggregators.llm_context import LLMContext

from processors.llm.answers import KeptAnswers
from processors.llm.asked_model import AskedModel
from processors.llm.beside import AsksBeside
from processors.llm.choice import Chooser, ConstrainedChoice
from processors.llm.model_choice import ModelChoice
from processors.llm.options import LLMOptions
from processors.llm.reflex import FindReflex


@dataclass(frozen=True)
class Asking:
    """Whom a conversation asks, and what stands beside the models.

    Attributes:
        options: Which model, where and how; a large one beside it, where there is one.
        find_reflex: Finds what needs no model.
        amend: Sets the history right before it is sent, with what cut calls have done meanwhile.
        answers: Those that are kept and given again.
        chooser: Has a model that calls no tools choose what is done.
    """

    options: LLMOptions
    find_reflex: FindReflex | None = None
    amend: Callable[[LLMContext], None] | None = None
    answers: KeptAnswers | None = None
    chooser: Chooser | None = None


class ChangesModels(AsksBeside):
    """A service whose models may be changed."""

    _asking: Asking
    # By model, where it may have to choose.
    _choices: dict[AskedModel, ConstrainedChoice]
    _calls_tools: bool = True
    _coming: Asking | None = None
    # Something beside the conversation may still ask them.
    _former: ModelChoice | None = None

    def change(self, asking: Asking) -> None:
        """Ask in another way from the next turn on.

        Args:
            asking: Whom, and how.
        """
        self._coming = asking

    async def cleanup(self) -> None:
        """Close the connections."""
        await super().cleanup()
        for models in filter(None, (self._former, self._models)):
            await models.close()

    def _ask_by(self, asking: Asking) -> None:
        """Ask in this way from now on."""
        self._asking = asking
        self._models = ModelChoice(asking.options, calls_tools=self._calls_tools)
        self._choose_by(asking.chooser)

    def _take_change(self) -> None:
        """At the beginning of a turn; no reply is under way."""
        if self._coming is None:
            return
        before, asking, self._coming = self._asking, self._coming, None
        if asking.options == before.options:
            self._asking = asking
            self._choose_by(asking.chooser)
            return
        if self._former:
            self.create_task(self._former.close(), "close")
        self._former = self._models
        self._ask_by(asking)

    def _choose_by(self, chooser: Chooser | None) -> None:
        models = self._models.models if chooser else ()
        self._choices = {model: ConstrainedChoice(chooser, model.options) for model in models if chooser}
