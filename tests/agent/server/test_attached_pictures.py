"""Pictures that a message is asked with: sent ahead, shown to a model that takes them, told of to one that does not."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from agent.conversation.conversation import Conversation
from agent.conversation.waiting_pictures import (
    BLIND,
    GONE,
    MAX_AGE_SECS,
    MAX_IN_ALL,
    MAX_OF_ONE,
    PICTURE,
    UnknownPictureError,
    WaitingPictures,
)
from agent.engines.candidates import Candidate
from agent.engines.llm import LlmBackend
from agent.server.calls.messages import ClientMessages
from agent.tools.picture import MAX_BYTES, Picture, read_picture
from processors.llm.pictures import Attached, asked_with, latest_pictures, n_pictures_of
from processors.llm.routing import NO_IMAGE
from processors.llm.turn_point import TurnPoint, before_turn
from tests.agent.conversation.test_typed_turn import messages, talk
from tests.agent.server.test_chat import Chat, chatting
from tests.agent.server.test_live_settings import in_call
from tests.agent.tools.test_camera import jpeg, png
from tests.support.llm_session import options
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

# While the user speaks.
SPEAKING_SECS = 1.5
URL = f"data:image/png;base64,{base64.b64encode(png()).decode()}"


@asynccontextmanager
async def showing(*script: Any, sees: bool = True) -> AsyncIterator[Chat]:
    async with chatting(*script, changes={"takes_images": sees}) as chat:
        yield chat


async def send(client: httpx.AsyncClient, data: bytes, **headers: str) -> httpx.Response:
    return await client.post("/api/pictures", content=data, headers=headers)


async def ask(chat: Chat, text: str, **more: Any) -> httpx.Response:
    return await chat.client.post("/api/chat", json={"text": text, **more})


def pictures_in(request: Any) -> list[list[str]]:
    """The pictures of each message that a model was sent."""
    told = [message["content"] for message in request.messages if isinstance(message["content"], list)]
    return [[part["image_url"]["url"] for part in parts if part["type"] == "image_url"] for parts in told]


@in_virtual_time
async def test_a_question_is_asked_with_its_pictures_and_so_is_the_next_one() -> None:
    async with showing(Reply("A cup."), Reply("Red.")) as chat:
        marks = [(await send(chat.client, data)).json()["mark"] for data in (png(), jpeg())]
        answer = await ask(chat, "what is this", pictures=marks)
        assert "A cup." in answer.text
        (shown,) = pictures_in(chat.llm.requests[0])
        assert shown == [read_picture(data).url for data in (png(), jpeg())]
        (history,) = chat.served.state.histories._histories.values()
        assert history.turns() == [{"role": "user", "text": "what is this"}, {"role": "assistant", "text": "A cup."}]
        assert history.n_chars > len(shown[0])
        await ask(chat, "what colour", conversation=history.id)
        assert pictures_in(chat.llm.requests[1]) == [shown]
        # Each picture is taken once.
        again = await ask(chat, "and now", pictures=marks)
        assert (again.status_code, again.json()["error"]) == (400, GONE)


@in_virtual_time
async def test_a_model_that_takes_none_says_so_before_it_is_asked() -> None:
    async with showing(Reply("Hi."), sees=False) as chat:
        assert (await chat.client.get("/api/options")).json()["sees"] is False
        mark = (await send(chat.client, png())).json()["mark"]
        answer = await ask(chat, "what is this", pictures=[mark])
        assert (answer.status_code, answer.json()["error"]) == (400, BLIND)
        assert chat.llm.requests == []


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"", 400), (b"GIF89a", 400), (png()[:-1], 400), (png(9_000), 400), (bytes(MAX_BYTES + 1), 413)],
)
@in_virtual_time
async def test_what_is_no_picture_is_refused(data: bytes, status: int) -> None:
    async with showing() as chat:
        assert (await send(chat.client, data)).status_code == status


@pytest.mark.parametrize("marks", ["m", 7, {"a": 1}, [7], [None], ["unknown"], ["x"] * (MAX_OF_ONE + 1), [["m"]]])
@in_virtual_time
async def test_marks_that_are_none_are_refused(marks: object) -> None:
    async with showing() as chat:
        assert (await ask(chat, "what is this", pictures=marks)).status_code == 400
        assert chat.llm.requests == []


@in_virtual_time
async def test_another_site_cannot_send_one() -> None:
    async with showing() as chat:
        assert (await send(chat.client, png(), Origin="https://evil.example")).status_code == 403


def picture(n: int = 2) -> Picture:
    return read_picture(png(n))


def test_few_wait_and_not_for_long() -> None:
    now_secs = 0.0
    waiting = WaitingPictures(lambda: now_secs)
    own = [waiting.put(picture(), ("anna",)) for _ in range(MAX_OF_ONE + 1)]
    with pytest.raises(UnknownPictureError):
        waiting.take([own[0]])
    with pytest.raises(UnknownPictureError):
        waiting.take([own[1], own[1]])
    assert waiting.take([own[1]]) == [picture().url]
    for n in range(MAX_IN_ALL):
        waiting.put(picture(), (str(n),))
    # Others have crowded his out by now; there are no more than that.
    assert len(waiting._waiting) == MAX_IN_ALL
    late = waiting.put(picture(), ("anna",))
    now_secs = MAX_AGE_SECS + 1
    with pytest.raises(UnknownPictureError):
        waiting.take([late])


def test_a_history_keeps_the_latest_pictures() -> None:
    said = [asked_with(str(n), [URL, URL]) for n in range(4)]
    kept = latest_pictures(said, most=4)
    assert [n_pictures_of(message) for message in kept] == [0, 0, 2, 2]
    assert str(kept[0]).startswith("{'role': 'user', 'content': '0")
    # Those of one message stay together.
    assert n_pictures_of(latest_pictures([asked_with("x", [URL] * 6)])[0]) == 6


def test_a_turn_with_a_picture_is_gone_back_to_as_any() -> None:
    assert before_turn([asked_with("what is this", [URL])], TurnPoint("what is this")) == []


def test_pictures_come_into_the_message_that_they_were_sent_with() -> None:
    attached = Attached()
    attached.add("what is this", [URL])
    assert attached.shown([asked_with("hello", [])]) is None
    assert attached.shown([]) is None
    assert attached.shown([asked_with("hm what is this", [])]) == [asked_with("hm what is this", [URL])]
    assert attached.shown([asked_with("what is this", [])]) is None


def type_with_picture(conversation: Conversation) -> Any:
    return conversation.type("what is this", spoken=False, pictures=[URL])


@in_virtual_time
async def test_in_a_call_the_model_is_shown_them_with_the_typed_turn() -> None:
    held, server, _ = await talk((5.0, type_with_picture), changes={"takes_images": True})
    assert pictures_in(server.requests[-1]) == [[URL]]
    assert messages(held)[2] == ("user", asked_with("what is this", [URL])["content"])  # pyright: ignore
    assert [event["text"] for event in held.named("turn_ended")] == ["hello there", "what is this"]


@in_virtual_time
async def test_in_a_call_a_model_that_takes_none_is_not_asked() -> None:
    held, server, _ = await talk((5.0, type_with_picture))
    assert [(error["stage"], error["message"]) for error in held.named("error")] == [(PICTURE, BLIND)]
    assert len(server.requests) == 1


@pytest.mark.parametrize("goes_back", [False, True])
def test_pictures_of_a_turn_that_was_dropped_come_with_no_later_one(goes_back: bool) -> None:
    @in_virtual_time
    async def drop() -> None:
        async def act(conversation: Conversation) -> None:
            # It is behind what is being said, and never asked.
            await type_with_picture(conversation)
            if goes_back:
                await conversation.ask_again(TurnPoint("hello there"), "what is this", spoken=False)
            else:
                await conversation.start_over()
                await conversation.type("what is this", spoken=False)

        _, server, _ = await talk((SPEAKING_SECS, act), changes={"takes_images": True})
        assert server.requests[-1].messages[-1]["content"].startswith("what is this")
        assert pictures_in(server.requests[-1]) == []

    drop()


@in_virtual_time
async def test_a_turn_stays_that_is_asked_again_with_a_picture_which_the_model_does_not_take() -> None:
    async def ask_again(conversation: Conversation) -> None:
        await conversation.ask_again(TurnPoint("hello there"), "what is this", spoken=False, pictures=[URL])

    held, server, _ = await talk((5.0, ask_again))
    assert messages(held) == [("user", "hello there"), ("assistant", "Noon.")]
    assert [(error["stage"], error["message"]) for error in held.named("error")] == [(PICTURE, BLIND)]
    assert (held.named("went_back"), len(server.requests)) == ([], 1)


@in_virtual_time
async def test_a_model_that_takes_none_is_not_sent_those_that_another_one_was_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with ScriptedLLM(Reply("A cup.")) as seeing, in_call(replies=("Red.",)) as house:

        async def offered(_: object) -> list[Candidate[LlmBackend]]:
            eyes = LlmBackend(options(seeing, model="eyes", takes_images=True))
            return [Candidate("ollama", "eyes", lambda: eyes, measurable=False)]

        monkeypatch.setattr("agent.engines.session.llm_candidates", offered)
        assert (await house.change(llm__engine="ollama"))["sees"] is True
        mark = house.sessions.pictures.put(picture(), ("anna",))
        await house.caller.tell({"type": "text", "text": "what is this", "pictures": [mark]})
        await house.caller.until_event("bot_stopped_speaking")
        assert pictures_in(seeing.requests[0]) == [[picture().url]]
        assert (await house.change())["sees"] is False
        await house.ask("what colour", 2)
        assert pictures_in(house.llm.requests[0]) == []
        assert house.llm.requests[0].messages[1]["content"] == f"what is this\n{NO_IMAGE}"


@in_virtual_time
async def test_a_message_of_the_page_names_its_pictures() -> None:
    done: list[Any] = []

    class Noted:
        async def type(self, text: str, *, spoken: bool, pictures: Any = ()) -> None:
            done.append((text, spoken, pictures))

        def report(self, stage: str, message: str) -> None:
            done.append((stage, message))

    waiting = WaitingPictures()
    page = ClientMessages(Noted(), pictures=waiting)  # pyright: ignore[reportArgumentType]
    mark = waiting.put(picture(), ("anna",))
    page.handle({"type": "text", "text": "what is this", "pictures": [mark]})
    page.handle({"type": "text", "text": "and this", "pictures": [mark]})
    assert page._working
    await page._working
    assert done == [(PICTURE, GONE), ("what is this", True, [picture().url])]
