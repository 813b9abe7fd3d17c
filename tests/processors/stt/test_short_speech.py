"""Speech too short to be meant is skipped, where the user wishes so."""

from loguru import logger

from agent.settings.load import Settings
from tests.processors.stt.test_stt_service import decided, frames_after, said, silence, voice
from tests.support.house import hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.sounds import then
from tests.support.sounds import voice as spoken
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_less_voice_than_the_setting_has_no_words_and_the_recognizer_is_not_asked() -> None:
    # 15 frames of 20 ms, of which the last 0.2 s were the silence by which the end was noticed.
    engine, lines = ScriptedRecognizerEngine("hello there"), []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    short = [*voice(15), *silence(), *decided()]
    assert said(await frames_after(engine, short, min_speech_secs=0.2)) == [("no words", "")]
    logger.remove(sink)
    assert engine.said == []
    assert [line for line in lines if "skipped" in line] == [
        "0.10 s of speech was skipped: turn.min_speech_secs is 0.2, and what is shorter is not answered"
    ]
    assert said(await frames_after(ScriptedRecognizerEngine("hello there"), short, min_speech_secs=0.05)) == [
        ("partial", "hello there"),
        ("final", "hello there"),
    ]


@in_virtual_time
async def test_the_stretches_of_one_turn_count_together_and_those_of_another_do_not() -> None:
    stretch = [*voice(20), *silence()]
    together = [*stretch, *stretch, *decided()]
    heard = said(await frames_after(ScriptedRecognizerEngine("hello there"), together, min_speech_secs=0.3))
    assert heard[-1] == ("final", "hello there")
    apart = [*stretch, *decided(), *stretch, *decided()]
    assert (
        said(await frames_after(ScriptedRecognizerEngine("no"), apart, min_speech_secs=0.3)) == [("no words", "")] * 2
    )


@in_virtual_time
async def test_a_short_word_is_not_answered_and_the_question_after_it_is() -> None:
    stt = ScriptedRecognizerEngine("what time is it", early=True)
    settings = Settings.model_validate(
        {"turn": {"min_speech_secs": 0.7, "speculate": False}, "tools": {"reflexes": False}}
    )
    steps = [then(spoken("yes")), then(spoken("tell me the time please now"), delay_secs=3.0)]
    async with ScriptedLLM(Reply("Noon.")) as server, hosting(stt, options(server), ScriptedSynthesizer()) as host:
        held = await hold(host, steps, settings=settings)
    assert len(held.named("user_started_speaking")) == 2
    assert held.texts("transcript") == ["what time is it"]
    assert [message["content"] for message in held.history] == ["what time is it", "Noon."]
