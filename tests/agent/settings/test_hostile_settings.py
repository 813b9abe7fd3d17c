"""Whatever stands in a settings file, the environment or `--set`: settings, or one line that says what is wrong."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.errors import MAX_MESSAGE_CHARS, SettingsError
from agent.settings.assignments import parse_assignment
from agent.settings.load import (
    ENV_PREFIX,
    Settings,
    effective_values,
    load_settings,
    public_values,
    setting_keys,
)
from processors.shown_url import shown_url
from tests.support.hostile import TEXTS, at_length, mutated, trying

KEYS = sorted(setting_keys())
SECRET = "hunter2-hunter2"
VALID = """models_dir = "models"
log_level = "INFO"

[stt]
engine = "whisper"
language = "de"
hotwords = ["sotto", "Pipecat"]
api_key = "hunter2-hunter2"

[llm]
base_url = "http://me:hunter2-hunter2@127.0.0.1:11434/v1"
temperature = 0.5

[turn]
min_pause_secs = 0.3

[server]
host = "0.0.0.0"
port = 7861
token = "hunter2-hunter2"
allowed_hosts = ["box.lan"]
ice_servers = [{urls = "turn:box.lan", username = "me", credential = "hunter2-hunter2"}]
"""


def refusal_of(*, text: bytes | None = None, sets: tuple[str, ...] = (), path: Path = Path("talk.toml")) -> str | None:
    """Read settings; the line that they are refused with, None where they are taken and can be shown."""
    if text is not None:
        path.write_bytes(text)
    try:
        settings = load_settings(dict(map(parse_assignment, sets)), config=None if text is None else path)
    except SettingsError as error:
        message = str(error)
        assert message
        assert len(message.splitlines()) == 1
        assert message.isprintable()
        # Each character of a long one may be written as an escape.
        assert len(message) <= 10 * MAX_MESSAGE_CHARS
        return message
    check_settings(settings)
    return None


def check_settings(settings: Settings) -> None:
    json.dumps(public_values(settings))
    assert "\0" not in str(list(effective_values(settings)))


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_hostile_settings_begin_with_some_that_are_read_and_whose_secrets_are_not_shown() -> None:
    assert refusal_of(text=VALID.encode()) is None
    settings = load_settings(config=Path("talk.toml"))
    assert SECRET not in json.dumps(public_values(settings))
    assert SECRET not in str(list(effective_values(settings)))


@at_length(60, 3000)
def test_no_hostile_address_shows_the_password_in_it(n_examples: int) -> None:
    begin = TEXTS | st.sampled_from(["http://", "https://", "h ttp://", "http:/", "//", "http://box/"])

    @example("", "", "box:11434/v1")
    @example("h ttp://", "/x", "box/v1")
    @given(begin, TEXTS, TEXTS)
    @trying(n_examples)
    def check(before: str, within: str, after: str) -> None:
        shown = shown_url(f"{before}me:{SECRET}{within}@{after}")
        assert SECRET not in shown
        assert shown.endswith(after.rpartition("@")[2])

    check()
    assert shown_url(f"http://me:{SECRET}@box:11434/v1") == "http://box:11434/v1"


TOML_VALUES = st.sampled_from(
    [
        *('""', '"auto"', '"de"', "0", "-1", "1", "99999999999", "0.5", "nan", "inf", "-inf", "true", "1979-05-27"),
        *("[]", "[1]", "{}", "{a = 1}", '["a"]', '"a\\u0000b"', '"a\\nb"', "07:32:00", "0x10", '"""a\nb"""', '[["a"]]'),
        *(
            "1979-05-27T07:32:00Z",
            "9" * 5000,
            "[" * 2000,
            '"' + "x" * 5000 + '"',
            '[{urls = ["stun:a"]}]',
        ),
    ]
)
TOML_LINES = st.builds(
    lambda key, value: f"{key} = {value}",
    st.sampled_from([*KEYS, *{key.split(".")[0] for key in KEYS}, "x", '"a\\nb"', "stt.x", "stt.engine.x", "_file"]),
    TOML_VALUES,
)


@at_length(80, 1500)
def test_hostile_settings_files_are_read_or_refused_in_one_line(n_examples: int) -> None:
    @example(b"a=" + b"[" * 100_000)
    @example(b"[vad]\nconfidence = " + b"9" * 5000)
    @example(b'models_dir = "a\\u0000b"')
    @example(b'[server]\nhost = "a\\u0000b"')
    @example(b'"a\\nb" = 1')
    @example(b"[stt]\nengine = '" + b"x" * 100_000 + b"'")
    @example(b'[server]\nice_servers = "' + b"[" * 100_000 + b'"')
    @example(b'[server]\ntoken = "hunter2-hunter2"\ncertificate = "a"')
    @example(b"\xff\xfe")
    @example(b"x" * (2**20 + 1))
    @given(
        mutated(st.just(VALID.encode())) | st.lists(TOML_LINES, max_size=5).map(lambda lines: "\n".join(lines).encode())
    )
    @trying(n_examples)
    def check(text: bytes) -> None:
        refusal = refusal_of(text=text)
        assert refusal is None or "talk.toml" in refusal

    check()
    assert refusal_of(text=VALID.encode()) is None


@at_length(40, 1000)
def test_hostile_assignments_and_variables_are_read_or_refused_in_one_line(n_examples: int) -> None:
    keys = st.sampled_from([*KEYS, "server.token.x", "x", "", "stt", "stt.engine\n"])
    values = TEXTS | st.sampled_from(
        ["auto", "1", "0.5", "[]", "[{}]", "stun:a", "turn:a", "[[[", '[{"urls": "stun:a"}]']
    )

    @example("server.ice_servers", "[" * 100_000)
    @example("server.ice_servers", "[" + "9" * 5000 + "]")
    @example("stt.model", "\0")
    @example("tts.language", "é" * 5000)
    @example("stt.engine\nx", "")
    @given(keys, values)
    @trying(n_examples)
    def check(key: str, value: str) -> None:
        refused = refusal_of(sets=(f"{key}={value}",))
        if key not in KEYS:
            assert refused is not None
        elif "\0" not in value:
            # The system lets no NUL through.
            with environment(
                **{ENV_PREFIX + key.replace(".", "__").upper(): value.encode("utf-8", "replace").decode()}
            ):
                from_variable = refusal_of()
            assert from_variable is None or from_variable.startswith("invalid setting in the environment: ")

    check()
    assert refusal_of() is None


@pytest.mark.parametrize("name", ["a\0b", "a" * 5000, "a\nb", "."])
def test_a_hostile_name_of_a_settings_file_is_told_in_one_line(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(config=Path(name))
    assert str(caught.value).startswith("configuration file not found: ")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ("[stt]\nhotwords = [1]\n", "stt.hotwords.0 = 1"),
        ("[server]\nallowed_hosts = [[]]\n", "server.allowed_hosts.0 = []"),
        ('[server]\nice_servers = [{urls = "x"}]\n', "server.ice_servers.0.urls.0"),
        ("[server]\nice_servers = [{}]\n", "server.ice_servers.0.urls"),
    ],
)
def test_a_hostile_value_within_a_list_is_told_with_the_file_that_it_stands_in(config: str, key: str) -> None:
    refusal: Any = refusal_of(text=config.encode())
    assert refusal.startswith(f"invalid setting in talk.toml: {key}: ")


@pytest.mark.parametrize(
    "config",
    [
        f'[server]\ntoken = "{SECRET}"\ncertificate = "a.pem"\n',
        f'[server]\nice_servers = [{{urls = "turn:a", credential = "{SECRET}"}}]\n',
        f'[llm]\napi_key = ["{SECRET}"]\n',
        f'[server.token]\na = "{SECRET}"\n',
    ],
)
def test_no_hostile_setting_has_a_secret_repeated(config: str) -> None:
    refusal: Any = refusal_of(text=config.encode())
    assert refusal is not None
    assert SECRET not in refusal
