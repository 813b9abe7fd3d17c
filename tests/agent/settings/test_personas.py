"""Personas: what their files say is what the agent is, read anew for each conversation."""

from pathlib import Path
from typing import Any

import pytest

from agent.errors import SettingsError
from agent.settings.in_persona import with_persona
from agent.settings.load import Settings, load_settings, without_effect
from agent.settings.persona import BUNDLED, PersonaError
from agent.settings.session import OptionError, describe_options, session_settings

PIRATE = """---
description: Speaks like a pirate.
language: en-gb
voice: bm_george
speed: 1.2
pace: brisk
greeting: Ahoy!
tools: [clock]
knowledge: papers
---
You are a pirate.

Answer in one short sentence.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    own = tmp_path / "personas"
    own.mkdir()
    (own / "pirate.md").write_text(PIRATE, encoding="utf-8")
    return own


def settings_of(folder: Path, **flags: Any) -> Settings:
    return load_settings({"persona.folder": str(folder), **flags})


def persona(folder: Path, text: str, name: str = "pirate") -> Settings:
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    return with_persona(settings_of(folder), name)


def test_a_persona_is_its_prompt_voice_language_pace_greeting_tools_and_knowledge(folder: Path) -> None:
    plain = settings_of(folder)
    pirate = with_persona(plain, "pirate")
    assert pirate.llm.system_prompt == "You are a pirate.\n\nAnswer in one short sentence."
    assert (pirate.tts.language, pirate.tts.voice, pirate.tts.speed) == ("en-gb", "bm_george", 1.2)
    assert (pirate.stt.language, pirate.turn.pace, pirate.dialogue.greeting) == ("en", "brisk", "Ahoy!")
    assert (pirate.tools.clock, pirate.tools.sums, pirate.tools.timers) == ("on", "off", "off")
    assert (pirate.persona.name, pirate.persona.knowledge) == ("pirate", folder / "papers")
    # Everything else is as it was, and nothing of one persona is left in the next.
    assert with_persona(pirate, "assistant") == plain
    assert pirate.vad == plain.vad


def test_flags_and_the_environment_stand_above_a_persona_and_the_file_below(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "mine.toml"
    config.write_text('[tts]\nspeed = 0.9\n[dialogue]\ngreeting = "Hi"\n[tools]\nclock = "ask"\n', encoding="utf-8")
    monkeypatch.setenv("SOTTO_TURN__PACE", "patient")
    flags = {"persona.folder": str(folder), "persona.name": "pirate", "tts.voice": "af_heart"}
    settings = load_settings(flags, config=config)
    pirate = with_persona(settings, settings.persona.name)
    assert (pirate.tts.voice, pirate.turn.pace) == ("af_heart", "patient")
    assert (pirate.tts.speed, pirate.dialogue.greeting) == (1.2, "Ahoy!")
    # What a list of tools names is as the settings have it.
    assert pirate.tools.clock == "ask"


def test_a_page_chooses_a_persona_and_its_own_choices_stand_above(folder: Path) -> None:
    settings = settings_of(folder)
    chosen = session_settings(settings, {"persona.name": "pirate", "tts.speed": 0.8})
    assert (chosen.tts.speed, chosen.dialogue.greeting) == (0.8, "Ahoy!")
    assert session_settings(settings, None) == settings
    described = describe_options(settings)["persona.name"]
    assert described["choices"] == ["assistant", "customer-service", "interpreter", "pirate"]
    assert described["value"] == "assistant"


def test_a_changed_file_counts_from_the_next_conversation_on(folder: Path) -> None:
    settings = with_persona(settings_of(folder), "pirate")
    (folder / "pirate.md").write_text(PIRATE.replace("Ahoy!", "Avast!"), encoding="utf-8")
    assert session_settings(settings, {}).dialogue.greeting == "Avast!"
    (folder / "pirate.md").unlink()
    with pytest.raises(OptionError, match="there is no persona 'pirate'; there are assistant, customer-service"):
        session_settings(settings, {})


@pytest.mark.parametrize("where", ["named", "here", "the user's own", "none"])
def test_own_personas_lie_beside_the_configuration_file_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    here, mine, own = (tmp_path / name for name in ("here", "mine", "config/sotto"))
    monkeypatch.setattr("platformdirs.user_config_path", lambda _: own)
    for folder in (here, mine, own):
        (folder / "personas").mkdir(parents=True)
        (folder / "personas" / "kind.md").write_text(f"From {folder.name}.", encoding="utf-8")
    monkeypatch.chdir(here)
    config = {"named": mine, "here": here, "the user's own": own}.get(where)
    if config:
        (config / "sotto.toml").write_text("[persona]\nname = 'kind'\n", encoding="utf-8")
    settings = load_settings(config=mine / "sotto.toml" if where == "named" else None)
    # Also where the program has gone elsewhere since.
    monkeypatch.chdir(tmp_path)
    expected = f"From {(config or own).name}."
    assert with_persona(settings, "kind").llm.system_prompt == expected
    assert session_settings(settings, {"persona.name": "kind"}).llm.system_prompt == expected
    assert "kind" in (describe_options(settings)["persona.name"]["choices"] or [])


def test_a_page_names_no_files(folder: Path) -> None:
    path = str(folder / "pirate.md")
    assert with_persona(settings_of(folder), path, any_file=True).dialogue.greeting == "Ahoy!"
    with pytest.raises(OptionError, match="there is no persona"):
        session_settings(settings_of(folder), {"persona.name": path})


@pytest.mark.parametrize("name", ["../pirate", "pirate.md", "", "a/b", "..", "\0"])
def test_a_name_leads_nowhere_else(folder: Path, name: str) -> None:
    with pytest.raises(OptionError, match="there is no persona"):
        session_settings(settings_of(folder), {"persona.name": name})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("---\nvoise: x\n---\nHi", "unknown key: voise; there are description, language, voice"),
        ("---\npace: quick\n---\nHi", "pace: "),
        ("---\nspeed: 9\n---\nHi", "speed: "),
        ("---\nspeed: [\n---\nHi", "parsing a flow node"),
        ("---\n- a\n---\nHi", "front matter"),
        ("---\nprompt: A\n---\nHi", "a prompt in its front matter, and a text below"),
        ("---\ntools: [clok]\n---\nHi", "there is no 'clok'; there are clock, sums, timers"),
        ("---\nlanguage: Klingonish\n---\nHi", "tts.language = 'Klingonish'"),
        ("---\nknowledge: ~nobody-of-this-name\n---\nHi", "knowledge: ~nobody-of-this-name: it cannot be a folder: "),
        ("---\ngreeting: Hi\nYou are kind.", "its front matter has no end: a line --- is missing below it"),
        ("---", "its front matter has no end"),
        ("---\r\ngreeting: Hi\r\n--\r\nHi", "its front matter has no end"),
        ("\n \n---\ngreeting: Hi\n---\nHi", "its front matter must begin in the first line"),
        (" ---\ngreeting: Hi\n---\nHi", "its front matter must begin in the first line"),
        ("---\nlanguage: no\n---\nHi", "language: YAML reads it as yes or no, not as text; write it in quotes"),
        ("---\ngreeting: 5\n---\nHi", "greeting: YAML reads it as a number, not as text; write it in quotes"),
        ("---\ngreeting: 2026-01-01\n---\nHi", "greeting: YAML reads it as a date, not as text; write it in quotes"),
        ("---\nprompt: [a]\n---\n", "prompt: YAML reads it as a list, not as text; write it in quotes"),
        ("---\ninterpreter: {into: no}\n---\n", "interpreter.into: YAML reads it as yes or no, not as text"),
        ("---\ndescription:\n---\nHi", "description: it is empty; leave the line out"),
        ("---\nknowledge: pirate.md\n---\nHi", "knowledge: pirate.md: there is a file of that name, not a folder"),
        ("---\nknowledge: a/b\0c\n---\nHi", "special characters are not allowed"),
        ("---\na: &a [x]\nb: {<<: *a}\n---\n", "<< is not read here"),
    ],
)
def test_what_is_wrong_with_a_persona_is_one_line(folder: Path, text: str, told: str) -> None:
    with pytest.raises(PersonaError) as error:
        persona(folder, text)
    assert told in str(error.value)
    assert "pirate" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_persona_may_be_a_prompt_alone(folder: Path) -> None:
    assert persona(folder, "You are terse.").llm.system_prompt == "You are terse."
    assert persona(folder, "---\nprompt: You are kind.\n---\n").llm.system_prompt == "You are kind."
    assert persona(folder, "Be kind.\n---\nBe brief.\n").llm.system_prompt == "Be kind.\n---\nBe brief."
    assert persona(folder, "----\nBe kind.").llm.system_prompt == "----\nBe kind."
    assert persona(folder, "\ufeff---\nlanguage: 'no'\n---\nHi").tts.language == "no"
    assert persona(folder, "---\r\ngreeting: Hello\r\n---\r\n").dialogue.greeting == "Hello"
    permissions = persona(folder, "---\ntools: {clock: off, sums: ask, timers: on}\n---\n").tools
    assert (permissions.clock, permissions.sums, permissions.timers) == ("off", "ask", "on")


@pytest.mark.parametrize("key", ["persona.folder", "persona.knowledge", "tools.folder"])
def test_a_folder_may_begin_at_home_and_no_text_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    section, name = key.split(".")

    def read(text: str) -> Path | None:
        return getattr(getattr(load_settings({key: text}), section), name)

    assert [read(text) for text in ("", "  ", "~/docs", "docs", str(tmp_path))] == [
        *(None, None, tmp_path / "docs", Path("docs"), tmp_path),
    ]
    (tmp_path / "file").touch()
    for text in ("~nobody-of-this-name/docs", "~/file", Path(tmp_path.anchor).as_posix()):
        with pytest.raises(SettingsError, match=rf"invalid setting in a flag: {key} = "):
            read(text)


@pytest.mark.skipif(not Path("/proc/1").is_dir(), reason="this system shows no processes as files")
@pytest.mark.parametrize("text", ["/proc", "/proc/1", "/sys", "/proc/../proc/self"])
def test_the_systems_own_folders_are_nobodys(text: str) -> None:
    with pytest.raises(SettingsError, match=r"tools\.folder = .*: it is the whole disk, or the system's own"):
        load_settings({"tools.folder": text})


def test_knowledge_that_is_not_there_is_told_and_hinders_nothing(tmp_path: Path) -> None:
    settings = load_settings({"persona.knowledge": str(tmp_path / "none")})
    (line,) = without_effect(settings)
    assert line.startswith(f"persona.knowledge = {tmp_path / 'none'}: there is no such folder")
    (tmp_path / "none").mkdir()
    assert list(without_effect(settings)) == []


def test_knowledge_of_a_persona_may_begin_at_home(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert persona(folder, "---\nknowledge: ~/papers\n---\nHi").persona.knowledge == tmp_path / "papers"
    assert persona(folder, "---\nknowledge: ../papers\n---\nHi").persona.knowledge == folder / ".." / "papers"


@pytest.mark.parametrize("name", sorted(path.stem for path in BUNDLED.glob("*.md")))
def test_those_that_come_along_can_be_taken(name: str) -> None:
    assert with_persona(load_settings(), name).persona.name == name


def test_a_conversation_is_allowed_less_than_the_server_allows_never_more(folder: Path, tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text('[tools]\ntimers = "ask"\nsums = "off"\n', encoding="utf-8")
    settings = load_settings({"persona.folder": str(folder)}, config=config)
    assert session_settings(settings, {"tools.timers": "off"}).tools.timers == "off"
    with pytest.raises(OptionError, match=r"tools\.timers = 'on': this server allows ask at most"):
        session_settings(settings, {"tools.timers": "on"})
    described = describe_options(settings)
    assert described["tools.timers"]["choices"] == ["ask", "off"]
    assert described["tools.sums"]["choices"] == ["off"]
    # Nor by way of a persona.
    (folder / "bold.md").write_text("---\ntools: {timers: on, sums: on, clock: ask}\n---\n", encoding="utf-8")
    bold = session_settings(settings, {"persona.name": "bold"}).tools
    assert (bold.timers, bold.sums, bold.clock) == ("ask", "off", "ask")
    with pytest.raises(OptionError, match=r"tools\.sums = 'ask': this server allows off at most"):
        session_settings(settings, {"persona.name": "bold", "tools.sums": "ask"})
