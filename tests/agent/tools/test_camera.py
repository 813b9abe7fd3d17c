"""The page's camera: one picture, only when asked for, shown to the model with that turn alone, and kept nowhere."""

import asyncio
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response

from agent.commands.script import Step, Typed
from agent.conversation.conversation import Conversation
from agent.conversation.event_log import Event
from agent.engines.images import takes_images
from agent.engines.look_ups import LookUps
from agent.server.routes.camera import camera_routes
from agent.server.state import ServerState
from agent.server.wire.json_body import RequestError, error_response
from agent.settings.load import Settings
from agent.tools.camera import LIMIT_SECS, TOOL, Camera
from agent.tools.picture import MAX_BYTES, MAX_SIDE_PX, PictureError, read_picture
from agent.tools.tool import NoArguments, ToolError
from tests.support.house import Held, hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.support.scripted_llm import Request as Asked
from tests.support.virtual_time import in_virtual_time

LOOK = Typed("What do you see?")
CALL = Reply(tool_calls=[ToolCall(TOOL)])


def png(width: int = 2, height: int = 2) -> bytes:
    """A PNG file that says it is so large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0\0\0" * 2))
        + chunk(b"IEND", b"")
    )


def jpeg(width: int = 4, height: int = 3) -> bytes:
    """What surrounds the data of a JPEG file of that size."""
    tables = b"\xff\xdb\x00\x04\x00\x00"
    frame = b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"
    return b"\xff\xd8" + tables + frame + b"\xff\xd9"


def sends(data: bytes) -> Callable[[Conversation, Event], None]:
    """A page that sends this."""

    def answer(conversation: Conversation, event: Event) -> None:
        conversation.camera.take(event["mark"], data)

    return answer


SENDS_JPEG = sends(jpeg())


def denies(conversation: Conversation, event: Event) -> None:
    conversation.camera.refuse(event["mark"], "denied")


def never(_: Conversation, __: Event) -> None:
    pass


async def look(
    *script: Any,
    page: Callable[[Conversation, Event], None] | None = SENDS_JPEG,
    steps: Sequence[Step] = (Step(LOOK),),
    sees: bool = True,
    **sections: Any,
) -> tuple[Held, list[Asked]]:
    """A conversation with a page that answers when it is asked for a picture; None: there is no page."""
    here: list[Conversation] = []

    def follow(event: Event) -> None:
        if event["event"] == "camera_asked" and page:
            # The page's answer comes over the network.
            asyncio.get_running_loop().call_later(0.2, page, here[0], event)

    async with (
        ScriptedLLM(*script) as llm,
        hosting(ScriptedRecognizerEngine("No, wait."), options(llm, takes_images=sees), ScriptedSynthesizer()) as host,
    ):
        held = await hold(
            host,
            steps,
            settings=Settings.model_validate(sections),
            sinks=[follow],
            prepare=lambda conversation, _: here.append(conversation),
            reflexes=True,
            has_camera=page is not None,
        )
        return held, llm.requests


def pictures(asked: Asked) -> list[str]:
    """The pictures of a request, each with the words that it stands beside."""
    found = []
    for message in asked.messages:
        if isinstance(content := message.get("content"), list):
            words, *parts = content
            found += [f"{words['text']} {part['image_url']['url'][:22]}" for part in parts]
    return found


def said(held: Held) -> str:
    return " ".join(held.texts("bot_word"))


@in_virtual_time
async def test_a_request_takes_one_picture_that_the_model_sees_with_that_turn_alone() -> None:
    steps = [Step(LOOK), Step(Typed("And what is it for?"))]
    held, asked = await look(Reply("A cup."), Reply("For tea."), steps=steps)
    assert said(held) == "A cup. For tea."
    assert [pictures(one) for one in asked] == [["What do you see? data:image/jpeg;base64"], []]
    (taken,) = held.named("camera_taken")
    assert (taken["mime"], taken["width"], taken["height"], taken["bytes"]) == ("image/jpeg", 4, 3, len(jpeg()))
    assert len(held.named("camera_asked")) == 1
    # A line on it stands in the history, and nothing of it in any event.
    assert "4 x 3 pixels" in json.dumps(asked[1].messages)
    assert "base64" not in json.dumps(held.events) + json.dumps(held.history, default=str)


@in_virtual_time
async def test_a_model_that_calls_tools_looks_by_itself_when_the_words_are_others() -> None:
    steps = [Step(Typed("Which colour is my shirt?"))]
    held, asked = await look(CALL, Reply("Blue."), page=sends(png()), steps=steps)
    assert [pictures(one) for one in asked] == [[], ["Which colour is my shirt? data:image/png;base64,"]]
    assert said(held) == "Blue."


@in_virtual_time
async def test_who_does_not_allow_it_is_told_that_there_is_no_picture() -> None:
    held, asked = await look(page=denies)
    assert said(held) == "I didn't get a picture."
    assert asked == []
    assert held.named("camera_failed")[0]["reason"] == "the user did not allow the camera"


@in_virtual_time
async def test_a_page_that_never_answers_is_not_waited_for_for_long() -> None:
    held, _ = await look(page=never)
    asked, failed = held.named("camera_asked")[0], held.named("camera_failed")[0]
    assert failed["reason"] == "no picture came within 20 seconds"
    assert round(failed["t"] - asked["t"], 1) == LIMIT_SECS
    assert said(held) == "I didn't get a picture."


@in_virtual_time
async def test_a_barge_in_calls_it_off_and_a_late_picture_is_refused() -> None:
    late: list[str] = []

    def answer(conversation: Conversation, event: Event) -> None:
        late.append(str(conversation.camera.awaits(event["mark"])))

    def page(conversation: Conversation, event: Event) -> None:
        asyncio.get_running_loop().call_later(5.0, answer, conversation, event)

    steps = [Step(LOOK), Step(Typed("Never mind that, tell me a joke."), after="camera_asked", delay_secs=1.0)]
    # Longer than the page takes.
    joke = "Knock, knock, my friend, who is there at this late hour of such a long and rainy day in the cold of autumn?"
    held, asked = await look(Reply(joke), page=page, steps=steps)
    assert held.named("camera_failed")[0]["reason"] == "it was called off"
    assert [pictures(one) for one in asked] == [[]]
    assert late == ["False"]


@in_virtual_time
async def test_a_model_without_eyes_is_sent_nothing_and_the_agent_says_so() -> None:
    held, asked = await look(sees=False)
    assert said(held) == "The language model that I use can't see pictures."
    assert (asked, held.named("camera_asked")) == ([], [])


@in_virtual_time
async def test_without_a_page_there_is_nothing_to_see() -> None:
    held, asked = await look(page=None)
    assert said(held) == "I can't see anything here: there is no camera."
    assert (asked, held.named("camera_asked")) == ([], [])


@in_virtual_time
async def test_it_may_be_asked_first_or_be_off() -> None:
    steps = [Step(LOOK), Step(Typed("Yes."))]
    held, asked = await look(Reply("A cup."), steps=steps, tools={"camera": "ask"})
    assert said(held) == "Shall I look through your camera? A cup."
    assert len(held.named("camera_taken")) == len(asked) == 1
    off, asked = await look(Reply("Nothing."), tools={"camera": "off"})
    assert (said(off), off.named("camera_asked")) == ("Nothing.", [])
    assert TOOL not in json.dumps(asked[0].body)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "neither a whole PNG nor a whole JPEG"),
        (b"GIF89a" + bytes(40), "neither a whole PNG nor a whole JPEG"),
        (b"\xff\xd8" + b"\xff" * 100_000 + b"\xff\xd9", "a JPEG file without a frame header"),
        (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 2_000 + b"\xff\xd9", "a JPEG file without a frame header"),
        (jpeg()[:-2], "neither a whole PNG nor a whole JPEG"),
        (png()[:-1], "neither a whole PNG nor a whole JPEG"),
        (b"\xff\xd8\xff\xda\x00\x02\xff\xd9", "without a frame header"),
        (b"\xff\xd8\xff\xe0\x00\x00\xff\xd9", "without a frame header"),
        (jpeg(MAX_SIDE_PX + 1, 1), "each side has 1 to 1600"),
        (png(1, 0), "each side has 1 to 1600"),
        (b"\xff\xd8" + bytes(MAX_BYTES), "is larger than 1500000"),
    ],
)
def test_what_is_no_picture_or_too_large_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(PictureError, match=why):
        read_picture(data)


class OneCamera:
    """Stands for the server's conversations: one, with this camera."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera

    def sessions(self) -> "OneCamera":
        return self

    def camera_of(self, _: str) -> Camera:
        return self._camera


