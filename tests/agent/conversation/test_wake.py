"""Wake words in conversations: asleep nothing is heard, the word opens the microphone, and silence closes it again."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from agent.commands.replay import Replay
from agent.commands.script import Step
from agent.conversation.conversation import Conversation
from processors.errors import EngineError
from processors.wake.detector import HeardWake
from processors.wake.sound import SOUND_SECS
from tests.support.house import Held
from tests.support.sounds import then, voice, with_pause
from tests.support.virtual_time import in_virtual_time
from tests.support.waking import NABU, WORD, ScriptedWake, failing, woken

pytestmark = pytest.mark.needs_extra("wake")

STORY = "One two three four five six seven eight nine ten eleven twelve."
SCRIPTED: dict[str, Any] = {"words": ["hey_sotto"]}


def causes(held: Held) -> list[tuple[str, str | None]]:
    """Every event of waking and sleeping, with its cause."""
    return [(event["event"], event.get("cause")) for event in held.events if event["event"] in ("awake", "asleep")]


@in_virtual_time
async def test_asleep_nothing_reaches_voice_activity_or_the_recognizer() -> None:
    held, stt = await woken(["what time is it"], [Step(voice("what time is it"))], end_secs=3.0)
    assert causes(held) == [("asleep", None)]
    assert held.named("asleep")[0]["phrases"] == ["Okay Nabu"]
    assert held.named("user_started_speaking") == []
    assert stt.heard_bytes == []
    assert not held.heard_s16.any()


@in_virtual_time
async def test_the_question_in_the_same_breath_is_answered_and_the_word_is_no_part_of_it() -> None:
    said = voice("Okay Nabu, what time is it?")
    held, stt = await woken(["what time is it"], [Step(said)])
    assert causes(held)[:2] == [("asleep", None), ("awake", "word")]
    awake = held.named("awake")[0]
    assert (awake["word"], awake["phrase"]) == ("okay_nabu", "Okay Nabu")
    assert awake["probability"] > 0.85
    assert held.texts("turn_ended") == ["what time is it"]
    assert held.texts("bot_word") == ["Noon."]
    # The word takes 0.9 s of the 1.9 s: the recognizer gets what follows, and the silence before the turn's end. 0.6 s
    # at most are from before the voice was noticed.
    whole_secs = len(said.audio_s16) / 16_000
    assert 0.7 * 32_000 < stt.heard_bytes[0] < (whole_secs + 0.6) * 32_000
    # A short sound says that it listens, and comes before the answer.
    audible = np.flatnonzero(np.abs(held.heard_s16) > 300)
    sound_secs = audible[0] / (len(held.heard_s16) / (held.events[-1]["t"] or 1))
    assert awake["t"] - 0.1 <= sound_secs <= held.named("bot_started_speaking")[0]["t"] - SOUND_SECS


@in_virtual_time
async def test_a_question_after_the_word_alone_is_answered() -> None:
    said = with_pause(voice("Okay Nabu."), voice("what time is it"), pause_secs=1.5)
    held, _ = await woken(["what time is it"], [Step(said)])
    assert held.texts("turn_ended") == ["what time is it"]


@in_virtual_time
async def test_after_the_answer_it_listens_on_for_a_while_and_then_sleeps_again() -> None:
    steps = [
        Step(voice("Okay Nabu, what time is it?")),
        then(voice("and how far is the moon"), delay_secs=2.0),
        # 4 s after the second answer it is asleep, and hears no more.
        then(voice("tell me a story"), delay_secs=6.0),
    ]
    held, _ = await woken(
        ["what time is it", "and how far is the moon", "tell me a story"], steps, wake={**NABU, "awake_secs": 4.0}
    )
    assert held.texts("turn_ended") == ["what time is it", "and how far is the moon"]
    assert causes(held) == [("asleep", None), ("awake", "word"), ("asleep", None)]
    slept_secs = held.named("asleep")[1]["t"] - held.named("bot_stopped_speaking")[-1]["t"]
    # The agent's floor ends with its last sample, up to 0.4 s before that is told.
    assert 3.5 <= slept_secs <= 4.2


@in_virtual_time
async def test_the_word_cuts_off_an_agent_that_speaks_whether_it_sleeps_or_not() -> None:
    steps = [
        Step(voice("Okay Nabu, count.")),
        then(voice("Okay Nabu."), after="bot_started_speaking", delay_secs=0.8),
    ]
    held, _ = await woken(["count", "okay nabu", ""], steps, reply=STORY, end_secs=2.0)
    (interruption,) = held.named("interruption")
    assert STORY.startswith(interruption["heard"])
    assert interruption["heard"] != STORY.rstrip(".")
    assert [event["word"] for event in held.named("awake")] == ["okay_nabu", "okay_nabu"]
    # The word alone asks for nothing.
    assert [text for text in held.texts("turn_ended") if text] == ["count"]

    asleep, _ = await woken(
        [""],
        [Step(voice("Okay Nabu."), after="bot_started_speaking", delay_secs=0.5)],
        dialogue={"greeting": STORY},
        end_secs=2.0,
    )
    assert len(asleep.named("interruption")) == 1
    assert STORY.startswith(asleep.named("interruption")[0]["heard"])


@in_virtual_time
async def test_what_is_asked_over_the_agent_with_the_word_is_the_next_turn() -> None:
    steps = [
        Step(voice("Okay Nabu, count.")),
        then(voice("Okay Nabu, what time is it?"), after="bot_started_speaking", delay_secs=0.8),
    ]
    held, _ = await woken(["count", "Okay, Naboo, what time is it?"], steps, reply=STORY)
    assert held.texts("turn_ended") == ["count", "what time is it?"]
    asked = [message["content"] for message in held.history if message["role"] == "user"]
    assert asked == ["count", "what time is it?"]


@in_virtual_time
async def test_the_agents_own_voice_saying_the_word_wakes_nobody() -> None:
    # The loudspeaker's words come back into a microphone that cancels nothing, as on a page whose browser does not.
    steps = [Step(voice("Okay Nabu."), after="bot_word", delay_secs=0.5)]
    held, _ = await woken([""], steps, dialogue={"greeting": "Call me Okay Nabu."}, end_secs=3.0)
    assert causes(held) == [("asleep", None)]
    # Anybody else's word wakes it.
    steps = [Step(voice("Okay Nabu."), after="bot_stopped_speaking", delay_secs=4.0)]
    held, _ = await woken([""], steps, dialogue={"greeting": "Call me Okay Nabu."}, end_secs=3.0)
    assert causes(held)[:2] == [("asleep", None), ("awake", "word")]


@in_virtual_time
async def test_a_key_wakes_it_for_as_long_as_it_is_held() -> None:
    def prepare(conversation: Conversation, _: Replay) -> None:
        async def press() -> None:
            for active in (True, False):
                await asyncio.sleep(0.1 if active else 14.0)
                await conversation.push_to_talk(active)

        pressing.append(asyncio.create_task(press()))

    pressing: list[asyncio.Task[None]] = []
    held, _ = await woken(["what time is it"], [Step(voice("what time is it"))], prepare=prepare, end_secs=20.0)
    await asyncio.gather(*pressing)
    assert causes(held) == [("asleep", None), ("awake", "key"), ("asleep", None)]
    assert held.texts("turn_ended") == ["what time is it"]
    # Pressed at 0.1 s for 14 s, then 8 s of silence.
    assert 22.0 <= held.named("asleep")[1]["t"] <= 22.5


@in_virtual_time
async def test_where_a_key_says_who_has_the_floor_there_is_no_gate() -> None:
    held, _ = await woken([], [Step(voice("Okay Nabu."))], turn={"mode": "push_to_talk"})
    assert causes(held) == []


@in_virtual_time
async def test_without_its_sound_it_only_listens() -> None:
    held, _ = await woken([""], [Step(voice("Okay Nabu."))], wake={**NABU, "sound": False}, end_secs=2.0)
    assert causes(held)[:2] == [("asleep", None), ("awake", "word")]
    assert not held.heard_s16.any()


@in_virtual_time
async def test_fault_a_detector_that_fails_leaves_the_agent_awake_and_is_told_once() -> None:
    engine = ScriptedWake(failing)
    steps = [Step(voice("what time is it")), then(voice("how far is the moon"), delay_secs=12.0)]
    held, _ = await woken(["what time is it", "how far is the moon"], steps, wake=SCRIPTED, engine=engine)
    errors = [(event["stage"], event["message"]) for event in held.named("error")]
    assert errors == [("wake", "wake word: the model is broken")]
    assert causes(held) == [("asleep", None), ("awake", "failure")]
    assert held.texts("turn_ended") == ["what time is it", "how far is the moon"]
    # It is tried again every 2 s, with a new detector each.
    assert engine.n_loaded >= 5


@in_virtual_time
async def test_fault_a_detector_that_works_again_is_trusted_again() -> None:
    def hear(n_before: int, _: bytes) -> list[HeardWake]:
        if n_before == 0:
            raise EngineError("busy")
        return []

    wake = {**SCRIPTED, "awake_secs": 2.0}
    held, _ = await woken([""], [Step(voice("stop"))], wake=wake, engine=ScriptedWake(hear), end_secs=8.0)
    assert causes(held) == [("asleep", None), ("awake", "failure"), ("asleep", None)]


@in_virtual_time
async def test_fault_a_detector_that_hangs_holds_up_no_sound() -> None:
    def hang(_: int, __: bytes) -> list[HeardWake]:
        time.sleep(60.0)
        return []

    steps = [Step(voice("what time is it"), delay_secs=7.0)]
    held, _ = await woken(["what time is it"], steps, wake=SCRIPTED, engine=ScriptedWake(hang))
    assert [event["stage"] for event in held.named("error")] == ["wake"]
    # Given up after 5 s of its silence.
    assert 5.0 <= held.named("awake")[0]["t"] <= 6.0
    assert held.texts("turn_ended") == ["what time is it"]


@in_virtual_time
async def test_fault_a_detector_that_is_slow_costs_nothing_of_what_follows_the_word() -> None:
    def hear(n_before: int, pcm16: bytes) -> list[HeardWake]:
        # It takes half a second, and says of the first sound that it was the word, with its end right there.
        time.sleep(0.5)
        return [HeardWake(WORD, 0.9, ago_samples=len(pcm16) // 2)] if n_before == 0 else []

    said = voice("what time is it")
    held, stt = await woken(["what time is it"], [Step(said)], wake=SCRIPTED, engine=ScriptedWake(hear))
    assert held.texts("turn_ended") == ["what time is it"]
    assert stt.heard_bytes[0] >= len(said.audio_s16) * 2 * 0.9
