"""A conversation that does not fit into the model's context, made shorter step by step.

In:  the messages.   Out: fewer or shorter ones; the conversation itself is changed only once that has helped.

First an enormous turn loses its middle, then the oldest turns go, and at last only the question is left.
"""

from collections.abc import Sequence

from pipecat.processors.aggregators.llm_context import LLMContext, LLMContextMessage

from processors.llm.history import cut_longest, drop_oldest_turns, is_summary

MAX_STEPS = 4
# What one text that is enormous loses in a step, and more of them for one that nothing else is left to shorten.
MAX_CUTS = 6


class Shortening:
    """One conversation's way to a shorter one.

    Args:
        messages: All of them.

    Attributes:
        messages: Those that are left.
        n_steps: How often it has become shorter.
    """

    def __init__(self, messages: Sequence[LLMContextMessage]) -> None:
        self.messages = list(messages)
        self.n_steps = 0
        self._n_drops = 0
        self._n_cuts = 0
        self._newest = self.messages[-1] if self.messages else None
        # What stands now for each message of the conversation, by its identity.
        self._standing = {id(message): message for message in self.messages}

    def step(self) -> bool:
        """Make it shorter; whether that was possible."""
        shorter = cut_longest(self.messages) if self._n_cuts < MAX_CUTS else self.messages
        if shorter is not self.messages:
            self._n_cuts += 1
        else:
            if self._n_drops == MAX_STEPS:
                return False
            self._n_drops += 1
            shorter = drop_oldest_turns(self.messages, keep=0 if self._n_drops == MAX_STEPS else None)
            if len(shorter) == len(self.messages):
                return False
        self._note(shorter)
        self.n_steps += 1
        return True

    def _note(self, shorter: list[LLMContextMessage]) -> None:
        if len(shorter) == len(self.messages):
            becomes = {id(old): new for old, new in zip(self.messages, shorter, strict=True)}
        else:
            becomes = {id(message): message for message in shorter}
        self._standing = {
            original: becomes[id(message)] for original, message in self._standing.items() if id(message) in becomes
        }
        self.messages = shorter

    def apply_to(self, context: LLMContext) -> None:
        """Shorten the conversation in the same way; messages that have been added meanwhile stay."""
        messages = context.messages
        last = next((index for index in range(len(messages) - 1, -1, -1) if messages[index] is self._newest), -1)
        context.set_messages(
            [
                self._standing.get(id(message), message)
                for index, message in enumerate(messages)
                # A summary may have come meanwhile.
                if index > last or id(message) in self._standing or is_summary(message)
            ]
        )
