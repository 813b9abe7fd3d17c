"""What was said in conversations: /api/conversations/ID what the server still has of one, to whoever knows its id; and
/api/memory/conversations those that are kept, to their owner.

In:  ids; the header X-Sotto-Browser, as for all of the memory.   Out: JSON, or a file.
One that is kept and opened goes on under its id, by a call or a typed question.
"""

import json
from collections.abc import Sequence
from datetime import datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from agent.conversation.histories import History
from agent.memory.conversations import MAX_TITLE_CHARS, Kept
from agent.memory.item import Item
from agent.memory.store import MemoryStore
from agent.memory.tools import MAX_NUMBER
from agent.plain_text import plain_text
from agent.server.calls.kept import ROLES, as_messages
from agent.server.routes.memory import NO_STORE, mine
from agent.server.state import ServerState
from agent.server.wire.json_body import RequestError, json_object
from agent.server.wire.owner import owner_of

PAGE_CONVERSATIONS = 50
MAX_FOUND = 400
UNKNOWN = "there is no such conversation"


def conversation_routes(state: ServerState) -> APIRouter:
    """The routes.

    Args:
        state: Gives the histories, and the memory once the models are loaded.
    """
    router = APIRouter()

    @router.get("/api/conversations/{conversation}")
    async def still_there(conversation: str) -> Response:
        history = state.histories.find(conversation)
        if history is None:
            raise RequestError(404, UNKNOWN)
        return JSONResponse(_told(history), headers=NO_STORE)

    _add_kept(router, state)
    return router


def _add_kept(router: APIRouter, state: ServerState) -> None:
    base = "/api/memory/conversations"

    @router.get(base)
    async def listed(request: Request, before: str = "", about: str = "") -> Response:
        memory, owner = mine(state, request)
        first = int(before) if before.isascii() and before.isdigit() and len(before) < 16 else MAX_NUMBER
        words = about.strip()

        def find(store: MemoryStore) -> list[Kept]:
            if not words:
                return store.conversations.newest(owner, before=first, limit=PAGE_CONVERSATIONS)
            said = store.find(owner, words, limit=MAX_FOUND, all_words=True)
            return store.conversations.about(owner, words, said, limit=PAGE_CONVERSATIONS)

        kept = await memory.ask(find)
        more = kept[-1].last if len(kept) == PAGE_CONVERSATIONS and not words else None
        answer = {"kept": memory.keeps_turns, "conversations": [shown(one) for one in kept], "before": more}
        return JSONResponse(answer, headers=NO_STORE)

    @router.post(base + "/{conversation}")
    async def opened(request: Request, conversation: str) -> Response:
        memory, owner = mine(state, request)
        page = (await json_object(request)).get("page")
        turns = await memory.ask(lambda store: store.conversations.turns(owner, conversation))
        if not turns:
            raise RequestError(404, UNKNOWN)
        history = state.histories.restore(conversation, owner_of(request.scope, page), as_messages(turns))
        return JSONResponse(_told(history), headers=NO_STORE)

    @router.get(base + "/{conversation}/export")
    async def exported(request: Request, conversation: str, kind: str = "text") -> Response:
        memory, owner = mine(state, request)
        if kind not in ("text", "json"):
            raise RequestError(400, f"kind = {kind[:40]!r}; there are text and json")
        known, turns = await memory.ask(
            lambda store: (
                store.conversations.one(owner, conversation),
                store.conversations.turns(owner, conversation),
            )
        )
        if known is None:
            raise RequestError(404, UNKNOWN)
        text = as_json(known, turns) if kind == "json" else as_text(known, turns)
        media_type = "application/json" if kind == "json" else "text/plain; charset=utf-8"
        return Response(text, media_type=media_type, headers=NO_STORE)

    @router.patch(base + "/{conversation}")
    async def renamed(request: Request, conversation: str) -> Response:
        memory, owner = mine(state, request)
        title = _title_of((await json_object(request)).get("title"))
        if not await memory.ask(lambda store: store.conversations.rename(owner, conversation, title)):
            raise RequestError(404, UNKNOWN)
        return Response(status_code=204)

    @router.delete(base + "/{conversation}")
    async def forgotten(request: Request, conversation: str) -> Response:
        memory, owner = mine(state, request)
        if await memory.ask(lambda store: store.conversations.one(owner, conversation)) is None:
            raise RequestError(404, UNKNOWN)
        # First what may be in use: then nothing is deleted.
        state.histories.forget(conversation)
        state.sessions().recordings.forget(conversation)
        await memory.ask(lambda store: store.conversations.forget(owner, conversation))
        return Response(status_code=204)


def shown(kept: Kept) -> dict[str, object]:
    """A conversation as JSON values.

    Args:
        kept: Any.
    """
    return {
        "id": kept.id,
        "title": kept.title,
        "begun": _date(kept.begun_secs),
        "date": _date(kept.said_secs),
        "turns": kept.n_turns,
    }


def as_text(kept: Kept, turns: Sequence[Item]) -> str:
    """A conversation for people: its title and date, then who said what.

    Args:
        kept: Which.
        turns: Of it, in order.
    """
    said = "".join(f"\n{'You' if one.kind == 'user' else 'Agent'}: {one.text}\n" for one in turns)
    return f"{kept.title}\n{_date(kept.begun_secs)}\n{said}"


def as_json(kept: Kept, turns: Sequence[Item]) -> str:
    """A conversation for programs.

    Args:
        kept: Which.
        turns: Of it, in order.
    """
    said = [{"role": ROLES[one.kind], "date": _date(one.said_secs), "text": one.text} for one in turns]
    return json.dumps({**shown(kept), "turns": said}, ensure_ascii=False, indent=2) + "\n"


def _told(history: History) -> dict[str, object]:
    return {"conversation": history.id, "history": history.turns(), "noted": history.has_notes}


def _title_of(title: object) -> str:
    if not isinstance(title, str):
        raise RequestError(400, "title is missing")
    line = " ".join(plain_text(title).split())
    if len(line) > MAX_TITLE_CHARS:
        raise RequestError(400, f"title is longer than {MAX_TITLE_CHARS} characters")
    return line


def _date(secs: float) -> str:
    return datetime.fromtimestamp(secs).astimezone().isoformat(timespec="seconds")
