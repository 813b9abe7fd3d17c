"""`sotto doctor` tells what a conversation would use, and fails when none could be held."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.commands.doctor import interpreting
from agent.settings.load import Settings, setting_keys
from tests.support.mcp_peers import peer_settings
from tests.support.ports import free_port
from tests.support.scripted_llm import Reply, ScriptedLLM


def doctor(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "agent.cli", "doctor", "--set", f"models_dir={directory}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=directory, timeout=60, check=False)


CHOOSES = "llm: SmolLM2-135M-Instruct calls tools: by constrained choice"
PROMPT = " ".join(f"word{number}" for number in range(60))
Told = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def nowhere() -> str:
    """An address of the OpenAI API at which nothing answers."""
    return f"http://127.0.0.1:{free_port()}/v1"


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory, nowhere: str) -> Told:
    """What is told where no model is installed, servers do not answer, and tools' servers are set."""
    directory = tmp_path_factory.mktemp("bundled")
    settings = peer_settings(directory, env={"KEY": "s3cret-of-a-child"})
    lines = [
        "[mcp.servers.peer]",
        *(f"{key} = {json.dumps(value)}" for key, value in settings.items() if key != "env"),
        'env = {KEY = "s3cret-of-a-child"}',
        "[mcp.servers.gone]",
        'url = "http://127.0.0.1:9/mcp"',
        'token = "s3cret-of-a-server"',
    ]
    (directory / "sotto.toml").write_text("\n".join(lines))
    large = ("--set", "large.base_url=http://127.0.0.1:1/v1", "--set", "large.model=huge")
    dead = ("--set", f"tts.base_url={nowhere}", "--set", f"stt.base_url={nowhere}")
    return doctor(directory, "--llm", "embedded", *large, *dead)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Told, Path]:
    """What is told of a model that is none, with its file."""
    directory = tmp_path_factory.mktemp("broken")
    gguf = directory / ("a-model-of-a-long-name-" * 5 + ".gguf")
    gguf.write_bytes(b"GGUF" + bytes(1000))
    model = ("--set", f"llm.model={gguf}")
    return doctor(directory, "--llm", "embedded", "--set", f"llm.system_prompt={PROMPT}", *model), gguf


def test_the_bundled_engines_can_hold_a_conversation(bundled: Told, nowhere: str) -> None:
    told = " ".join(bundled.stdout.split())
    for stage, what in (("stt", "speech-to-text"), ("tts", "text-to-speech")):
        assert f"{stage} openai passed over: no {what} server answers at {nowhere}" in told
        assert f"→ start it, or correct {stage}.base_url" in told
        assert f"{stage}: passed over openai: no {what} server answers at {nowhere}" in bundled.stderr
    assert "large  endpoint" in bundled.stdout
    assert "huge: usable, chosen" in bundled.stdout
    assert bundled.returncode == 0, bundled.stdout + bundled.stderr
    for text in ("tiny.en", "pocketsphinx", "espeak", "SmolLM2", "pipecat-ai", "A conversation can be held", CHOOSES):
        assert text in bundled.stdout
    assert all(key in bundled.stdout for key in setting_keys())


def test_what_is_not_usable_comes_with_the_command_that_mends_it(bundled: Told) -> None:
    assert "not usable: no model is installed" in bundled.stdout
    # A command that mends something is whole, on a line of its own.
    lines = [line.strip() for line in bundled.stdout.splitlines()]
    assert {"→ sotto models pull base.en", "→ sotto models pull kokoro"} <= {*lines}


def test_servers_of_tools_are_connected_and_shown_without_their_secrets(bundled: Told) -> None:
    told = " ".join(bundled.stdout.split())
    assert "peer has 12 tools" in told
    assert "gone is down: nothing answers there" in told
    assert "s3cret" not in "".join((bundled.stdout + bundled.stderr).split())


def test_it_fails_when_a_stage_has_no_engine(tmp_path: Path) -> None:
    result = doctor(tmp_path, "--tts", "kokoro")
    assert result.returncode == 1
    told = " ".join(result.stdout.split())
    assert "A conversation could not be held: tts.engine = kokoro: no model is installed" in told
    assert "Traceback" not in result.stderr


def test_it_fails_when_a_model_is_there_but_broken(broken: tuple[Told, Path]) -> None:
    result, gguf = broken
    assert result.returncode == 1
    assert str(gguf) in "".join(result.stdout.split())


def test_it_fits_eighty_columns_and_nothing_is_cut_off(broken: tuple[Told, Path], bundled: Told) -> None:
    result, _ = broken
    for told in (result, bundled):
        assert max(map(len, told.stdout.splitlines())) <= 80
        assert "…" not in told.stdout
    assert PROMPT in " ".join(result.stdout.split())


async def test_a_model_whose_server_does_not_tell_is_asked_whether_it_calls_tools(tmp_path: Path) -> None:
    async with ScriptedLLM() as server:
        server.answer_to_probe = Reply("I am ready.")
        at = ("--set", f"llm.base_url={server.base_url}", "--set", "llm.model=scripted")
        result = await asyncio.to_thread(doctor, tmp_path, *at)
        assert len(server.probes) == 1
    assert "llm: scripted calls tools: by constrained choice" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("interpreter", "ears", "line"),
    [
        (
            {"languages": "de,en"},
            "whisper",
            "between de and en, by the language model; whisper tells the language of a",
        ),
        ({"languages": "de,lb"}, "nemotron", "the words of a sentence tell its language, and none are known of lb"),
        ({"into": "fr"}, "nemotron", "into fr, by the language model; any language is taken"),
    ],
)
def test_an_interpreter_is_told_with_what_tells_the_language(interpreter: dict[str, str], ears: str, line: str) -> None:
    assert line in interpreting(Settings.model_validate({"interpreter": interpreter}), ears)
