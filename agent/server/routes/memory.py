"""What is remembered of a caller, to see, edit, delete and take along: /api/memory, where the memory is on.

In:  GET of it (newest first; `before` a number, or `about` some words), GET export, PATCH {"text"} and DELETE of an
     item, DELETE of all. Whose it is says the token, or the header X-Sotto-Browser (see agent/server/wire/owner.py).
Out: JSON, JSON lines, 204; 404 where the memory is off or the item is not the caller's.
"""

from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from agent.memory.export import json_lines, shown
from agent.memory.item import MAX_CHARS
from agent.memory.memory import Memory
from agent.memory.store import MemoryStore
from agent.memory.tools import MAX_NUMBER
from agent.plain_text import plain_text
from agent.server.state import ServerState
from agent.server.wire.json_body import RequestError, json_object
from agent.server.wire.owner import memory_owner_of

PAGE_ITEMS = 50
HEADER = "X-Sotto-Browser"
NO_STORE = {"Cache-Control": "no-store"}

Result = TypeVar("Result")


def memory_routes(state: ServerState) -> APIRouter:
    """The routes under /api/memory.

    Args:
        state: Gives the memory once the models are loaded.
    """
    router = APIRouter(prefix="/api/memory")

    @router.get("")
    async def see(request: Request, before: str = "", about: str = "") -> Response:
        memory, owner = mine(state, request)
        first = _number(before) if before else MAX_NUMBER
        items = await memory.ask(
            lambda store: (
                store.find(owner, about, limit=PAGE_ITEMS)
                if about.strip()
                else store.newest(owner, before=first, limit=PAGE_ITEMS)
            )
        )
        more = items[-1].number if len(items) == PAGE_ITEMS and not about.strip() else None
        answer = {"conversations": memory.keeps_turns, "items": [shown(item) for item in items], "before": more}
        return JSONResponse(answer, headers=NO_STORE)

    @router.get("/export")
    async def export(request: Request) -> Response:
        memory, owner = mine(state, request)
        text = await memory.ask(lambda store: "".join(json_lines(store.items(owner))))
        headers = {**NO_STORE, "Content-Disposition": 'attachment; filename="sotto-memory.jsonl"'}
        return Response(text, media_type="application/jsonl; charset=utf-8", headers=headers)

    @router.patch("/{number}")
    async def edit(request: Request, number: str) -> Response:
        memory, owner = mine(state, request)
        text = (await json_object(request)).get("text")
        if not isinstance(text, str) or not plain_text(text).strip():
            raise RequestError(400, "text is missing; to be rid of this, delete it")
        wanted, words = _number(number), plain_text(text).strip()
        return _done(await memory.ask(lambda store: _changed(store, owner, wanted, words)))

    @router.delete("/{number}")
    async def forget(request: Request, number: str) -> Response:
        memory, owner = mine(state, request)
        wanted = _number(number)
        return _done(await memory.ask(lambda store: store.forget(owner, [wanted])))

    @router.delete("")
    async def forget_all(request: Request) -> Response:
        memory, owner = mine(state, request)
        await memory.ask(_forget_all(owner))
        return Response(status_code=204)

    return router


async def forget_turns(state: ServerState, conversation: str) -> int:
    """Take the turns of a conversation that is deleted out of the memory; how many sides of turns there were.

    Args:
        state: Gives the memory.
        conversation: Its id.
    """
    memory = state.sessions().memory
    return await memory.ask(lambda store: store.forget_conversation(conversation)) if memory else 0


def _forget_all(owner: str) -> Callable[[MemoryStore], int]:
    return lambda store: store.forget(owner, None)


def _changed(store: MemoryStore, owner: str, number: int, text: str) -> bool:
    item = store.item(owner, number)
    if item and len(text) > MAX_CHARS[item.kind]:
        raise RequestError(400, f"text is longer than {MAX_CHARS[item.kind]} characters")
    return store.change(owner, number, text)


def mine(state: ServerState, request: Request) -> tuple[Memory, str]:
    """The memory, and whose part of it the caller may have.

    Args:
        state: Gives the memory.
        request: The caller's.

    Raises:
        RequestError: 404: it is off; 400: the caller does not say who he is.
    """
    memory = state.sessions().memory
    if memory is None:
        raise RequestError(404, "the memory is off: sotto serve --set memory.keep=true")
    owner = memory_owner_of(request.scope, request.headers.get(HEADER))
    if owner is None:
        raise RequestError(400, f"the header {HEADER} must hold the id of the browser, 32 to 64 characters")
    return memory, owner


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise RequestError(404, f"nothing is remembered under {text[:40]!r}")
    return int(text)


def _done(found: object) -> Response:
    if not found:
        raise RequestError(404, "nothing is remembered under that number")
    return Response(status_code=204)
