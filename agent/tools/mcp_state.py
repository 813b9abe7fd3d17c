"""How things stand with one server of tools."""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class McpState:
    """It.

    Attributes:
        name: The server's.
        state: ready: its tools can be used; down: it is tried again.
        n_tools: That can be used.
        left_out: Tools that are too many, or that no model can be told of.
        missing: What its setting `allow` names, and it does not have.
        unseen: Whether its list was too long to be read to its end.
        problem: Why it is down, in a line.
    """

    name: str
    state: Literal["connecting", "ready", "down"] = "connecting"
    n_tools: int = 0
    left_out: int = 0
    missing: tuple[str, ...] = ()
    unseen: bool = False
    problem: str = ""

    def line(self) -> str:
        """For people."""
        if self.state == "down":
            return f"{self.name} is down: {self.problem}"
        if self.state == "connecting":
            return f"{self.name} is being connected"
        more = f", {self.left_out} left out" if self.left_out else ""
        more += ", its list goes on without end" if self.unseen else ""
        missing = f", none named {', '.join(self.missing)[:100]}" if self.missing else ""
        return f"{self.name} has {self.n_tools} tool{'' if self.n_tools == 1 else 's'}{more}{missing}"

    def as_json(self) -> dict[str, Any]:
        """For the page and for /health."""
        shown: dict[str, Any] = {"name": self.name, "state": self.state, "tools": self.n_tools}
        return {**shown, "note": self.line()}
