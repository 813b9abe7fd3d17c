"""Push-to-talk: the key alone says who has the floor, and what the microphone hears in between is silence."""

import asyncio
from collections.abc import Sequence
from typing import Any

from agent.commands.replay import Replay
from agent.commands.script import Step
from agent.conversation.conversation import Conversation
from agent.settings.load import Settings
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.sounds import then, voice
from tests.support.virtual_time import in_virtual_time

STORY = "One two three four five six seven eight nine ten eleven twelve."
KEYED = {"turn": {"mode": "push_to_talk"}}


async def talk(
    presses: Sequence[tuple[float, bool]],
    *heard_as: str,
    steps: Sequence[Step],
    settings: Any = KEYED,
    reply: str = "Noon.",
) -> tuple[Held, ScriptedRecognizerEngine]:
    """A conversation in which the key is pressed and released at these seconds."""
    stt, tts = ScriptedRecognizerEngine(*heard_as), ScriptedSynthesizer()

    def prepare(conversation: Conversation, _: Replay) -> None:
        async def press() -> None:
            started_secs = asyncio.get_running_loop().time()
            for at_secs, active in presses:
                await asyncio.sleep(started_secs + at_secs - asyncio.get_running_loop().time())
                await conversation.push_to_talk(active)

        pressing.append(asyncio.create_task(press()))

    pressing: list[asyncio.Task[None]] = []
    async with ScriptedLLM() as server, hosting(stt, options(server), tts) as host:
        server.otherwise = Reply(reply)
        held = await hold(host, steps, settings=Settings.model_validate(settings), prepare=prepare, end_secs=3.0)
        await asyncio.gather(*pressing)
        return held, stt


@in_virtual_time
async def test_what_is_said_while_the_key_is_held_is_answered_when_it_is_released() -> None:
    held, stt = await talk([(0.3, True), (4.0, False)], "what time is it", steps=[say("days_in_a_week.wav")])
    assert held.texts("turn_ended") == ["what time is it"]
    assert held.texts("bot_word") == ["Noon."]
    # The key decides, whatever the pause: 4 s, and two frames of 20 ms.
    assert 4.0 <= held.named("turn_ended")[0]["t"] <= 4.1
    # All that was heard while it was held: 3.7 s of 16 kHz s16, and up to 0.6 s from before, which was silence.
    assert 3.6 * 32_000 <= stt.heard_bytes[0] <= 4.4 * 32_000


@in_virtual_time
async def test_without_the_key_nothing_is_heard() -> None:
    held, _ = await talk([(6.0, True), (6.5, False)], "", steps=[say("days_in_a_week.wav")])
    assert [event["t"] >= 6.0 for event in held.named("user_started_speaking")] == [True]
    assert held.texts("turn_ended") == [""]
    assert held.named("bot_started_speaking") == []


@in_virtual_time
async def test_a_pause_while_the_key_is_held_ends_no_turn() -> None:
    held, _ = await talk(
        [(0.2, True), (8.0, False)], "how many days are in a week", steps=[say("days_in_a_week_with_pause.wav")]
    )
    assert held.texts("turn_ended") == ["how many days are in a week"]
    assert held.named("turn_ended")[0]["t"] >= 8.0


@in_virtual_time
async def test_pressing_the_key_cuts_the_agent_off_at_once() -> None:
    held, _ = await talk(
        [(0.2, True), (3.0, False), (4.5, True), (5.5, False)], "count", "stop", steps=[say("stop.wav")], reply=STORY
    )
    (interruption,) = held.named("interruption")
    assert 4.5 <= interruption["t"] <= 4.6
    assert STORY.startswith(interruption["heard"])
    assert held.texts("turn_ended") == ["count", "stop"]


@in_virtual_time
async def test_with_an_open_microphone_the_key_says_nothing() -> None:
    held, _ = await talk(
        [(0.1, True), (0.2, False)], "what time is it", steps=[then(voice("what time is it"))], settings={}
    )
    assert held.texts("turn_ended") == ["what time is it"]
    assert held.named("turn_ended")[0]["t"] > 1.0
