"""The agent as an interpreter: sentence by sentence while the speaker goes on, never cut off, never answering."""

from collections.abc import Sequence
from typing import Any

import pytest
from pipecat.frames.frames import VADUserStoppedSpeakingFrame

from agent.commands.script import Step, Typed
from agent.settings.load import Settings
from processors.frames import PauseTranscriptFrame, TurnDecidedFrame, VoiceEdge, VoiceEdgeFrame
from processors.llm.options import LLMOptions
from processors.turns.sentences import SentenceEnd, Spoken
from tests.support.house import Held, hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Failure, Reply, ScriptedLLM
from tests.support.sounds import then, voice, with_pause
from tests.support.virtual_time import in_virtual_time

FIRST, SECOND = "Wie spät ist es?", "Der Zug fährt um acht."
# Half a second between the sentences, which do not end there for the ear that hears them as one.
SPOKEN = then(with_pause(voice("how late is it now"), voice("the train leaves at eight"), pause_secs=0.5))


async def interpret(
    *heard_as: str,
    script: Sequence[Any] = (),
    steps: Sequence[Step] = (SPOKEN,),
    language: str | None = "de",
    task: str = "transcribe",
    about: LLMOptions | None = None,
    early: bool = True,
) -> tuple[Held, list[list[dict[str, Any]]]]:
    """A conversation with an interpreter; what happened, and the messages that the model was sent."""
    stt = ScriptedRecognizerEngine(*heard_as, early=early, language=language)
    settings = Settings.model_validate({"interpreter": {"into": "en"}, "stt": {"task": task, "language": "auto"}})
    async with (
        ScriptedLLM(*script) as server,
        hosting(stt, about or options(server), ScriptedSynthesizer()) as host,
    ):
        held = await hold(host, steps, settings=settings, reflexes=True, end_secs=1.0)
        return held, [request.messages for request in server.requests]


def said(held: Held) -> str:
    return " ".join(held.texts("bot_word"))


@in_virtual_time
async def test_each_sentence_is_translated_by_itself_while_the_speaker_goes_on() -> None:
    held, sent = await interpret(FIRST, SECOND, script=[Reply("What time is it?"), Reply("The train leaves at eight.")])
    assert held.texts("turn_ended") == [FIRST, SECOND]
    assert [messages[-1] for messages in sent] == [{"role": "user", "content": text} for text in (FIRST, SECOND)]
    # A sentence alone, with nothing of the one before.
    assert [len(messages) for messages in sent] == [2, 2]
    assert "Say in English what the user says" in sent[0][0]["content"]
    assert said(held) == "What time is it? The train leaves at eight."
    # The first translation begins before the speaker has ended, and nothing is cut by what is said meanwhile.
    assert held.named("bot_started_speaking")[0]["t"] < held.named("user_stopped_speaking")[-1]["t"]
    assert held.named("interruption") == []
    assert held.status == 0
    assert [message["role"] for message in held.history].count("user") == 2


@in_virtual_time
async def test_what_speech_to_text_translates_itself_needs_no_model() -> None:
    held, sent = await interpret("What time is it?", "The train leaves at eight.", task="translate")
    assert sent == []
    assert said(held) == "What time is it? The train leaves at eight."
    assert {event["name"] for event in held.named("reflex")} == {"translation"}


@in_virtual_time
async def test_questions_and_orders_to_the_agent_are_not_answered() -> None:
    held, sent = await interpret("What time is it?", "Stop.", script=[Reply("A."), Reply("B.")])
    assert [messages[-1]["content"] for messages in sent] == ["What time is it?", "Stop."]
    assert said(held) == "A. B."
    assert held.named("tool_call") == []


@in_virtual_time
async def test_what_is_said_in_that_language_already_is_not_said_again() -> None:
    held, sent = await interpret("What time is it?", "The train.", language="en")
    assert sent == []
    assert held.texts("bot_word") == []
    assert held.texts("turn_ended") == ["What time is it?", "The train."]


@in_virtual_time
async def test_half_a_sentence_waits_for_a_longer_pause() -> None:
    held, sent = await interpret("Der Zug fährt", script=[Reply("The train leaves")])
    # The pause of half a second did not end it; the ear gave the same words for all of it.
    assert len(held.named("turn_ended")) == 1
    assert len(sent) == 1
    assert said(held) == "The train leaves"


@in_virtual_time
async def test_the_words_of_a_short_break_do_not_end_what_goes_on() -> None:
    spoken = Spoken(turn_open=True)
    end = SentenceEnd(spoken)
    decided: list[Any] = []

    async def note(_: object, frame: object, *__: object) -> None:
        decided.append(frame)

    end.add_event_handler("on_push_frame", note)
    frames = [
        VoiceEdgeFrame(VoiceEdge.PAUSING),
        PauseTranscriptFrame("Wie spät ist es?"),
        VoiceEdgeFrame(VoiceEdge.RESUMED),
        VoiceEdgeFrame(VoiceEdge.PAUSING),
        VADUserStoppedSpeakingFrame(stop_secs=0.2),
    ]
    for frame in frames:
        await end.process_frame(frame)
    assert decided == []
    await end.process_frame(PauseTranscriptFrame("Wie spät ist es? Und wann"))
    assert decided == []
    await end.process_frame(PauseTranscriptFrame("Wie spät ist es? Und wann?"))
    assert [type(frame) for frame in decided] == [TurnDecidedFrame]


@in_virtual_time
async def test_a_sentence_whose_translation_fails_costs_itself_alone() -> None:
    held, _ = await interpret(FIRST, SECOND, script=[Failure(500, "down"), Reply("The train leaves at eight.")])
    assert [event["stage"] for event in held.named("error")] == ["llm"]
    assert said(held).endswith("The train leaves at eight.")


@pytest.mark.parametrize("task", ["transcribe", "translate"])
@in_virtual_time
async def test_what_is_typed_is_translated_too(task: str) -> None:
    held, sent = await interpret(script=[Reply("Good day.")], steps=[Step(Typed("Guten Tag."))], task=task)
    assert [messages[-1]["content"] for messages in sent] == ["Guten Tag."]
    assert said(held) == "Good day."
