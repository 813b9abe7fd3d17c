"""Settings that go to another process of ours arrive as they were, whatever the environment there says."""

from pathlib import Path

import pytest

from agent.settings.in_persona import with_persona
from agent.settings.line import settings_line, settings_of
from agent.settings.load import load_settings

FILE = """
[stt]
engine = "whisper"
hotwords = ["Ada", "Lovelace"]
[llm]
api_key = "s3cret"
base_url = "http://127.0.0.1:1/v1"
max_tokens = "auto"
[server]
token = "a-very-long-token-indeed"
ice_servers = [{urls = ["turn:turn.example.org"], username = "ada", credential = "pw"}]
wyoming_clients = ["192.168.1.0/24"]
[mcp.servers.files]
command = "files"
args = ["--root", "x"]
env = {KEY = "value"}
[interpreter]
languages = "de,en"
"""


def test_they_arrive_whole_with_their_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "sotto.toml"
    config.write_text(FILE)
    settings = load_settings({"tts.speed": 1.25, "server.max_sessions": 16}, config=config)
    settings = with_persona(settings, settings.persona.name, any_file=True)
    line = settings_line(settings)
    assert line.count(b"\n") == 1
    monkeypatch.setenv("SOTTO_STT__ENGINE", "pocketsphinx")
    monkeypatch.setenv("SOTTO_VAD__CONFIDENCE", "0.1")
    there = settings_of(line)
    assert there == settings
    assert there.plain == settings.plain
    assert there.above == settings.above == {"tts": {"speed": 1.25}, "server": {"max_sessions": 16}}
    assert there.config_file == config
    assert there.llm.api_key
    assert there.llm.api_key.get_secret_value() == "s3cret"
    assert there.server.model_fields_set == settings.server.model_fields_set


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"settings": {"stt": {"engine": "none"}}}'])
def test_what_is_no_line_of_settings_is_refused(line: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        settings_of(line)
