"""What the README shows is true: its commands exist, its examples load, its files are there."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from platformdirs.api import PlatformDirsABC
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from typer.testing import CliRunner

from agent.cli import app
from agent.commands.script import _ScriptModel
from agent.settings.load import Settings, setting_keys
from agent.settings.session import session_settings
from tests.support.event_table import with_table

REPOSITORY = Path(__file__).resolve().parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SPOKEN_OF = r"sotto (?:serve|replay|say|transcribe|doctor|models|memory)[^\n|`]*"
COMMANDS = sorted({line.split("#")[0].strip() for line in re.findall(SPOKEN_OF, README)})


def blocks(first_word: str) -> list[str]:
    """Indented blocks that start with a word, their indentation taken away."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", README, flags=re.MULTILINE)
    texts = ["\n".join(line[4:] for line in block.splitlines()).strip() for block in found]
    return [text for text in texts if text.startswith(first_word)]


def test_its_picture_is_there_and_small() -> None:
    [path] = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    picture = (REPOSITORY / path).read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 100 * 1024


def test_the_first_command_stands_within_the_first_25_lines() -> None:
    assert any("uv run sotto serve" in line for line in README.splitlines()[:25])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_exists(command: str) -> None:
    words = [word for word in command.split()[1:] if not word.startswith(("$", "("))]
    subcommand = words[:2] if words[0] in ("models", "memory") and len(words) > 1 and words[1].isalpha() else words[:1]
    result = CliRunner().invoke(app, [*subcommand, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    plain = re.sub(r"\x1b\[[0-9;]*m", "", result.output)
    for option in re.findall(r"--[a-z-]+", command):
        assert option in plain


def test_the_settings_example_loads() -> None:
    (example,) = blocks("[stt]")
    values = tomllib.loads(example)
    settings = Settings.model_validate(values)
    assert (settings.stt.engine, settings.stt.language) == ("whisper", "es")


def test_the_telephone_example_loads() -> None:
    (example,) = blocks("[telephony]")
    settings = Settings.model_validate(tomllib.loads(example))
    assert settings.telephony.lines["office"].provider == "twilio"
    session_settings(settings, settings.telephony.lines["office"].options)


def test_the_conversation_example_is_valid() -> None:
    (example,) = blocks("steps:")
    script = _ScriptModel.model_validate(yaml.safe_load(example))
    assert [step.after for step in script.steps] == ["idle", "bot_started_speaking"] * 2


def test_every_event_stands_in_the_table_as_it_is_defined() -> None:
    assert with_table(README) == README, "uv run python -m tests.support.event_table"


def test_every_message_of_a_page_is_described() -> None:
    read = (REPOSITORY / "agent" / "server" / "calls" / "messages.py").read_text(encoding="utf-8")
    table = README.partition("The page sends, each with a `type`:\n")[2].partition("\n\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    described = {name for row in rows for name in re.findall(r"`(\w+)`", row)} - {"type"}
    assert described == set(re.findall(r'"type": "(\w+)"', read))


@pytest.mark.parametrize(("column", "system"), [(2, Unix), (3, MacOS)])
def test_files_lie_where_the_readme_says(
    column: int, system: type[PlatformDirsABC], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    table = README.partition("## Where files lie\n")[2].partition("\n\nA recording")[0]
    named = [row.split("|")[column].strip(" `") for row in table.splitlines() if row.count("|") == 5][2:5]
    folders = system("sotto")
    real = [folders.user_config_dir, folders.user_data_dir, folders.user_cache_dir]
    said = [named[0] if name == "the same" else name for name in named]
    assert [str(Path(name).expanduser()) for name in said] == real


def test_named_settings_and_files_exist() -> None:
    for key in re.findall(
        r"`((?:input|stt|llm|large|tts|vad|turn|tools|timers|memory|persona|server|telephony)\.\w+)`", README
    ):
        assert key in setting_keys()
    for path in re.findall(r"`((?:agent|processors|transports|web|tests)/[\w./]*)`", README):
        assert (REPOSITORY / path).exists()
    for path in re.findall(r"tests/fixtures/\S+\.wav", README):
        assert (REPOSITORY / path).is_file()
