"""What was recorded of a conversation, to fetch and to delete: /api/conversations.

In:  GET recording.wav or events.jsonl of a conversation, DELETE of all of it.   Out: the file, 204, 404, or 409 while
     the conversation is still being held; 503, by the app, where the memory cannot be written.
"""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from fastapi.responses import FileResponse, JSONResponse, Response

from agent.conversation.histories import HistoryInUseError
from agent.conversation.live_recording import EVENTS, SOUND
from agent.conversation.recordings import RecordingBusyError, Recordings

MEDIA_TYPES = {SOUND: "audio/wav", EVENTS: "application/jsonl"}


def recordings_router(
    recordings: Callable[[], Recordings],
    forget_history: Callable[[str], bool],
    forget_turns: Callable[[str], Awaitable[int]],
) -> APIRouter:
    """The routes under /api/conversations.

    Args:
        recordings: Gives them.
        forget_history: Forgets what was said in a conversation; whether there was anything. A HistoryInUseError of it
            is answered with 409: the conversation is still being held.
        forget_turns: Takes its turns out of the memory; how many there were.
    """
    router = APIRouter(prefix="/api/conversations")

    @router.get(f"/{{conversation}}/{SOUND}")
    async def sound(conversation: str) -> Response:
        return _download(recordings(), conversation, SOUND)

    @router.get(f"/{{conversation}}/{EVENTS}")
    async def events(conversation: str) -> Response:
        return _download(recordings(), conversation, EVENTS)

    @router.delete("/{conversation}")
    async def forget(conversation: str) -> Response:
        kept = recordings()
        try:
            # The history first: if it is in use, nothing is deleted.
            forgotten = [forget_history(conversation), kept.forget(conversation)]
        except (HistoryInUseError, RecordingBusyError) as error:
            return _error(409, str(error))
        forgotten.append(await forget_turns(conversation) > 0)
        return Response(status_code=204) if any(forgotten) else _error(404, "there is no such conversation")

    return router


def _download(recordings: Recordings, conversation: str, name: str) -> Response:
    try:
        path = recordings.file(conversation, name)
    except RecordingBusyError as error:
        return _error(409, str(error))
    if path is None:
        return _error(404, "nothing was recorded of this conversation, or it is gone")
    return FileResponse(
        path, media_type=MEDIA_TYPES[name], filename=f"sotto-{name}", headers={"Cache-Control": "no-store"}
    )


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)
