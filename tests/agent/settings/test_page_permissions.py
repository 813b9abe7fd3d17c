"""What a page may allow its conversation: less than the server allows, never more, whichever way it asks."""

import itertools
from pathlib import Path

import pytest

from agent.settings.in_persona import with_persona
from agent.settings.load import Settings, load_settings
from agent.settings.sections import PERMISSIONS, ToolsSettings
from agent.settings.session import STRICTER, OptionError, describe_options, session_settings

# Of a page's own options; what is at home and further servers it does not choose at all.
CHOSEN = ("clock", "sums", "timers", "files", "memory", "knowledge")


def server(tmp_path: Path, toml: str = "", persona: str = "assistant", **personas: str) -> Settings:
    """A server's settings by its file, as the persona that it was started as."""
    folder = tmp_path / "personas"
    folder.mkdir(exist_ok=True)
    for name, text in personas.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    config = tmp_path / "sotto.toml"
    config.write_text(f"{toml}\n[persona]\nname = '{persona}'\n", encoding="utf-8")
    settings = load_settings(config=config)
    return with_persona(settings, settings.persona.name, any_file=True)


def permissions(tools: ToolsSettings) -> dict[str, str]:
    return {name: getattr(tools, name) for name in PERMISSIONS}


@pytest.mark.parametrize(("own", "personas"), list(itertools.product(STRICTER, STRICTER)))
def test_a_persona_that_a_page_chooses_has_the_stricter_of_its_own_and_the_servers_permissions(
    tmp_path: Path, own: str, personas: str
) -> None:
    toml = "[tools]\n" + "".join(f"{name} = '{own}'\n" for name in PERMISSIONS)
    front = ", ".join(f"{name}: {personas}" for name in PERMISSIONS)
    settings = server(tmp_path, toml, bold=f"---\ntools: {{{front}}}\n---\nHi")
    stricter = STRICTER[max(STRICTER.index(own), STRICTER.index(personas))]
    chosen = session_settings(settings, {"persona.name": "bold"})
    assert permissions(chosen.tools) == dict.fromkeys(PERMISSIONS, stricter)
    # Who runs the server takes the persona as its file says.
    assert permissions(with_persona(settings, "bold").tools) == dict.fromkeys(PERMISSIONS, personas)


def test_a_server_for_customers_gives_no_page_the_assistants_tools(tmp_path: Path) -> None:
    toml = f"[tools]\nfolder = '{(tmp_path / 'files').as_posix()}'\n"
    settings = server(tmp_path, toml, persona="customer-service")
    assert {name for name, value in permissions(settings.tools).items() if value == "on"} == {"clock", "knowledge"}
    chosen = session_settings(settings, {"persona.name": "assistant"})
    assert chosen.persona.name == "assistant"
    assert chosen.tools == settings.tools


@pytest.mark.parametrize("persona", ["assistant", "customer-service", "bold"])
@pytest.mark.parametrize("chosen", ["assistant", "customer-service", "bold", None])
def test_a_page_is_told_of_just_the_permissions_that_it_can_choose(
    tmp_path: Path, persona: str, chosen: str | None
) -> None:
    toml = f"[tools]\nsums = 'ask'\nfolder = '{(tmp_path / 'files').as_posix()}'\n"
    settings = server(tmp_path, toml, persona, bold="---\ntools: {sums: on, timers: ask}\n---\nHi")
    described = describe_options(settings)
    picked = {} if chosen is None else {"persona.name": chosen}
    for name, value in itertools.product(CHOSEN, STRICTER):
        option = {**picked, f"tools.{name}": value}
        if value in (described[f"tools.{name}"]["choices"] or []):
            assert getattr(session_settings(settings, option).tools, name) == value
        else:
            with pytest.raises(OptionError, match="this server allows"):
                session_settings(settings, option)
    assert chosen is None or chosen in (described["persona.name"]["choices"] or [])


def test_the_servers_own_persona_can_be_named_and_is_what_its_file_says_now(tmp_path: Path) -> None:
    path = str(tmp_path / "shop.md")
    Path(path).write_text("---\ntools: {files: ask, timers: on}\n---\nHi", encoding="utf-8")
    settings = server(tmp_path, "[tools]\ntimers = 'off'\n", path)
    # Whoever runs the server allows with a persona what the file of settings does not.
    assert session_settings(settings, {"persona.name": path}) == session_settings(settings, None) == settings
    assert (settings.tools.files, settings.tools.timers) == ("ask", "on")
    Path(path).write_text("---\ntools: {files: off, timers: ask}\n---\nHi", encoding="utf-8")
    for options in ({}, {"persona.name": path}, {"persona.name": "assistant"}):
        chosen = session_settings(settings, options).tools
        # Without that persona timers are off.
        assert (chosen.files, chosen.timers) == ("off", "off" if options.get("persona.name") == "assistant" else "ask")
    assert describe_options(settings)["tools.timers"]["choices"] == ["ask", "off"]
    # Without its file, the server allows what it allowed at the start.
    Path(path).unlink()
    assert session_settings(settings, {"persona.name": "assistant"}).tools.files == "ask"
    assert describe_options(settings)["tools.timers"]["choices"] == ["on", "ask", "off"]


def test_a_page_gains_no_documents_that_the_servers_persona_has_put_aside(tmp_path: Path) -> None:
    def searched(settings: Settings, name: str) -> str | None:
        knowledge = session_settings(settings, {"persona.name": name}).persona.knowledge
        return knowledge and knowledge.name

    toml = f"[persona]\nknowledge = '{(tmp_path / 'private').as_posix()}'\n"
    files = {
        "shop": "---\nknowledge: public\n---\nHi",
        "ship": "---\nknowledge: papers\n---\nHi",
        "plain": "Hi",
    }
    personas = tmp_path / "personas"
    flags = {"persona.folder": str(personas)}
    server(tmp_path, **files)
    config = tmp_path / "sotto.toml"
    config.write_text(toml, encoding="utf-8")
    of_shop = with_persona(load_settings(flags, config=config), "shop")
    assert [searched(of_shop, name) for name in ("shop", "ship", "plain", "assistant")] == [
        *("public", "papers", None, None),
    ]
    of_all = with_persona(load_settings(flags, config=config), "assistant")
    assert [searched(of_all, name) for name in ("shop", "ship", "plain")] == ["public", "papers", "private"]
    # What a flag names stands above every persona.
    named = load_settings({**flags, "persona.knowledge": str(tmp_path / "named")}, config=config)
    assert [searched(with_persona(named, "shop"), name) for name in ("shop", "ship", "plain")] == ["named"] * 3


def test_a_persona_that_a_page_chooses_changes_no_folder_memory_or_server(tmp_path: Path) -> None:
    toml = f"""
[tools]
folder = '{(tmp_path / "files").as_posix()}'
reflexes = false
[memory]
keep = true
[mcp.servers.files]
command = 'npx'
[home]
url = 'http://box:8123'
token = 'secret'
"""
    settings = server(tmp_path, toml, bold="---\nvoice: x\ntools: {files: on}\nknowledge: papers\n---\nHi")
    chosen = session_settings(settings, {"persona.name": "bold"})
    changed = {name for name in Settings.model_fields if getattr(chosen, name) != getattr(settings, name)}
    assert changed == {"llm", "tts", "persona"}
    before, now = settings.llm.model_dump(), chosen.llm.model_dump()
    assert {key for key in now if now[key] != before[key]} == {"system_prompt"}
