"""What was written of a spoken answer is told with it, and where each word that is heard stands in it."""

import asyncio
from typing import Any

from agent.conversation.activity import Activity
from agent.conversation.conversation import Conversation
from agent.conversation.event_log import Event
from agent.settings.load import Settings
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import run_in_virtual_time
from transports.recorded import RecordedTransport

ASK = "how do I greet"
ANSWER = (
    "Do **this** in [Python](https://example.com/python):\n\n```python\nprint('hello')\n```\n\n"
    "- It takes 2,500 ms.\n- That is all.\n\n```sh\nls\n```"
)


async def talk(greeting: str = "", cut_after_words: int | None = None) -> list[Event]:
    events: list[Event] = []
    activity = Activity()
    tokens = [ANSWER[at : at + 7] for at in range(0, len(ANSWER), 7)]
    async with (
        ScriptedLLM(answers={ASK: Reply(*tokens, delay_secs=0.05)}) as server,
        hosting(ScriptedRecognizerEngine(), options(server), ScriptedSynthesizer()) as host,
    ):
        transport = RecordedTransport()
        settings = Settings.model_validate({"dialogue": {"greeting": greeting}})
        conversation = Conversation(host, settings, transport, [activity, events.append])
        conversation.start()
        await transport.card.next_tick()
        await asyncio.sleep(5.0)
        await conversation.type(ASK, spoken=True)
        n_words = len(named(events, "bot_word"))
        async with asyncio.timeout(60.0):
            while cut_after_words and len(named(events, "bot_word")) < n_words + cut_after_words:
                await transport.card.next_tick()
        if cut_after_words:
            await conversation.interrupt()
        await asyncio.sleep(30.0)
        await conversation.stop("the test ended")
    return events


def named(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event["event"] == name]


def test_an_answer_is_told_as_it_was_written_and_every_word_in_its_place() -> None:
    events: Any = run_in_virtual_time(lambda: talk("**Hi** there."))
    written: dict[int, str] = {}
    for event in events:
        if event["event"] == "bot_written":
            assert event["start"] == len(written.get(event["reply"], ""))
            written[event["reply"]] = written.get(event["reply"], "") + event["text"]
    assert list(written.values()) == ["**Hi** there.", ANSWER]
    heard = [(word["text"], written[word["reply"]][slice(*word["written"])]) for word in named(events, "bot_word")]
    assert heard[:6] == [
        ("Hi", "**Hi**"),
        ("there.", "there."),
        ("Do", "Do"),
        ("this", "**this**"),
        ("in", "in"),
        ("Python:", "[Python]"),
    ]
    number = [where for _, where in heard if "2,500" in where]
    assert number == ["2,500"] * 4, heard
    assert ("all.", "all.") in heard


def test_nothing_of_what_was_written_follows_a_cut() -> None:
    events: Any = run_in_virtual_time(lambda: talk(cut_after_words=2))
    names = [event["event"] for event in events]
    cut = names.index("interruption")
    assert "bot_written" in names[:cut]
    assert {"bot_written", "bot_word", "bot_planned"}.isdisjoint(names[cut:])
    last = named(events, "bot_word")[-1]
    assert events[cut]["heard"].endswith(last["text"])
