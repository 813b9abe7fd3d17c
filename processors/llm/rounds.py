"""How often a model may call tools within one turn: each result is an answer that it asks for more with."""

from pipecat.utils.errors import ErrorCategory

from processors.llm.failure import ReplyError

# One call after another, as long as the model says nothing in between, and in all.
MAX_SILENT_ROUNDS = 5
MAX_ROUNDS = 12


class ToolRounds:
    """Those of one turn.

    Attributes:
        spoke: Whether the reply that is under way has said anything.
    """

    def __init__(self) -> None:
        self.spoke = False
        self._n_rounds = 0
        self._n_silent = 0

    def begin(self, *, asked_by_tool: bool) -> None:
        """A reply is asked for: by the result of a tool, or by the user, whose turn may use tools anew."""
        if not asked_by_tool:
            self._n_rounds = self._n_silent = 0
        else:
            self._n_rounds += 1
            self._n_silent = 0 if self.spoke else self._n_silent + 1
        self.spoke = False

    def check(self, model: str, url: str) -> None:
        """Let it be asked, or not.

        Raises:
            ReplyError: The model has called tools often enough.
        """
        if self._n_silent >= MAX_SILENT_ROUNDS:
            what = f"called tools {self._n_silent} times and said nothing"
        elif self._n_rounds >= MAX_ROUNDS:
            what = f"called tools {self._n_rounds} times without an end"
        else:
            return
        raise ReplyError(f"{model} at {url} {what}", "try another model", ErrorCategory.APPLICATION)
