"""All that is remembered goes on a yes; with the memory off, who asks to remember hears how to switch it on."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agent.commands.script import Step, Typed
from agent.memory.item import Item
from agent.memory.memory import Memory
from agent.memory.store import MemoryStore
from agent.memory.user_memory import UserMemory
from agent.settings.load import Settings
from agent.tools.reflex_words import words_of
from tests.support.house import Held, hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time

FORGET_ALL = {
    "en": ["Forget everything.", "Forget all you know about me.", "Please clear your memory.", "Forget all about me"],
    "de": ["Vergiss alles!", "Vergiss alles, was du über mich weißt.", "Lösche dein Gedächtnis."],
    "fr": ["Oublie tout.", "Oublie tout ce que tu sais sur moi.", "Efface ta mémoire."],
    "es": ["Olvida todo.", "Olvida todo lo que sabes de mí.", "Borra tu memoria."],
    "it": ["Dimentica tutto.", "Dimentica tutto quello che sai di me.", "Cancella la tua memoria."],
    "pt": ["Esquece tudo.", "Esqueça tudo o que você sabe sobre mim.", "Apaga a tua memória."],
}
LEFT_ALONE = {
    "en": ["Forget it.", "Don't forget everything.", "Forget everything and start over.", "Did you forget everything?"],
    "de": ["Vergiss es.", "Vergiss nicht alles."],
    "fr": ["Oublie ça.", "N'oublie pas tout."],
    "es": ["Olvídalo.", "No olvides todo."],
    "it": ["Non dimenticare tutto."],
    "pt": ["Não esqueças tudo."],
}
ON = {"memory": {"keep": True}}
REX = "Remember that my dog is called Rex."


async def talk(
    *turns: str,
    mine: UserMemory | None = None,
    spoken: bool = False,
    script: tuple[Reply, ...] = (),
    about: Mapping[str, Any] | None = None,
) -> tuple[Held, list[dict[str, Any]]]:
    """Typed turns; what happened, and what the model was sent."""
    async with (
        ScriptedLLM(*script) as server,
        hosting(ScriptedRecognizerEngine(), options(server), ScriptedSynthesizer()) as host,
    ):
        server.otherwise = Reply("The model speaks.")
        steps = [Step(Typed(words, spoken=spoken)) for words in turns]
        settings = Settings.model_validate(about or {})
        held = await hold(host, steps, settings=settings, reflexes=True, memory=mine, limit_secs=60)
        return held, [request.body for request in server.requests]


@pytest.mark.parametrize("language", FORGET_ALL)
def test_the_words_ask_to_forget_everything_and_those_alike_do_not(language: str) -> None:
    words = words_of(language)
    assert words is not None
    assert [said for said in FORGET_ALL[language] if (words.match(said) or words).name != "forget_all"] == []  # pyright: ignore
    assert [said for said in LEFT_ALONE[language] if (found := words.match(said)) and found.name == "forget_all"] == []


@pytest.mark.parametrize(("answer", "left"), [("Yes.", []), ("No.", ["my dog is called Rex", "tea at five"])])
@in_virtual_time
async def test_everything_of_this_user_is_forgotten_on_a_yes(answer: str, left: list[str], tmp_path: Path) -> None:
    store = MemoryStore(tmp_path / "m.sqlite3")
    store.add([Item("you", "fact", "my dog is called Rex", 1.0), Item("you", "user", "tea at five", 2.0)])
    store.add([Item("another", "fact", "is nobody else's business", 1.0)])
    memory = Memory(store)
    held, asked = await talk("Forget everything.", answer, mine=UserMemory(memory, "you", "c"), about=ON)
    assert held.texts("reply_text") == [
        "Shall I delete everything that I remember about you?",
        "Done." if answer == "Yes." else "Okay, I won't.",
    ]
    assert asked == []
    assert sorted(item.text for item in store.items("you")) == left
    assert [item.text for item in store.items("another")] == ["is nobody else's business"]
    await memory.close()


@in_virtual_time
async def test_a_model_that_would_forget_everything_must_ask_first(tmp_path: Path) -> None:
    store = MemoryStore(tmp_path / "m.sqlite3")
    store.add([Item("you", "fact", "my dog is called Rex", 1.0)])
    memory = Memory(store)
    call = Reply(tool_calls=[ToolCall("forget_everything", ("{}",), "call_1")])
    held, _ = await talk("Start afresh.", mine=UserMemory(memory, "you", "c"), script=(call,), about=ON)
    assert held.texts("reply_text") == ["Shall I delete everything that I remember about you?"]
    assert len(store.items("you")) == 1
    await memory.close()


@in_virtual_time
async def test_with_the_memory_off_there_is_nothing_to_forget() -> None:
    held, asked = await talk("Forget everything.")
    assert held.texts("reply_text") == ["My memory is off: I keep nothing beyond this conversation."]
    assert (held.named("tool_call"), asked) == ([], [])


@pytest.mark.parametrize(
    ("about", "setting"),
    [({}, "memory.keep = true"), ({"memory": {"keep": True}, "tools": {"memory": "off"}}, 'tools.memory = "on"')],
)
@in_virtual_time
async def test_who_writes_reads_the_setting_that_switches_the_memory_on(about: dict[str, Any], setting: str) -> None:
    held, asked = await talk(REX, about=about)
    (answer,) = held.texts("reply_text")
    assert answer == f"I know that for this conversation, but my memory is off: turn it on with the setting {setting}."
    assert asked == []


@in_virtual_time
async def test_who_speaks_hears_it_without_the_name_and_the_conversation_knows_the_fact() -> None:
    held, asked = await talk(REX, "What is my dog called?", spoken=True)
    told = "I know that for this conversation, but my memory is off: you can turn it on in the settings."
    assert "".join(held.texts("bot_written")).startswith(told)
    assert [message["content"] for message in asked[0]["messages"][-3:]] == [REX, told, "What is my dog called?"]


@in_virtual_time
async def test_a_model_is_told_that_the_memory_is_off_in_the_turns_that_ask_for_it() -> None:
    _, asked = await talk("Hello there.", "Remember my dog Rex for me.", "And now?", spoken=True)
    notes = [str(request["messages"]).count("the memory is off") for request in asked]
    assert notes == [0, 1, 1]
    assert re.search(r"memory\.keep = true", str(asked[1]["messages"][-2]["content"]))


@in_virtual_time
async def test_with_the_memory_on_nobody_is_told_that_it_is_off(tmp_path: Path) -> None:
    memory = Memory(MemoryStore(tmp_path / "m.sqlite3"))
    mine = UserMemory(memory, "you", "c")
    _, asked = await talk("Remember my dog Rex for me.", REX, mine=mine, about=ON)
    assert len(asked) == 2
    assert "the memory is off" not in str(asked)
    await memory.close()
