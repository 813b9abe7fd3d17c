"""One recorded conversation leaves the same event log behind through each door: turns, words and history."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from wyoming.asr import Transcribe

from agent.settings.load import Settings
from tests.agent.server.realtime.stage import staged
from tests.agent.server.test_telephone import LINES, in_call, speech
from tests.agent.server.test_websocket import calling, holding
from tests.agent.server.test_wyoming import answered, house, sound, transcribed
from tests.support.house import SPEECH, hold, hosting, say
from tests.support.llm_session import options
from tests.support.realtime_caller import calling_realtime
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.telephone_house import holding_lines
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

RECORDINGS = ("capital_of_germany", "days_in_a_week")
HEARD = ("what is the capital of germany", "who wrote hamlet")
REPLIES = ("The capital is Berlin.", "It was Shakespeare.")
HISTORY = [("user", HEARD[0]), ("assistant", REPLIES[0]), ("user", HEARD[1]), ("assistant", REPLIES[1])]
# Of virtual time: what was heard last comes into the history behind its last sound.
SETTLED_SECS = 1.0
# What the log tells of a turn, in order; a pause within it is nobody's turn.
TOLD = ("turn_ended", "bot_started_speaking", "bot_word", "bot_stopped_speaking", "interruption", "error")
# A system's own: when it notices voice, and when the model is asked, differ with each line's delay.
WORDS = ("transcript", "llm_done")


@dataclass
class Left:
    """What a conversation left behind."""

    events: Sequence[dict[str, Any]]
    history: list[tuple[str, str]]

    def log(self) -> list[tuple[str, Any]]:
        """The lines that tell of turns, in order, and the words that were understood and answered."""
        told = [(event["event"], event.get("text")) for event in self.events if event["event"] in TOLD]
        words = [(event["event"], event["text"]) for name in WORDS for event in self.events if event["event"] == name]
        return [*told, *words]


def pairs(messages: Sequence[Any]) -> list[tuple[str, str]]:
    return [(message["role"], message.get("content", message.get("text"))) for message in messages]


async def by_replay() -> Left:
    async with (
        ScriptedLLM(*map(Reply, REPLIES)) as llm,
        hosting(ScriptedRecognizerEngine(*HEARD), options(llm), ScriptedSynthesizer()) as host,
    ):
        settings = Settings.model_validate({"turn": {"speculate": False}})
        held = await hold(host, [say(f"{name}.wav") for name in RECORDINGS], settings=settings)
    return Left(held.events, pairs(held.history))


async def by_the_pages_websocket() -> Left:
    async with holding(*HEARD, replies=REPLIES) as (url, sessions), calling(url) as caller:
        answer = await caller.join(options={"turn.speculate": False})
        caller.begin_to_speak()
        for count, name in enumerate(RECORDINGS, 1):
            caller.say(load_recording(SPEECH / f"{name}.wav").audio_s16)
            await caller.until_event("bot_stopped_speaking", count)
        await asyncio.sleep(SETTLED_SECS)
        history = sessions.histories.find(answer["conversation"])
        assert history
        turns = list(history.context.messages)
    return Left(caller.events, pairs(turns))


async def by_realtime() -> Left:
    async with staged(*HEARD, replies=REPLIES) as stage, calling_realtime(stage.url) as caller:
        events: list[dict[str, Any]] = []
        start = stage.live.start

        def noting(plan: Any, transport: Any, send: Any, *more: Any, **others: Any) -> Any:
            def tell(message: dict[str, Any]) -> None:
                events.append(message["event"])
                send(message)

            return start(plan, transport, tell, *more, **others)

        stage.live.start = noting
        for count, name in enumerate(RECORDINGS, 1):
            await caller.say(load_recording(SPEECH / f"{name}.wav").audio_s16)
            await caller.until("response.done", count)
        await asyncio.sleep(SETTLED_SECS)
        return Left(events, pairs(stage.history()))


async def by_telephone() -> Left:
    async with holding_lines(LINES, *HEARD, replies=REPLIES) as lines, in_call(lines) as caller:
        for count, name in enumerate(RECORDINGS, 1):
            caller.say(speech(name))
            await lines.until_event("bot_stopped_speaking", count=count)
        await asyncio.sleep(SETTLED_SECS)
        await caller.hang_up()
    return Left(lines.events, pairs([{**turn, "content": turn["text"]} for turn in lines.history()]))


DOORS: dict[str, Callable[[], Awaitable[Left]]] = {
    "replay": by_replay,
    "websocket": by_the_pages_websocket,
    "realtime": by_realtime,
    "telephone": by_telephone,
}


@pytest.mark.parametrize("door", DOORS)
@in_virtual_time
async def test_a_recorded_conversation_leaves_the_same_log_through_every_door(door: str) -> None:
    left = await DOORS[door]()
    expected: list[tuple[str, Any]] = []
    for heard, reply in zip(HEARD, REPLIES, strict=True):
        words = [("bot_word", word) for word in reply.split()]
        expected += [("turn_ended", heard), ("bot_started_speaking", None), *words, ("bot_stopped_speaking", None)]
    expected += [*(("transcript", heard) for heard in HEARD), *(("llm_done", reply) for reply in REPLIES)]
    assert left.log() == expected
    assert left.history == HISTORY


async def test_home_assistants_door_hears_and_answers_the_same_words() -> None:
    """Ears and brain are asked one after the other there: no conversation of its own, and so no log."""
    ears = ScriptedRecognizerEngine()
    async with ScriptedLLM(*map(Reply, REPLIES)) as llm, house(ears, options(llm)) as here:
        left: list[tuple[str, str]] = []
        for heard in HEARD:
            ears.texts.append(heard)
            async with here.wyoming.caller() as caller:
                words = await transcribed(caller, Transcribe(), *sound())
                reply = await answered(caller, words, conversation_id="1")
            left += [("user", words), ("assistant", reply.data["text"])]
        asked = llm.requests[-1].messages
    assert left == HISTORY
    # The second question brings along the first with its answer.
    assert [content for _, content in pairs(asked)[-3:-1]] == [HEARD[0], REPLIES[0]]
