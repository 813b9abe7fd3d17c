"""Typed turns on the real pipeline: one history with speech, answered aloud or in writing; interrupt and start over."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agent.commands.replay import Replay
from agent.conversation.conversation import Conversation
from agent.settings.load import Settings
from processors.llm.asked_model import WRITTEN_HINT
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

STORY = "One two three four five six seven eight nine ten eleven twelve."
MARKDOWN = "# Tea\n\n- boil\n- pour\n\n```sh\necho tea\n```\n"
Act = tuple[float, Callable[[Conversation], Awaitable[None]]]


def type_(text: str, *, spoken: bool = False) -> Callable[[Conversation], Awaitable[None]]:
    return lambda conversation: conversation.type(text, spoken=spoken)


async def talk(
    *acts: Act,
    heard_as: str = "hello there",
    replies: dict[str, str] | None = None,
    settings: Any = None,
    changes: dict[str, Any] | None = None,
) -> tuple[Held, ScriptedLLM, ScriptedSynthesizer]:
    """One spoken question, and what is done at these seconds."""
    tts = ScriptedSynthesizer()

    def prepare(conversation: Conversation, _: Replay) -> None:
        async def act() -> None:
            started_secs = asyncio.get_running_loop().time()
            for at_secs, do in acts:
                await asyncio.sleep(started_secs + at_secs - asyncio.get_running_loop().time())
                await do(conversation)

        acting.append(asyncio.create_task(act()))

    acting: list[asyncio.Task[None]] = []
    async with (
        ScriptedLLM() as server,
        hosting(ScriptedRecognizerEngine(heard_as), options(server, **(changes or {})), tts) as host,
    ):
        for words, reply in (replies or {}).items():
            server.answers[words] = server.answers[f"{words}\n\n{WRITTEN_HINT}"] = Reply(reply)
        server.otherwise = Reply("Noon.")
        held = await hold(
            host,
            [say("stop.wav")],
            settings=Settings.model_validate(settings or {}),
            prepare=prepare,
            end_secs=6.0,
        )
        await asyncio.gather(*acting)
        return held, server, tts


def messages(held: Held) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in held.history]


@in_virtual_time
async def test_a_typed_question_is_answered_in_writing_and_shares_the_history() -> None:
    held, _, tts = await talk((5.0, type_("how is tea made")), replies={"how is tea made": MARKDOWN})
    assert messages(held) == [
        ("user", "hello there"),
        ("assistant", "Noon."),
        ("user", "how is tea made"),
        ("assistant", MARKDOWN.strip()),
    ]
    assert "".join(held.texts("reply_text")) == MARKDOWN
    assert tts.spoken == ["Noon."]
    assert [event.get("source") for event in held.named("turn_ended")] == [None, "typed"]
    assert held.named("interruption") == []


@in_virtual_time
async def test_a_typed_question_may_be_answered_aloud() -> None:
    ask = type_("what time is it", spoken=True)
    held, _, tts = await talk((5.0, ask), replies={"what time is it": "Half past two."})
    assert tts.spoken == ["Noon.", "Half past two."]
    assert held.texts("bot_word") == ["Noon.", "Half", "past", "two."]
    assert held.texts("bot_planned") == ["Noon.", "Half past two."]
    assert held.texts("reply_text") == []


@in_virtual_time
async def test_a_typed_turn_cuts_the_agent_off_and_the_history_holds_what_was_heard() -> None:
    held, _, tts = await talk((4.0, type_("never mind")), replies={"hello there": STORY, "never mind": "All right."})
    (cut,) = held.named("interruption")
    heard = cut["heard"].split()
    assert 1 <= len(heard) < 12
    assert STORY.split()[: len(heard)] == heard
    assert messages(held) == [
        ("user", "hello there"),
        ("assistant", cut["heard"]),
        ("user", "never mind"),
        ("assistant", "All right."),
    ]
    assert all("All right" not in text for text in tts.spoken)


@in_virtual_time
async def test_what_is_typed_before_the_answer_to_speech_has_begun_loses_nothing() -> None:
    held, _, _ = await talk((0.2, type_("what is two and two")), replies={"what is two and two": "Four."})
    said = [content for role, content in messages(held) if role == "user"]
    assert sorted(said) == ["hello there", "what is two and two"]
    assert [event.get("source") for event in held.named("turn_ended")].count("typed") == 1


@in_virtual_time
async def test_speech_after_a_written_answer_is_answered_aloud_again() -> None:
    held, _, tts = await talk((0.05, type_("how is tea made")), replies={"how is tea made": MARKDOWN})
    assert messages(held)[-1] == ("assistant", "Noon.")
    assert tts.spoken == ["Noon."]
    assert "".join(held.texts("reply_text")) == MARKDOWN


@in_virtual_time
async def test_interrupting_silences_the_agent_and_the_next_question_is_answered() -> None:
    held, _, _ = await talk(
        (4.0, Conversation.interrupt), (6.0, type_("go on", spoken=True)), replies={"hello there": STORY}
    )
    (cut,) = held.named("interruption")
    assert STORY.startswith(cut["heard"])
    assert held.named("bot_stopped_speaking")[0]["t"] - cut["t"] <= 0.1
    assert messages(held) == [
        ("user", "hello there"),
        ("assistant", cut["heard"]),
        ("user", "go on"),
        ("assistant", "Noon."),
    ]


@in_virtual_time
async def test_starting_over_empties_the_history_and_the_conversation_goes_on() -> None:
    held, server, _ = await talk(
        (4.0, Conversation.start_over), (6.0, type_("who are you")), replies={"hello there": STORY}
    )
    assert len(held.named("started_over")) == 1
    assert messages(held) == [("user", "who are you"), ("assistant", "Noon.")]
    assert "hello there" not in str(server.requests[-1].messages)


@in_virtual_time
async def test_a_slow_written_answer_is_not_bridged_by_a_filler() -> None:
    held, server, tts = await talk((5.0, type_("hm")), settings={"dialogue": {"filler": "words"}})
    assert tts.spoken == ["Noon."]
    assert held.named("filler") == []
    assert len(server.requests) == 2


@in_virtual_time
async def test_what_is_typed_while_the_user_speaks_is_a_turn_of_its_own() -> None:
    # It is said from 0.8 s on; the voice is noticed 0.6 s later, and its end 0.3 s after that.
    replies = {"hello there": "Noon then.", "and this": "Four."}
    held, server, _ = await talk((1.55, type_("and this", spoken=True)), replies=replies)
    assert messages(held) == [
        ("user", "hello there"),
        ("assistant", "Noon then."),
        ("user", "and this"),
        ("assistant", "Four."),
    ]
    ended = [(event["text"], event.get("source")) for event in held.named("turn_ended")]
    assert ended == [("hello there", None), ("and this", "typed")]
    assert held.texts("bot_word") == ["Noon", "then.", "Four."]
    assert held.named("interruption") == []
    assert [request.messages[-1]["content"] for request in server.requests] == ["hello there", "and this"]
