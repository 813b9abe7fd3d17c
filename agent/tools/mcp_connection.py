"""The connection to one server of tools: kept up in the background, and told when its tools come, change or go.

In:  a server's settings.   Out: its tools while it is there; calls.

A connection belongs to one task, which opens and closes it: mcp's scopes cannot be left elsewhere.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
from loguru import logger
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, Implementation, ToolListChangedNotification
from mcp_types import Tool as ServerTool
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from agent import __version__
from agent.errors import one_line
from agent.settings.mcp import McpServer
from agent.tools.beside import progress as progress_of_tool
from agent.tools.mcp_bounds import only_usable
from agent.tools.mcp_http import http_client
from agent.tools.mcp_results import tool_of
from agent.tools.mcp_secrets import McpSecrets
from agent.tools.mcp_state import McpState
from agent.tools.mcp_stdio import Child, child_streams
from agent.tools.tool import Tool, ToolError
from processors.retries import Retries

CONNECT_SECS = 15.0
# How often a server that nothing is heard of is looked at, and its list of tools with it.
LOOK_SECS = 30.0
MAX_TOOLS = 64
MAX_PAGES = 20
MAX_PROBLEM_CHARS = 200

# What it reports goes into McpState; by itself it would write tracebacks, and what servers say.
logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)


class McpConnection:
    """One server's.

    Args:
        name: The server's.
        server: Its settings.
        changed: Called when what `state` says or `tools` has become different.
        retries: When it is tried again.

    Attributes:
        state: How things stand.
        tools: Its tools; none while it is not there.
    """

    def __init__(
        self, name: str, server: McpServer, changed: Callable[[], None], retries: Retries | None = None
    ) -> None:
        self.state = McpState(name)
        self.tools: list[Tool] = []
        self._name, self._server, self._changed = name, server, changed
        self._secrets = McpSecrets(server)
        self._retries = retries or Retries()
        self._client: Client | None = None
        self._lost = asyncio.Event()
        self._look = asyncio.Event()
        self._mode = "auto"

    async def run(self) -> None:
        """Connect, and again whenever the connection is lost, until this is cancelled."""
        now_secs = asyncio.get_running_loop().time
        while True:
            problem = "it was lost"
            came_secs: float | None = None
            try:
                async with self._connected():
                    came_secs = now_secs()
                    problem = await self._stay()
            except TimeoutError:
                problem = f"it did not answer within {CONNECT_SECS:g} s"
                # Old servers that are asked before they are greeted may say nothing at all.
                self._mode = "legacy" if self._mode == "auto" else "auto"
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - the edge of a library and of a program that is not ours
                problem = self._why(error)
            finally:
                self._client = None
            self._gone(problem)
            stayed_secs = 0.0 if came_secs is None else now_secs() - came_secs
            await asyncio.sleep(self._retries.wait_secs(stayed_secs))

    async def call(self, name: str, arguments: Mapping[str, Any]) -> CallToolResult:
        """Call a tool; whoever stops waiting has the server told that it is cancelled.

        Args:
            name: As the server calls it.
            arguments: What it is given.

        Raises:
            ToolError: It is not there, or failed without a result.
        """
        if self._client is None:
            raise ToolError(f"the server {self._name} is not there: {self.state.problem or 'it is being connected'}")
        try:
            report = progress_of_tool()

            async def note(progress: float, total: float | None, message: str | None) -> None:
                report(progress, total, message or "")

            return await self._client.call_tool(name, dict(arguments), progress_callback=note)
        except MCPError as error:
            # Whether it is still there is found out at once.
            self._look.set()
            raise ToolError(f"the server {self._name} failed: {self._line(str(error))}") from error
        except Exception as error:
            self._look.set()
            raise ToolError(
                f"the server {self._name} failed: {self._line(str(error) or type(error).__name__)}"
            ) from error

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        self._lost.clear()
        self._look.clear()
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(CONNECT_SECS):
                transport = self._child() if self._server.command else self._http(stack)
                client = Client(
                    only_usable(transport),
                    mode=self._mode,
                    message_handler=self._hear,
                    client_info=Implementation(name="sotto", version=__version__),
                )
                # Only what has been entered is left: a handshake that fails ends its own transport.
                await stack.enter_async_context(client)
                await self._take_tools(client)
            if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
                listening = asyncio.create_task(self._listen(client), name=f"mcp-{self._name}-listens")
                stack.push_async_callback(_cancelled, listening)
            self._client = client
            yield

    def _child(self) -> Any:
        server = self._server
        assert server.command  # noqa: S101 - the settings say so
        args = [one.get_secret_value() for one in server.args]
        self._process = Child(
            self._name,
            server.command,
            args,
            {name: value.get_secret_value() for name, value in server.env.items()},
            self._secrets.without,
        )
        self._process.ended = self._lost
        return child_streams(self._process)

    def _http(self, stack: AsyncExitStack) -> Any:
        server = self._server
        assert server.url  # noqa: S101 - the settings say so
        http = http_client(server)
        stack.push_async_callback(http.aclose)
        # Events have their bound in `http_client`.
        return streamable_http_client(server.url, http_client=http, max_sse_event_size=None)

    async def _stay(self) -> str:
        """Until it is lost; why."""
        while True:
            lost = asyncio.create_task(self._lost.wait())
            look = asyncio.create_task(self._look.wait())
            try:
                await asyncio.wait([lost, look], timeout=LOOK_SECS, return_when=asyncio.FIRST_COMPLETED)
            finally:
                lost.cancel()
                look.cancel()
            if self._lost.is_set():
                return self._process.why() if self._server.command else "it was lost"
            self._look.clear()
            assert self._client  # noqa: S101 - it is connected
            async with asyncio.timeout(CONNECT_SECS):
                await self._take_tools(self._client)

    async def _take_tools(self, client: Client) -> None:
        sought = None if self._server.allow is None else set(self._server.allow)
        wanted: list[ServerTool] = []
        cursor = None
        for _ in range(MAX_PAGES):
            page = await client.list_tools(cursor=cursor, cache_mode="refresh")
            wanted += [one for one in page.tools if self._server.allow is None or one.name in self._server.allow]
            cursor = page.next_cursor
            if sought is not None:
                sought -= {one.name for one in page.tools}
            if not cursor or sought == set():
                break
        self._offer(wanted, unseen=bool(cursor) and sought != set())

    def _offer(self, wanted: list[ServerTool], *, unseen: bool) -> None:
        server = self._server
        prefix = self._name if server.prefix is None else server.prefix
        usable = [tool for one in wanted if (tool := tool_of(server, prefix, one, self.call))][:MAX_TOOLS]
        state = McpState(
            self._name,
            "ready",
            n_tools=len(usable),
            left_out=len(wanted) - len(usable),
            missing=tuple(sorted(set(server.allow or ()) - {one.name for one in wanted})),
            unseen=unseen,
        )
        described = [(tool.name, tool.description, tool.schema, tool.acts, tool.asks) for tool in usable]
        before = [(tool.name, tool.description, tool.schema, tool.acts, tool.asks) for tool in self.tools]
        if (state, described) == (self.state, before):
            return
        self.state, self.tools = state, usable
        logger.info(f"mcp: {state.line()}")
        self._changed()

    def _gone(self, problem: str) -> None:
        state = McpState(self._name, "down", problem=self._line(problem))
        if state == self.state and not self.tools:
            return
        self.state, self.tools = state, []
        logger.warning(f"mcp: {state.line()}")
        self._changed()

    async def _hear(self, message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._look.set()

    async def _listen(self, client: Client) -> None:
        """Newer servers tell of changes only those who listen; one that refuses is looked at now and then."""
        try:
            async with client.listen(tools_list_changed=True) as changes:
                # What changed since the list was taken was told to nobody.
                self._look.set()
                async for _ in changes:
                    self._look.set()
        except Exception as error:  # noqa: BLE001 - whatever ends it, looking goes on
            logger.debug(f"mcp {self._name}: changes are not told: {self._line(str(error))}")
        else:
            self._look.set()

    def _line(self, text: str) -> str:
        return one_line(self._secrets.without(text), MAX_PROBLEM_CHARS)

    def _why(self, error: BaseException) -> str:
        """What went wrong, without the groups that it was wrapped in."""
        while isinstance(error, BaseExceptionGroup) and error.exceptions:
            error = error.exceptions[0]
        if self._server.command:
            if isinstance(error, OSError) and self._process.process is None:
                return f"{self._server.command} cannot be started ({error.strerror or error})"
            if why := self._process.why():
                return why
        elif isinstance(error, httpx2.TransportError):
            return f"nothing answers there ({self._line(str(error)) or type(error).__name__})"
        return str(error) or type(error).__name__


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
