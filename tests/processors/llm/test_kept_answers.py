"""The same first question gets the same answer at once, where the user wishes so."""

from typing import Any

import pytest
from pipecat.processors.aggregators.llm_context import LLMContext

from agent.settings.load import Settings
from processors.llm.answers import Answers, KeptAnswers
from processors.tts.kept_speech import KeptSpeech, KeptVoice
from processors.tts.synthesizer import SpeechChunk, StoppableSpeech
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Answer, Failure, Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time

ONE = [say("days_in_a_week.wav")]
QUESTION = "how many days are in a week"


async def talks(*script: Answer, n_calls: int = 2, steps: Any = None, **llm: Any) -> tuple[list[Held], int, list[str]]:
    """Several calls after one another on one host, each with the same question.

    Returns:
        What happened in each, how often the model was asked, and what the synthesizer was asked to say.
    """
    settings = Settings.model_validate({"llm": {"keep_answers": True, **llm}, "turn": {"speculate": False}})
    stt, tts = ScriptedRecognizerEngine(*[QUESTION] * 8, early=True), ScriptedSynthesizer()
    async with ScriptedLLM(*script) as server, hosting(stt, options(server), tts) as host:
        held = [await hold(host, steps or ONE, settings=settings) for _ in range(n_calls)]
        return held, len(server.requests), list(tts.spoken)


def answers(held: list[Held]) -> list[str]:
    return [call.history[-1]["content"] for call in held]


@in_virtual_time
async def test_the_second_caller_hears_the_first_ones_answer_without_model_or_synthesizer() -> None:
    held, n_asked, spoken = await talks(Reply("Seven days."), Reply("Eight."))
    assert answers(held) == ["Seven days.", "Seven days."]
    assert [call.texts("bot_word") for call in held] == [["Seven", "days."]] * 2
    assert n_asked == 1
    assert spoken == ["Seven days."]
    first, again = (call.heard_s16[call.heard_s16 != 0] for call in held)
    assert first.tolist() == again.tolist()


@in_virtual_time
async def test_nothing_is_kept_unless_the_user_wishes_so() -> None:
    held, n_asked, _ = await talks(Reply("Seven days."), Reply("Eight."), keep_answers=False)
    assert answers(held) == ["Seven days.", "Eight."]
    assert n_asked == 2


@in_virtual_time
async def test_a_second_question_of_a_call_is_asked_anew() -> None:
    held, n_asked, _ = await talks(
        Reply("Seven."), Reply("As I said, seven."), Reply("Still seven."), steps=[*ONE, *ONE]
    )
    assert [message["content"] for message in held[1].history][1::2] == ["Seven.", "Still seven."]
    assert n_asked == 3


@in_virtual_time
async def test_a_reply_that_failed_was_cut_by_its_limit_or_called_a_tool_is_not_kept() -> None:
    for script in (
        [Failure(503), Reply("Seven.")],
        [Reply("Seven or", finish_reason="length"), Reply("Seven.")],
        [Reply("Let me see", drop_after=1), Reply("Seven.")],
    ):
        held, n_asked, _ = await talks(*script)
        assert (answers(held)[1], n_asked) == ("Seven.", 2)
    called = Reply(tool_calls=[ToolCall("get_time", ("{}",))])
    held, n_asked, _ = await talks(called, Reply("Noon."), called, Reply("One o'clock."))
    assert answers(held) == ["Noon.", "One o'clock."]
    assert n_asked == 4


@pytest.mark.parametrize(
    ("asked", "written", "is_same"),
    [
        ("what  is c", False, True),
        ("What is C?", False, True),
        ("What is C++?", False, False),
        ("What is C#?", False, False),
        ("What isn't C?", False, False),
        ("What is C?", True, False),
    ],
)
def test_the_same_question_is_the_same_words_read_the_same_way(asked: str, written: bool, is_same: bool) -> None:
    answers = Answers()
    kept = KeptAnswers(answers, "model")
    key = kept._key(LLMContext([{"role": "user", "content": "What is C?"}]), written=False)
    answers.keep(key, "A language.")
    context = LLMContext([{"role": "user", "content": asked}])
    assert (kept.reflex(context, written=written) is not None) == is_same
    assert KeptAnswers(answers, "another model").reflex(context, written=written) is None


def test_answers_are_bounded_in_number_and_length() -> None:
    kept = Answers(max_answers=2)
    for key in "abc":
        kept.keep(key, key * 3)
    kept.keep("long", "x" * 3000)
    assert [kept.find(key) for key in ("a", "b", "c", "long")] == [None, "bbb", "ccc", None]
    assert len(kept) == 2


def test_speech_is_kept_whole_or_not_at_all_within_its_bound() -> None:
    speech = KeptSpeech(max_bytes=3 * 24_000 * 2)
    engine = ScriptedSynthesizer()
    voice = KeptVoice(engine, speech, "en-us", 1.0)
    whole = list(voice.synthesize("one two"))
    assert list(voice.synthesize("one two")) == whole
    assert engine.spoken == ["one two"]
    next(iter(voice.synthesize("three four")))
    stopped = voice.synthesize("five")
    assert isinstance(stopped, StoppableSpeech)
    stopped.stop()
    list(stopped)
    for cut in ("three four", "five"):
        list(voice.synthesize(cut))
    assert engine.spoken == ["one two", "three four", "five", "three four", "five"]
    for index in range(20):
        speech.keep(index, (SpeechChunk(bytes(24_000)),))
    assert speech.n_bytes <= 3 * 24_000 * 2
    assert speech.find(19) is not None
    assert speech.find(0) is None


def test_another_pace_language_voice_or_engine_is_other_speech() -> None:
    speech, engine, other = KeptSpeech(), ScriptedSynthesizer(), ScriptedSynthesizer()
    other.model = "ton"
    for voice in (
        KeptVoice(engine, speech, "en-us", 1.0),
        KeptVoice(engine, speech, "en-us", 1.5),
        KeptVoice(engine, speech, "en-gb", 1.0),
        KeptVoice(engine, speech, "en-us", 1.0).in_voice(None, language="de", speed=1.0),
        KeptVoice(other, speech, "en-us", 1.0),
    ):
        list(voice.synthesize("one"))
        list(voice.synthesize("one"))
    assert (engine.spoken, other.spoken) == (["one"] * 4, ["one"])