@in_virtual_time
async def test_the_route_takes_the_one_picture_that_was_asked_for() -> None:
    asked: list[str] = []
    camera = Camera(has_page=True, has_eyes=True)
    camera.emit = lambda name, **fields: asked.append(fields["mark"]) if name == "camera_asked" else None
    app = FastAPI()
    app.include_router(camera_routes(cast(ServerState, OneCamera(camera))))

    @app.exception_handler(RequestError)
    async def refused(_: Request, error: RequestError) -> Response:
        return error_response(error.status, str(error), error.headers)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as page:

        async def post(mark: str, data: bytes) -> int:
            return (await page.post(f"/api/camera/{mark}", content=data)).status_code

        async def ask() -> "asyncio.Future[object]":
            looking = asyncio.ensure_future(camera.tool().run(NoArguments()))
            # It has asked once it waits.
            await asyncio.sleep(0)
            return looking

        # Not asked for.
        assert await post("x", jpeg()) == 404
        looking = await ask()
        assert await post("x", jpeg()) == 404
        assert await post(asked[-1], bytes(MAX_BYTES + 1)) == 413
        # One at a time.
        with pytest.raises(ToolError, match="a picture is being taken already"):
            await camera.tool().run(NoArguments())
        assert await post(asked[-1], jpeg()) == 204
        await looking
        assert camera.urls() == [read_picture(jpeg()).url]
        assert await post(asked[-1], jpeg()) == 404
        # What is no picture ends the request.
        looking = await ask()
        assert await post(asked[-1], b"<html>") == 400
        with pytest.raises(ToolError, match="the camera gave no picture"):
            await looking


class Told(LookUps):
    """A server that tells this."""

    def __init__(self, **told: dict[str, Any]) -> None:
        super().__init__("", None)
        self._answers = {f"/{path.replace('__', '/')}": answer for path, answer in told.items()}

    async def ask(self, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        return self._answers.get(path, {})


@pytest.mark.parametrize(
    ("make", "server", "sees"),
    [
        ("ollama", Told(api__show={"capabilities": ["completion", "vision"]}), True),
        ("ollama", Told(api__show={"capabilities": ["completion"]}), False),
        ("llamacpp", Told(props={"modalities": {"vision": True}}), True),
        ("embedded", Told(props={"modalities": {"vision": False}}), False),
        ("lmstudio", Told(api__v0__models={"data": [{"id": "m", "type": "vlm"}]}), True),
        ("lmstudio", Told(api__v0__models={"data": [{"id": "m", "type": "llm"}, "x"]}), False),
        ("vllm", Told(props={"modalities": {"vision": True}}), False),
        ("endpoint", Told(), False),
    ],
)
@in_virtual_time
async def test_servers_tell_whether_their_model_takes_pictures(make: str, server: LookUps, sees: bool) -> None:
    assert await takes_images(server, make, "m") is sees
