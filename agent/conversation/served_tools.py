"""The tools of other programs' servers in one conversation: they come and go while it goes on, and take up no more of
the model's context than there is room for.
"""

from collections.abc import Callable

from loguru import logger

from agent.conversation.abilities import served
from agent.settings.sections import Permission
from agent.tools.mcp_servers import McpServers
from agent.tools.tool_room import fitting, left_out_line
from agent.tools.toolbox import Toolbox


class ServedTools:
    """Keeps a toolbox up with the servers.

    Args:
        servers: Connected or not; None: there are none.
        permission: What their tools may do.
        toolbox: Gets those that fit.
        tell: Emits an event.
        n_tokens: Of the model's context, for all tools.
    """

    def __init__(
        self,
        servers: McpServers | None,
        permission: Permission,
        toolbox: Toolbox,
        tell: Callable[..., None],
        n_tokens: int,
    ) -> None:
        self._servers = servers
        self._permission: Permission = permission
        self._toolbox = toolbox
        self._tell = tell
        self._left_out = ""
        self._n_tokens = n_tokens

    def begin(self) -> None:
        """Serve what there is, and follow."""
        if self._servers and self._servers.states():
            self._servers.changed.append(self._serve)
            self._serve()

    def end(self) -> None:
        """Follow no more."""
        if self._servers and self._serve in self._servers.changed:
            self._servers.changed.remove(self._serve)

    def make_room(self, n_tokens: int) -> None:
        """Another language model is told of those that fit its context.

        Args:
            n_tokens: For all tools.
        """
        if n_tokens != self._n_tokens:
            self._n_tokens = n_tokens
            if self._servers and self._serve in self._servers.changed:
                self._serve()

    def _serve(self) -> None:
        assert self._servers  # noqa: S101 - else nobody calls
        tools = served(self._servers.tools(), self._permission)
        kept = fitting(tools, self._toolbox.own(), self._n_tokens)
        self._toolbox.serve(kept)
        left_out = left_out_line(tools, kept, self._n_tokens)
        if left_out and left_out != self._left_out:
            logger.warning(left_out)
        self._left_out = left_out
        states = [state.as_json() for state in self._servers.states()]
        self._tell("tool_servers", servers=states, left_out=left_out)
