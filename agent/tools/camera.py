"""The page's camera: one picture at a time, only when asked for, seen by the model with one turn and then dropped.

In:  a call of the tool, or a reflex; then what the page sends for it.
Out: events, and the picture for the next request.

It is never written down: neither in the history, where the call and a line on it stand, nor in an event or a recording.
"""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any

from agent.errors import SottoError
from agent.own_names import own_name
from agent.tools.picture import MAX_BYTES, MAX_SIDE_PX, Picture, PictureError, read_picture
from agent.tools.tool import NoArguments, Tool, ToolError

TOOL = "look_through_camera"
# The browser asks the person first.
LIMIT_SECS = 20.0
# Why a page has no picture, by the word that it sends.
PROBLEMS = {"denied": "the user did not allow the camera", "none": "the user's device has no camera"}
NO_PICTURE = "the camera gave no picture"
NO_PAGE = "there is no camera in this conversation: nothing can be seen; say so"
NO_EYES = "the language model in use takes no pictures: nothing can be seen; say so"


class UnaskedError(SottoError):
    """A picture came that nobody waits for."""


class Camera:
    """Of one conversation.

    Args:
        has_page: Whether there is a page that can be asked.
        has_eyes: Whether the language model takes pictures.
    """

    def __init__(self, *, has_page: bool, has_eyes: bool) -> None:
        self.has_page = has_page
        self.has_eyes = has_eyes
        # Told of events: the name, then fields.
        self.emit: Any = lambda *_, **__: None
        self._mark = ""
        self._waiting: asyncio.Future[Picture] | None = None
        self._picture: Picture | None = None

    def tool(self) -> Tool:
        """What the language model calls."""
        about = (
            "Take one picture with the user's camera, when the user asks you to look at something or what you see. "
            "You are shown it with the result, once."
        )
        return Tool(TOOL, about, NoArguments, self._look, limit_secs=LIMIT_SECS + 2, when=lambda: self.has_eyes)

    async def _look(self, _: NoArguments) -> object:
        if not self.has_page:
            raise ToolError(NO_PAGE)
        if not self.has_eyes:
            raise ToolError(NO_EYES)
        if self._waiting:
            raise ToolError("a picture is being taken already")
        picture = await self._ask()
        self._picture = picture
        return {"picture": f"{picture.width} x {picture.height} pixels, shown to you with this turn alone"}

    async def _ask(self) -> Picture:
        mark = self._mark = own_name(lambda: secrets.token_urlsafe(16))
        self._waiting = asyncio.get_running_loop().create_future()
        self.emit("camera_asked", mark=mark, limit_secs=LIMIT_SECS, max_bytes=MAX_BYTES, max_side_px=MAX_SIDE_PX)
        try:
            async with asyncio.timeout(LIMIT_SECS):
                picture = await self._waiting
        except TimeoutError:
            why = f"no picture came within {LIMIT_SECS:g} seconds"
            self.emit("camera_failed", mark=mark, reason=why)
            raise ToolError(why) from None
        except ToolError as error:
            self.emit("camera_failed", mark=mark, reason=str(error))
            raise
        except asyncio.CancelledError:
            self.emit("camera_failed", mark=mark, reason="it was called off")
            raise
        finally:
            self._waiting, self._mark = None, ""
        size = {"width": picture.width, "height": picture.height, "bytes": len(picture.data)}
        self.emit("camera_taken", mark=mark, mime=picture.mime, **size)
        return picture

    def awaits(self, mark: str) -> bool:
        """Whether a picture of this mark was asked for, and has not come.

        Args:
            mark: As the event `camera_asked` told it.
        """
        is_open = self._waiting is not None and not self._waiting.done()
        return is_open and secrets.compare_digest(self._mark.encode(), mark.encode("utf-8", "replace"))

    def take(self, mark: str, data: bytes) -> None:
        """The page sends what was asked for; whatever it is, no other is taken for it.

        Args:
            mark: As the event told it.
            data: A picture.

        Raises:
            UnaskedError: Nobody waits for it.
            PictureError: It is none, or too large.
        """
        if not self.awaits(mark) or self._waiting is None:
            raise UnaskedError("no picture is asked for by this mark")
        try:
            picture = read_picture(data)
        except PictureError as error:
            self._waiting.set_exception(ToolError(f"{NO_PICTURE}: {error}"))
            raise
        self._waiting.set_result(picture)

    def refuse(self, mark: str, problem: str) -> None:
        """The page has no picture; nothing happens where none is waited for.

        Args:
            mark: As the event told it.
            problem: A key of PROBLEMS, or anything else.
        """
        if self.awaits(mark) and self._waiting:
            self._waiting.set_exception(ToolError(PROBLEMS.get(problem, NO_PICTURE)))

    def urls(self) -> list[str]:
        """What the model is shown with this turn, as data URLs."""
        return [self._picture.url] if self._picture else []

    def drop(self) -> None:
        """The turn that it was taken for is over."""
        self._picture = None

    def note(self, event: Mapping[str, Any]) -> None:
        """Follow the turns: nothing stays for the next one.

        Args:
            event: Any of the conversation's.
        """
        if event["event"] in ("turn_ended", "started_over", "went_back"):
            self.drop()

    def close(self) -> None:
        """The conversation is over."""
        self.drop()
        if self._waiting and not self._waiting.done():
            self._waiting.cancel()
