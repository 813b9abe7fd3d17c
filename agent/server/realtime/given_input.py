"""What a response of no conversation answers: items that its client gives with it, or refers to.

In:  `input` of `response.create`.   Out: messages as the language model gets them, or a RealtimeProblem that names one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.server.realtime.item_events import ROLES, finished_call
from agent.server.realtime.item_reading import call_of, id_of, message_of, output_of
from agent.server.realtime.items import Item, Items
from agent.server.realtime.problems import RealtimeProblem

MAX_INPUT_CHARS = 400_000
Message = dict[str, Any]


def messages_of(given: Sequence[Any], items: Items) -> list[Message]:
    """The messages of a client's items, in order; a call stands where its result does, and not without one.

    Args:
        given: Anything at all.
        items: Of the conversation, which may be referred to.

    Raises:
        RealtimeProblem: An item is wrong, is not there, or they are too long.
    """
    known = {item.id: item for item in items.all()}
    calls = {one.body["call_id"]: one.body for one in known.values() if one.body.get("type") == "function_call"}
    messages: list[Message] = []
    n_chars = 0
    for at, one in enumerate(given):
        body, own = _body_of(one, f"response.input[{at}]", known)
        n_before = len(messages)
        if body.get("type") == "function_call":
            calls[body["call_id"]] = body
        elif body.get("type") == "function_call_output":
            if (call := calls.get(body["call_id"])) is None:
                path = f"response.input[{at}].call_id"
                raise RealtimeProblem(f"{path} = {body['call_id'][:60]!r}: there is no such call", param=path)
            messages += finished_call(call, str(body["output"]))
        elif text := own:
            messages.append({"role": ROLES[body["role"]], "content": text})
        # What few words refer to may be long: no more of it is gathered than may be given.
        n_chars += sum(len(str(message)) for message in messages[n_before:])
        if n_chars > MAX_INPUT_CHARS:
            raise RealtimeProblem(
                f"response.input holds at most {MAX_INPUT_CHARS} characters",
                code="input_too_long",
                param="response.input",
            )
    return messages


def _body_of(given: object, path: str, known: Mapping[str, Item]) -> tuple[Message, str]:
    """An item, and the words of a message."""
    if not isinstance(given, Mapping):
        raise RealtimeProblem(f"{path} must be an object", param=path)
    kind = given.get("type")
    try:
        if kind == "item_reference":
            if (item := known.get(wanted := id_of(given, "id"))) is None:
                raise RealtimeProblem(f"there is no item {wanted[:60]!r}", code="item_not_found", param="item.id")
            return item.body, item.text
        if kind == "message":
            role, content = message_of(given)
            return {"type": kind, "role": role}, " ".join(part["text"] for part in content)
        if kind == "function_call":
            return {"type": kind, **call_of(given)}, ""
        if kind == "function_call_output":
            return {"type": kind, "call_id": id_of(given, "call_id"), "output": output_of(given)}, ""
    except RealtimeProblem as problem:
        param = f"{path}{(problem.param or 'item').removeprefix('item')}"
        raise RealtimeProblem(f"{param}: {problem}", code=problem.code, param=param) from problem
    raise RealtimeProblem(
        f"{path}.type = {str(kind)[:40]!r} cannot be taken here", code="unsupported_value", param=f"{path}.type"
    )
