"""An interpreter of two languages: each sentence comes out once, in the other language and in a voice of it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agent.commands.script import Step, Typed
from agent.engines.stt import stt_candidates
from agent.engines.tts import check_pair
from agent.settings.in_persona import with_persona
from agent.settings.load import Settings, load_settings
from agent.settings.persona import PersonaError
from agent.settings.session import describe_options, session_settings
from processors.errors import EngineUnavailableError
from processors.tts.synthesizer import Voice
from tests.bench.doing import TARGET_INTERPRETER, waits_secs
from tests.support.house import Held, hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.sounds import then, voice, with_pause
from tests.support.virtual_time import in_virtual_time

GERMAN, ENGLISH = "Wie spät ist es?", "The train leaves at eight."
IN_ENGLISH, IN_GERMAN = "What time is it?", "Der Zug fährt um acht."
TOLD = {GERMAN: "de", ENGLISH: "en"}
# Half a second between the sentences, which do not end there for the ear that hears them as one.
SPOKEN = then(with_pause(voice("how late is it now"), voice("the train leaves at eight"), pause_secs=0.5))


async def interpret(
    *heard_as: str,
    script: Sequence[Reply] = (),
    told: Mapping[str, str | None] = TOLD,
    steps: Sequence[Step] = (SPOKEN,),
    **sections: Any,
) -> tuple[Held, ScriptedSynthesizer, list[list[dict[str, Any]]]]:
    """A conversation between German and English: what happened, who spoke, and what the model was sent."""
    stt = ScriptedRecognizerEngine(*heard_as, early=True, language=None, spoken_in=told)
    tts = ScriptedSynthesizer()
    about = {"interpreter": {"languages": ["de", "en"]}, "stt": {"language": "auto"}, **sections}
    async with ScriptedLLM(*script) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, steps, settings=Settings.model_validate(about), reflexes=True, end_secs=1.0)
        return held, tts, [request.messages for request in server.requests]


def said(tts: ScriptedSynthesizer) -> list[tuple[str, str]]:
    """What each voice said, pieces of one voice joined."""
    joined: list[tuple[str, str]] = []
    for text, language in tts.said_in:
        if joined and joined[-1][1] == language:
            joined[-1] = (f"{joined[-1][0]} {text}", language)
        else:
            joined.append((text, language))
    return joined


def interpreted(held: Held) -> list[tuple[str | None, str | None, str, str]]:
    return [(one["spoken"], one["into"], one["told_by"], one["by"]) for one in held.named("interpreted")]


@in_virtual_time
async def test_each_sentence_comes_out_once_in_the_other_language_by_a_voice_of_it() -> None:
    held, tts, sent = await interpret(GERMAN, ENGLISH, script=[Reply(IN_ENGLISH), Reply(IN_GERMAN)])
    assert held.texts("turn_ended") == [GERMAN, ENGLISH]
    # The tone's own language is en-us, and its German voice is asked for by name of the language.
    assert said(tts) == [(IN_ENGLISH, "own"), (IN_GERMAN, "de")]
    assert [messages[-1]["content"] for messages in sent] == [GERMAN, ENGLISH]
    assert [re.findall(r"Say in (\w+)", messages[0]["content"]) for messages in sent] == [["English"], ["German"]]
    # The instruction and the sentence, nothing of the one before.
    assert [len(messages) for messages in sent] == [2, 2]
    assert interpreted(held) == [("de", "en", "ears", "llm"), ("en", "de", "ears", "llm")]
    assert held.named("interruption") == []
    assert held.named("bot_started_speaking")[0]["t"] < held.named("user_stopped_speaking")[-1]["t"]
    # Both texts of each sentence stand in the history.
    texts = [(message["role"], message["content"]) for message in held.history]
    assert sorted(texts) == sorted(
        [("user", GERMAN), ("user", ENGLISH), ("assistant", IN_ENGLISH), ("assistant", IN_GERMAN)]
    )


@in_virtual_time
async def test_where_the_ears_do_not_tell_the_words_do() -> None:
    held, tts, _ = await interpret(ENGLISH, GERMAN, told={}, script=[Reply(IN_GERMAN), Reply(IN_ENGLISH)])
    assert interpreted(held) == [("en", "de", "words", "llm"), ("de", "en", "words", "llm")]
    assert said(tts) == [(IN_GERMAN, "de"), (IN_ENGLISH, "own")]


@in_virtual_time
async def test_words_of_no_language_are_in_that_of_the_sentence_before() -> None:
    held, tts, _ = await interpret(ENGLISH, "Okay.", told={}, script=[Reply(IN_GERMAN), Reply("Gut.")])
    assert interpreted(held) == [("en", "de", "words", "llm"), ("en", "de", "before", "llm")]
    assert said(tts) == [(f"{IN_GERMAN} Gut.", "de")]


@in_virtual_time
async def test_a_third_language_is_told_in_one_sentence_and_not_translated() -> None:
    french = "Où est la gare, s'il vous plaît ?"
    held, tts, sent = await interpret(french, ENGLISH, told={french: "fr", **TOLD}, script=[Reply(IN_GERMAN)])
    assert interpreted(held) == [("fr", None, "ears", ""), ("en", "de", "ears", "llm")]
    assert said(tts) == [(f"Ich übersetze nur zwischen Deutsch und Englisch. {IN_GERMAN}", "de")]
    assert [messages[-1]["content"] for messages in sent] == [ENGLISH]


@in_virtual_time
async def test_a_short_sentence_that_the_ears_take_for_a_neighbours_is_known_by_its_words() -> None:
    held, _, _ = await interpret(GERMAN, ENGLISH, told={GERMAN: "nl", ENGLISH: "en"}, script=[Reply("A."), Reply("B.")])
    assert interpreted(held)[0] == ("de", "en", "words", "llm")


@in_virtual_time
async def test_questions_and_orders_to_the_agent_are_not_answered() -> None:
    held, tts, sent = await interpret(
        "What time is it?", "Stopp.", told={"What time is it?": "en", "Stopp.": "de"}, script=[Reply("A."), Reply("B.")]
    )
    assert said(tts) == [("A.", "de"), ("B.", "own")]
    assert len(sent) == 2
    assert held.named("tool_call") == []
    assert held.named("reflex") == []


@in_virtual_time
async def test_whisper_may_translate_what_goes_into_english() -> None:
    told_as_english = {IN_ENGLISH: "de", ENGLISH: "en"}
    stt = {"language": "auto", "task": "translate"}
    held, tts, sent = await interpret(IN_ENGLISH, ENGLISH, told=told_as_english, script=[Reply(IN_GERMAN)], stt=stt)
    assert interpreted(held) == [("de", "en", "ears", "ears"), ("en", "de", "ears", "llm")]
    assert said(tts) == [(IN_ENGLISH, "own"), (IN_GERMAN, "de")]
    assert [messages[-1]["content"] for messages in sent] == [ENGLISH]


@in_virtual_time
async def test_what_is_typed_cuts_in_and_is_translated_too() -> None:
    held, tts, _ = await interpret(script=[Reply("Good day.")], steps=[Step(Typed("Guten Tag."))])
    assert said(tts) == [("Good day.", "own")]
    assert interpreted(held) == [("de", "en", "words", "llm")]


@in_virtual_time
async def test_a_translation_that_comes_back_through_the_microphone_is_not_translated_back() -> None:
    # The second sentence is heard while the first translation sounds, and as those very words.
    translation = "What time is it right now by your own clock, please?"
    held, tts, sent = await interpret(
        GERMAN, translation, told={GERMAN: "de", translation: "en"}, script=[Reply(translation)]
    )
    assert said(tts) == [(translation, "own")]
    assert len(sent) == 1
    assert len(held.named("interpreted")) == 1


@in_virtual_time
async def test_both_ways_are_sooner_than_a_translation_of_the_whole_turn() -> None:
    both = await waits_secs(interpreter=True, pair=True)
    whole = await waits_secs(interpreter=False)
    assert sum(both) / sum(whole) <= TARGET_INTERPRETER


class OnlyEnglish(ScriptedSynthesizer):
    def voices(self) -> list[Voice]:
        return [Voice("tone", "en-us", "A tone")]


def test_a_synthesizer_without_a_voice_for_one_of_them_says_so_in_a_line() -> None:
    settings = Settings.model_validate({"interpreter": {"languages": "de,en"}})
    check_pair(ScriptedSynthesizer(), settings)
    with pytest.raises(EngineUnavailableError) as refused:
        check_pair(OnlyEnglish(), settings)
    told = "no voice of it speaks de, which interpreter.languages = de,en asks for"
    assert (refused.value.reason, refused.value.mend) == (told, "--tts espeak")


def test_ears_that_cannot_hear_both_are_passed_over() -> None:
    def reasons(**stt: str) -> dict[str, str | None]:
        settings = Settings.model_validate({"interpreter": {"languages": "de,fr"}, "stt": stt})
        return {f"{one.engine} {one.model}": one.reason for one in stt_candidates(settings)}

    english = "it knows English only, and interpreter.languages = de,fr"
    assert reasons(language="auto")["pocketsphinx en-us"] == english
    assert reasons(language="auto")["whisper tiny.en"] == english


@pytest.mark.parametrize("languages", ["de", "de,en,fr", "en,en-us", "de,auto", "de,klingon"])
def test_two_languages_are_two(languages: str) -> None:
    with pytest.raises(ValueError, match=r"two languages|is no language"):
        Settings.model_validate({"interpreter": {"languages": languages}})


def test_a_persona_names_the_two_and_a_flag_makes_the_shipped_one_go_both_ways(tmp_path: Any) -> None:
    folder = {"persona.folder": str(tmp_path)}
    (tmp_path / "two.md").write_text("---\ninterpreter: {languages: [German, en-GB]}\n---\n")
    two = with_persona(load_settings(folder, alone=True), "two")
    assert two.interpreter.pair == ("de", "en")
    assert (two.stt.language, two.stt.task) == ("auto", "transcribe")
    flagged = with_persona(load_settings({**folder, "interpreter.languages": "de,fr"}, alone=True), "interpreter")
    # Whisper would make English of both.
    assert (flagged.interpreter.pair, flagged.stt.task) == (("de", "fr"), "transcribe")
    # A page names them, too, and takes them back.
    chosen = session_settings(load_settings(folder, alone=True), {"interpreter.languages": "de,fr"})
    assert (chosen.interpreter.pair, chosen.stt.language) == (("de", "fr"), "auto")
    assert describe_options(chosen)["interpreter.languages"]["value"] == "de,fr"
    assert session_settings(chosen, {"interpreter.languages": None}).interpreter.pair is None
    (tmp_path / "none.md").write_text("---\ninterpreter: {by: llm}\n---\n")
    with pytest.raises(PersonaError, match="it takes into, or two languages"):
        with_persona(load_settings(folder, alone=True), "none")
