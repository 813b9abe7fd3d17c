"""A line of events: what a client may send at once, and who gets a turn meanwhile."""

import asyncio
from collections import deque
from typing import Any

from starlette.websockets import WebSocket, WebSocketState

from tests.support.virtual_time import in_virtual_time
from transports.event_line import CHAR_BURST, EVENT_BURST, EventLine
from transports.websocket_line import INTERNAL_ERROR, POLICY_VIOLATION, Ending

GREETING = {"type": "session.created"}


class Client:
    """The edge: an ASGI connection that has all that its client said at hand."""

    def __init__(self, *said: str) -> None:
        self.said = deque(said)
        self.n_read = 0
        self.left = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self.said:
            self.n_read += 1
            return {"type": "websocket.receive", "text": self.said.popleft()}
        await self.left.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(self, message: Any) -> None:
        """What it is sent is of no concern here."""


def line_of(client: Client, on_text: Any) -> EventLine:
    socket = WebSocket({"type": "websocket"}, client.receive, client.send)
    socket.client_state = socket.application_state = WebSocketState.CONNECTED
    return EventLine(socket, on_text)


@in_virtual_time
async def test_others_get_their_turns_while_thousands_of_events_are_read_and_done() -> None:
    client, done = Client(*(str(number) for number in range(3000))), []

    async def do(text: str | None) -> None:
        done.append(text)

    running = asyncio.create_task(line_of(client, do).run(GREETING))
    n_turns = 0
    while len(done) < 3000:
        n_turns += 1
        await asyncio.sleep(0)
    assert done == [str(number) for number in range(3000)]
    assert n_turns >= 3000
    client.left.set()
    assert (await running).by_client


@in_virtual_time
async def test_events_are_read_while_an_earlier_one_takes_long_and_done_in_their_order() -> None:
    client, done = Client("slow", "second", "third"), []

    async def do(text: str | None) -> None:
        await asyncio.sleep(60 if text == "slow" else 0)
        done.append(text)

    running = asyncio.create_task(line_of(client, do).run(GREETING))
    await asyncio.sleep(1)
    # Of what is not read the line would not see the answers to its pings.
    assert (client.n_read, done) == (3, [])
    await asyncio.sleep(60)
    assert done == ["slow", "second", "third"]
    client.left.set()
    await running


async def ending_of_flood(*said: str) -> Ending:
    async def do(_: str | None) -> None:
        return

    return await line_of(Client(*said), do).run(GREETING)


@in_virtual_time
async def test_more_events_or_characters_than_are_allowed_at_once_end_the_line() -> None:
    many = await ending_of_flood(*["{}"] * (int(EVENT_BURST) + 1000))
    assert (many.code, many.reason.split(":")[0]) == (POLICY_VIOLATION, "too many events")
    much = await ending_of_flood(*["x" * 2_000_000] * (int(CHAR_BURST) // 2_000_000 + 2))
    assert (much.code, much.reason.split(":")[0]) == (POLICY_VIOLATION, "too much at once")


@in_virtual_time
async def test_an_event_that_nobody_has_foreseen_ends_its_line_with_a_reason() -> None:
    async def fail(_: str | None) -> None:
        raise RuntimeError("unforeseen")

    assert (await line_of(Client("{}"), fail).run(GREETING)).code == INTERNAL_ERROR
