"""What a client does with the conversation's items: it adds, deletes, reads and truncates them.

In:  `conversation.item.*` events.   Out: the history changed accordingly, and the client told.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from agent.server.realtime.agent_side import AgentSide
from agent.server.realtime.calls import ClientCalls
from agent.server.realtime.item_places import cut_to, with_inserted, without, without_messages
from agent.server.realtime.item_reading import call_of, id_of, message_of, output_of
from agent.server.realtime.items import Item, Items, heard_until
from agent.server.realtime.outgoing import new_id
from agent.server.realtime.problems import RealtimeProblem
from agent.tools.results import as_json, within_budget
from processors.llm.history import InterruptedReply

Message = Mapping[str, Any]
# How far a client's clock and its player may be ahead of what it was sent.
ROUNDING_MS = 1
# As the history holds them: a system message of one turn is a developer's.
ROLES = {"user": "user", "assistant": "assistant", "system": "developer"}


class ItemEvents:
    """Those of one client.

    Args:
        agent: Whose history it is.
        items: As the client knows them.
        calls: Of the client's functions.
        may_grow: Whether a client may have played more of an answer than is known here.
    """

    def __init__(self, agent: AgentSide, items: Items, calls: ClientCalls, *, may_grow: bool = False) -> None:
        self._may_grow = may_grow
        self._agent = agent
        self._items = items
        self._calls = calls

    async def create(self, event: Message) -> None:
        """`conversation.item.create`."""
        wanted = event.get("item")
        if not isinstance(wanted, Mapping):
            raise RealtimeProblem("item must be an object", param="item")
        after = event.get("previous_item_id")
        if after is not None and after != "root":
            self._items.find(after, "previous_item_id")
        kinds = {"message": self._message, "function_call": self._call, "function_call_output": self._output}
        kind = wanted.get("type")
        if not isinstance(kind, str) or kind not in kinds:
            raise RealtimeProblem(
                f"item.type = {str(kind)[:40]!r} cannot be created here", code="unsupported_value", param="item.type"
            )
        body = {"id": self._id(wanted), "object": "realtime.item", "status": "completed", "type": kind}
        item = kinds[kind](wanted, body)
        if item.messages:
            items, following = self._items.all(), self._following(after)
            await self._change(lambda messages: with_inserted(messages, item.messages, items, following))
        self._items.add(item, after)
        if gone := self._items.take_gone():
            await self._change(lambda messages: without_messages(messages, gone))

    async def delete(self, event: Message) -> None:
        """`conversation.item.delete`."""
        item = self._items.find(event.get("item_id"))
        await self._change(lambda messages: without(messages, item, self._items.all()))
        self._items.delete(item)

    async def retrieve(self, event: Message) -> None:
        """`conversation.item.retrieve`."""
        self._items.tell(self._items.find(event.get("item_id")))

    async def truncate(self, event: Message) -> None:
        """`conversation.item.truncate`: what the client has really played of an answer."""
        item, end_ms = self._items.find(event.get("item_id")), event.get("audio_end_ms")
        if item.body.get("role") != "assistant" or not item.sent_ms:
            raise RealtimeProblem("only an answer that was spoken can be truncated", param="item_id")
        if event.get("content_index") not in (0, None):
            raise RealtimeProblem("an answer has one part, of content_index 0", param="content_index")
        if not isinstance(end_ms, int) or isinstance(end_ms, bool) or end_ms < 0:
            raise RealtimeProblem("audio_end_ms must be a number of milliseconds", param="audio_end_ms")
        if end_ms > item.sent_ms + ROUNDING_MS:
            raise RealtimeProblem(
                f"audio_end_ms = {end_ms} is longer than the answer's sound, {item.sent_ms} ms", param="audio_end_ms"
            )
        heard = heard_until(item, end_ms)
        cut = partial(cut_to, item=item, items=self._items.all(), heard=heard, as_cut=InterruptedReply)
        await self._change(partial(cut, may_grow=self._may_grow))
        self._items.truncate(item, heard, end_ms)

    def _message(self, wanted: Message, body: dict[str, Any]) -> Item:
        role, content = message_of(wanted)
        text = " ".join(part["text"] for part in content)
        return Item({**body, "role": role, "content": content}, messages=({"role": ROLES[role], "content": text},))

    def _call(self, wanted: Message, body: dict[str, Any]) -> Item:
        """A call that was made elsewhere: it stands in the history once its result is told."""
        call = call_of(wanted)
        if self._items.call(call["call_id"]):
            raise RealtimeProblem(f"there is a call {call['call_id'][:60]!r} already", param="item.call_id")
        return Item({**body, **call}, awaits_output=True)

    def _output(self, wanted: Message, body: dict[str, Any]) -> Item:
        output, call = output_of(wanted), self._items.call(wanted.get("call_id"))
        if call is None or not call.awaits_output:
            self._calls.answer(wanted.get("call_id"), output)
            return Item({**body, "call_id": wanted["call_id"], "output": output})
        call.awaits_output, call.messages = False, finished_call(call.body, output)
        return Item({**body, "call_id": wanted["call_id"], "output": output}, messages=call.messages)

    def _id(self, wanted: Message) -> str:
        if wanted.get("id") is None:
            return new_id("item")
        item_id = id_of(wanted, "id")
        if self._items.has(item_id):
            raise RealtimeProblem(f"there is an item {item_id[:60]!r} already", param="item.id")
        return item_id

    def _following(self, after: object) -> list[Item]:
        if after is None:
            return []
        return self._items.all() if after == "root" else self._items.following(self._items.find(after))

    async def _change(self, change: Any) -> None:
        if session := self._agent.session:
            await session.conversation.change_history(change)
        else:
            context = self._agent.plan.history.context
            context.set_messages(change(list(context.messages)))


def finished_call(call: Message, output: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A call that was made elsewhere and what came of it, as the history holds those that were made here.

    Args:
        call: With call_id, name and arguments.
        output: What the client told.
    """
    function = {"name": call["name"], "arguments": call["arguments"]}
    called = {"role": "assistant", "tool_calls": [{"id": call["call_id"], "type": "function", "function": function}]}
    return called, {"role": "tool", "tool_call_id": call["call_id"], "content": as_json(within_budget(output))}
