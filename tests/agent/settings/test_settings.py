"""Settings come from four places, the later ones win, and a wrong key or value is named."""

from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.settings.assignments import parse_assignment
from agent.settings.load import Settings, effective_values, load_settings, public_values, setting_keys


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def write_config(text: str) -> None:
    Path("sotto.toml").write_text(text, encoding="utf-8")


def test_defaults_need_no_source() -> None:
    settings = load_settings()
    assert (settings.stt.engine, settings.llm.engine, settings.tts.engine) == ("auto", "auto", "auto")
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 7860)


def test_each_source_beats_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    write_config('[stt]\nengine = "whisper"\nlanguage = "de"\nmodel = "base"\n')
    monkeypatch.setenv("SOTTO_STT__LANGUAGE", "es")
    monkeypatch.setenv("SOTTO_STT__MODEL", "small")
    stt = load_settings({"stt.model": "tiny"}).stt
    assert (stt.engine, stt.language, stt.model) == ("whisper", "es", "tiny")


def test_a_named_file_replaces_the_usual_ones(tmp_path: Path) -> None:
    write_config('[stt]\nlanguage = "de"\n')
    other = tmp_path / "other.toml"
    other.write_text("[server]\nport = 9000\n", encoding="utf-8")
    settings = load_settings(config=other)
    assert (settings.server.port, settings.stt.language) == (9000, "en")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[stt]\nengin = 'whisper'\n", "unknown setting in sotto.toml: stt.engin "),
        ("[ears]\nengine = 'whisper'\n", "unknown setting in sotto.toml: ears "),
        ("[vad]\nstop_secs = 'soon'\n", "invalid setting in sotto.toml: vad.stop_secs = 'soon': "),
        ("[vad]\nconfidence = 1.5\n", "invalid setting in sotto.toml: vad.confidence = 1.5: "),
        ("[stt\n", "sotto.toml cannot be read: "),
    ],
)
def test_a_wrong_file_is_an_error_that_names_the_key(config: str, message: str) -> None:
    write_config(config)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_an_unknown_environment_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOTTO_STT__ENGIN", "whisper")
    with pytest.raises(SettingsError, match="unknown setting in the environment: SOTTO_STT__ENGIN"):
        load_settings()


@pytest.mark.parametrize("value", ["foo", "{bad", '{"engine": "whisper"}'])
def test_a_whole_section_in_the_environment_is_no_setting(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOTTO_STT", value)
    with pytest.raises(SettingsError, match="unknown setting in the environment: SOTTO_STT"):
        load_settings()


def test_a_list_is_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings({"server.allowed_hosts": "a.lan, b.lan"}).server.allowed_hosts == ["a.lan", "b.lan"]
    monkeypatch.setenv("SOTTO_SERVER__ALLOWED_HOSTS", "c.lan")
    assert load_settings().server.allowed_hosts == ["c.lan"]
    write_config('[server]\nallowed_hosts = ["d.lan"]\n')
    monkeypatch.delenv("SOTTO_SERVER__ALLOWED_HOSTS")
    assert load_settings().server.allowed_hosts == ["d.lan"]


def test_a_login_inside_an_address_is_never_shown() -> None:
    settings = load_settings({"llm.base_url": "http://me:hunter2@box:11434/v1"})
    assert public_values(settings)["llm"]["base_url"] == "http://box:11434/v1"
    assert dict(effective_values(settings))["llm.base_url"] == "http://box:11434/v1"
    broken = load_settings({"llm.base_url": "http://me:hunter2@[box"})
    assert "hunter2" not in str(public_values(broken))


def test_a_wrong_environment_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOTTO_SERVER__PORT", "many")
    with pytest.raises(SettingsError, match=r"invalid setting in the environment: server\.port = 'many'"):
        load_settings()


def test_an_unknown_engine_is_named_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match=r"stt\.engine = 'sphinx'.*'pocketsphinx' or 'foundry'"):
        load_settings({"stt.engine": "sphinx"})


def test_a_missing_config_file_is_named() -> None:
    with pytest.raises(SettingsError, match=r"configuration file not found: nowhere\.toml"):
        load_settings(config=Path("nowhere.toml"))


@pytest.mark.parametrize("text", ["stt.engine", "stt.nothing=1", "=1", "stt=1"])
def test_a_wrong_assignment_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_assignment(text)


@pytest.mark.parametrize("text", ["sk-secret", "secret", "sk-secret=", "c2VjcmV0secret=="])
def test_what_may_be_a_key_that_was_pasted_is_not_repeated(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        parse_assignment(text)
    assert "secret" not in str(refused.value)
    assert "--set" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_wrong_assignment_of_a_setting_names_it() -> None:
    with pytest.raises(SettingsError, match=r"^--set stt\.engine: expected key=value"):
        parse_assignment("stt.engine")
    with pytest.raises(SettingsError, match=r"^unknown setting: stt\.engin "):
        parse_assignment("stt.engin=whisper")


def test_an_assignment_keeps_further_equals_signs() -> None:
    assert parse_assignment("llm.base_url=http://x/?a=b") == ("llm.base_url", "http://x/?a=b")


def test_a_secret_is_never_shown() -> None:
    settings = load_settings({"llm.api_key": "hunter2"})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(public_values(settings))
    assert "hunter2" not in str(list(effective_values(settings)))
    with pytest.raises(SettingsError) as caught:
        load_settings({"llm.api_key": {"a": "hunter2"}})
    assert "hunter2" not in str(caught.value)


def test_every_field_has_a_dotted_key() -> None:
    leaves = sum(
        len(section.model_fields) if hasattr(section := field.annotation, "model_fields") else 1  # type: ignore[union-attr]
        for field in Settings.model_fields.values()
    )
    assert len(setting_keys()) == leaves


@pytest.mark.parametrize("text", [",", " , ", "de", "de,de", "de,en,fr", "auto,en"])
def test_an_interpreter_of_other_than_two_languages_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"interpreter\.languages = .*: name two languages, such as de,en"):
        load_settings({"interpreter.languages": text})
