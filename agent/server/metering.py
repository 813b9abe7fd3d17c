"""`GET /metrics`: what stands in the server when Prometheus asks, beside what conversations have counted.

In:  the state of the server.   Out: Prometheus' text, to this machine or to who has the token.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from fastapi import Request, Response

from agent.server.state import ServerState
from agent.server.wire.json_body import error_response
from agent.server.wire.owner import sits_here
from processors.engine_threads import EngineThreads

if TYPE_CHECKING:
    from agent.server.metrics.meters import Meters
    from processors.address import Address
    from processors.addresses import AddressGroup

METRICS = "/metrics"
ASK_FOR_TOKEN = "metrics are for this machine alone; set server.token, and show it as Authorization: Bearer TOKEN"  # noqa: S105


class Metering:
    """Lets the metrics of a server say what stands in it.

    Args:
        state: Whose meters they are; without any, nothing happens.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, once the models are loaded."""
        if (meters := self._state.meters) is None:
            return
        from agent.server.metrics.loop_lag import watch_loop

        self._watching = asyncio.create_task(watch_loop(meters.loop_lag.observe), name="loop-lag")
        engine_threads(self._state, meters)
        meters.watch("sessions_active", "Conversations that are being held.", self._ways, "door")
        meters.watch("places_taken", "Places that are taken, by what they are for.", self._taken, "kind")
        meters.watch("places", "Places that there are (server.max_sessions and others).", self._places, "kind")
        meters.watch("refused", "Callers that found all places taken.", self._refused, "kind", counts=True)
        meters.watch(
            "engine_queue_depth", "Work that waits for a thread.", lambda: self._engines("n_waiting"), "engine"
        )
        meters.watch(
            "engine_threads_abandoned",
            "Threads that did not come back.",
            lambda: self._engines("n_abandoned"),
            "engine",
        )
        watch_addresses(self._state, meters)

    def close(self) -> None:
        """End."""
        if self._watching:
            self._watching.cancel()

    def _ways(self) -> dict[str, float]:
        loaded = self._state.loaded
        ways = loaded.sessions.ways() if loaded and loaded.sessions else {}
        return {way: float(ways.get(way, 0)) for way in ("webrtc", "websocket", "realtime", "telephone")}

    def _taken(self) -> dict[str, float]:
        state, loaded = self._state, self._state.loaded
        n_sessions = loaded.sessions.n_active if loaded and loaded.sessions else 0
        return {
            "session": n_sessions,
            "chat": state.questions.n_active,
            "speech": state.speeches.n_active,
            "transcription": loaded.jobs.n_active if loaded else 0,
        }

    def _places(self) -> dict[str, float]:
        server = self._state.settings.server
        return {
            "session": server.max_sessions,
            "chat": server.max_chats,
            "speech": server.max_speeches,
            "transcription": server.max_transcriptions,
        }

    def _refused(self) -> dict[str, float]:
        loaded = self._state.loaded
        return {"session": loaded.sessions.n_refused if loaded and loaded.sessions else 0}

    def _waiting(self) -> dict[str, float]:
        return self._engines("n_waiting")

    def _abandoned(self) -> dict[str, float]:
        return self._engines("n_abandoned")

    def _engines(self, what: str) -> dict[str, float]:
        values: dict[str, float] = {}
        meters = self._state.meters
        for threads in engine_threads(self._state, meters) if meters else ():
            values[threads.name] = values.get(threads.name, 0.0) + getattr(threads, what)
        return values


def watch_addresses(state: ServerState, meters: "Meters") -> None:
    """Tell of engines with several addresses, which are known by their numbers.

    Args:
        state: Has the engines.
        meters: Where it is told.
    """

    def groups() -> "list[AddressGroup]":
        return state.loaded.host.addresses() if state.loaded else []

    def each(what: "Callable[[Address], float]") -> Callable[[], dict[tuple[str, ...], float]]:
        return lambda: {
            (group.stage, str(one.number)): float(what(one)) for group in groups() for one in group.addresses
        }

    which = ("engine", "number")
    meters.watch("address_in_flight", "Requests under way.", each(lambda one: one.n_in_flight), which)
    meters.watch("address_gone", "1 where it is left alone.", each(lambda one: bool(one.gone)), which)
    meters.watch("address_requests", "Requests sent to it.", each(lambda one: one.n_asked), which, counts=True)
    meters.watch("address_failures", "Requests it gave nothing.", each(lambda one: one.n_failed), which, counts=True)
    of_all: tuple[tuple[str, str, Callable[[AddressGroup], int]], ...] = (
        ("address_moved", "Requests that moved on to another address.", lambda group: group.n_moved),
        (
            "address_hedged",
            "Requests asked at a second address, too, the first being late.",
            lambda group: group.n_hedged,
        ),
    )
    for name, told, count in of_all:
        meters.watch(name, told, partial(_by_stage, groups, count), "engine", counts=True)


def _by_stage(groups: "Callable[[], list[AddressGroup]]", count: "Callable[[AddressGroup], int]") -> dict[str, float]:
    return {group.stage: float(count(group)) for group in groups()}


def engine_threads(state: ServerState, meters: "Meters") -> list[EngineThreads]:
    """The threads of all engines that are loaded by now; their work is timed from now on."""
    loaded = state.loaded
    if loaded is None:
        return []
    found = loaded.sessions.engines.threads() if loaded.sessions else loaded.host.threads()
    threads = [one for one in found if isinstance(one, EngineThreads)]
    for one in threads:
        if one.timed is None:
            one.timed = meters.timing(one.name)
    return threads


def metrics_route(meters: "Meters", *, has_token: bool) -> Callable[[Request], Awaitable[Response]]:
    """The route; the guard before it has asked for the token, where there is one.

    Args:
        meters: What is told.
        has_token: Whether there is one; without it, nobody beyond this machine is told anything.
    """

    async def metrics(request: Request) -> Response:
        if not has_token and not sits_here(request.scope):
            return error_response(403, ASK_FOR_TOKEN)
        text, content_type = meters.exposition(request.headers.get("accept"))
        return Response(text, headers={"Content-Type": content_type, "Cache-Control": "no-store"})

    return metrics
