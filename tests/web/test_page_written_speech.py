"""A spoken answer on the page: shown as it was written, with the words marked in it as they are heard."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from processors.text.speakable_stream import SpeakableStream
from processors.text.written_places import WrittenReply
from tests.support.chromium import visit
from tests.support.stub_peer import StubPeer
from tests.support.stub_server import StubServer, call, choose

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ANSWER = (
    "It takes **two steps** 👨\u200d👩\u200d👧 and 2,500 ms on [my box](https://example.com/i/costs):\n\n"
    "1. Write `hi.py`.\n\n```python\nprint('It costs')\n```\n\n2. It costs $5.\n\n"
    "| Plan | Size |\n|---|---|\n| Small | 20 GB |\n\n```sh\nls\n```"
)
SEEN = (
    "It takes two steps 👨\u200d👩\u200d👧 and 2,500 ms on my box:"
    "Write hi.py.print('It costs')It costs $5.PlanSizeSmall20 GBls"
)


Told = tuple[str, dict[str, Any]]


def events_of(answer: str, number: int = 1) -> tuple[list[Told], list[Told]]:
    """What the server tells of an answer before it is heard, and word for word as it is."""
    stream, written = SpeakableStream(), WrittenReply(number, "en")
    written.add(answer)
    planned: list[Told] = []
    heard: list[Told] = []
    for piece in [*stream.push(answer), *stream.flush()]:
        start, text = written.take(piece.end)
        planned += [
            ("bot_written", {"text": text, "reply": number, "start": start}),
            ("bot_planned", {"text": str(piece)}),
        ]
        heard += [
            ("bot_word", {"text": place.word, "reply": number, "written": [place.start, place.end]})
            for place in written.places_of(piece)
        ]
    start, text = written.take(stream.taken)
    return [*planned, ("bot_written", {"text": text, "reply": number, "start": start})], heard


async def seen(page: Page) -> str:
    """What is shown of the answer, without the labels of code."""
    script = """() => {
      const said = document.querySelector(".agent .said").cloneNode(true);
      said.querySelectorAll(".language, .copy").forEach((label) => label.remove());
      return said.textContent;
    }"""
    return await page.evaluate(script)


async def begin(page: Page, stub: StubServer, planned: list[Told]) -> StubPeer:
    peer = await call(page, stub)
    peer.send("turn_ended", text="how")
    for name, fields in planned:
        peer.send(name, **fields)
    peer.send("bot_started_speaking")
    return peer


async def marked(page: Page) -> str:
    return "".join(await page.locator(".agent mark").all_inner_texts())


async def test_the_words_of_an_answer_are_marked_in_what_was_written(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        planned, heard = events_of(ANSWER)
        peer = await begin(page, stub, planned)
        await expect(page.locator(".agent .ahead").first).to_be_visible()
        assert await seen(page) == SEEN
        assert await page.locator(".agent :is(strong, ol, table, pre)").count() == 6
        marks: list[str] = []
        for name, fields in heard:
            peer.send(name, **fields)
            peer.send("partial_transcript", text=fields["text"] + str(len(marks)))
            await expect(page.locator(".user .partial").last).to_have_text(fields["text"] + str(len(marks)))
            is_code = await page.locator(".code.now").count()
            marks.append("(code)" if is_code else await marked(page))
            assert await seen(page) == SEEN
        # The numbers of a list are said, and are no text of the page.
        assert " ".join(filter(None, dict.fromkeys(marks))) == (
            "It takes two steps and 2,500 ms on my box Write hi.py. (code) costs $5. Plan Size Small 20 GB"
        ), marks
        assert marks.count("2,500") == 4
        assert await page.locator(".agent .ahead").count() == 0
        peer.send("bot_stopped_speaking")
        await expect(page.locator(".agent mark, .agent .now")).to_have_count(0)
        assert await seen(page) == SEEN


async def test_after_a_cut_what_was_not_heard_is_struck_out_and_code_can_still_be_read(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        planned, heard = events_of(ANSWER)
        peer = await begin(page, stub, planned)
        said = [fields["text"] for _, fields in heard[:8]]
        for name, fields in heard[:8]:
            peer.send(name, **fields)
        peer.send("interruption", heard=" ".join(said), planned=ANSWER)
        peer.send("bot_stopped_speaking")
        await expect(page.locator(".agent .note")).to_have_text("interrupted, not said: what is struck out")
        struck = await page.locator(".said s.unsaid").all_inner_texts()
        assert " ".join(" ".join(struck).split()) == "ms on my box : Write hi.py . It costs $5. Plan Size Small 20 GB"
        assert await page.locator(".agent :is(mark, .ahead)").count() == 0
        await expect(page.locator(".agent .said")).to_contain_text("print('It costs')")
        assert await seen(page) == SEEN


async def test_what_the_agent_says_of_its_own_accord_stands_before_its_answer(
    browser: Browser, stub: StubServer
) -> None:
    async with visit(browser, stub.url) as page:
        filler, heard_filler = events_of("One moment.", 1)
        answer, heard_answer = events_of("It is **noon**.", 2)
        peer = await begin(page, stub, [*filler, *answer])
        for name, fields in [*heard_filler, heard_answer[0]]:
            peer.send(name, **fields)
        await expect(page.locator(".agent mark")).to_have_text("It")
        assert await page.locator(".agent .reply").all_inner_texts() == ["One moment.", "It is noon."]
        assert await page.locator(".agent .ahead").all_inner_texts() == ["is ", "noon", "."]


async def test_an_answer_is_saved_as_it_was_written(browser: Browser, stub: StubServer) -> None:
    async with visit(browser, stub.url) as page:
        planned, heard = events_of("Do **this**:\n\n```sh\nls\n```\n\nThen say hello.")
        peer = await begin(page, stub, planned)
        for name, fields in heard[:2]:
            peer.send(name, **fields)
        peer.send("interruption", heard="Do this", planned="Do this: Then say hello.")
        await expect(page.locator(".said s.unsaid").last).to_have_text("Then say hello.")
        async with page.expect_download() as downloading:
            await choose(page, "Save as text")
        path = await (await downloading.value).path()
        assert path.read_text("utf-8") == (
            "You: how\n\nAgent: Do **this**: [interrupted, not said: ```sh\nls\n```\n\nThen say hello.]\n"
        )
