"""A language is read in one way, wherever it is named."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent import __version__
from agent.cli import app
from agent.engines.tts import known_voice_language
from agent.errors import SettingsError, SottoError
from agent.settings.load import load_settings
from agent.settings.session import OptionError, session_settings
from processors.errors import EngineUnavailableError
from processors.stt.languages import language_code, read_language, voice_language
from processors.tts.espeak import EspeakSynthesizer

ESPEAK = ("cmn", "de", "en-gb", "en-us", "es", "es-419", "fr-be", "fr-fr", "it", "nb", "pt", "pt-br", "yue")


@pytest.mark.parametrize(
    ("text", "tag", "code"),
    [
        ("en", "en", "en"),
        ("EN", "en", "en"),
        ("en-US", "en-us", "en"),
        ("en_us", "en-us", "en"),
        (" English ", "en", "en"),
        ("English (US)", "en", "en"),
        ("eng", "en", "en"),
        ("de-DE", "de-de", "de"),
        ("de_DE.UTF-8", "de-de", "de"),
        ("de_DE@euro", "de-de", "de"),
        ("German", "de", "de"),
        ("zh-CN", "zh-cn", "zh"),
        ("zh-Hans-CN", "zh-hans-cn", "zh"),
        ("cmn", "zh", "zh"),
        ("es-MX", "es-mx", "es"),
        ("pt-BR", "pt-br", "pt"),
        ("iw", "he", "he"),
        ("nb-NO", "no-no", "no"),
        ("Haitian  Creole", "ht", "ht"),
        ("yue", "yue", "yue"),
    ],
)
def test_a_language_is_read_however_it_is_written(text: str, tag: str, code: str) -> None:
    assert read_language(text) == tag
    assert language_code(text) == code
    assert load_settings({"stt.language": text}).stt.language == code
    assert load_settings({"tts.language": text}).tts.language == tag


@pytest.mark.parametrize("text", ["klingon", "", "xx", "english-ish", "123", "e", "tlh", "en us"])
@pytest.mark.parametrize("key", ["stt.language", "tts.language"])
def test_what_is_no_language_is_an_error_that_names_the_key(text: str, key: str) -> None:
    with pytest.raises(ValueError, match="no language"):
        read_language(text)
    with pytest.raises(SettingsError) as failure:
        load_settings({key: text})
    assert str(failure.value).startswith(f"invalid setting in a flag: {key} = {text!r}: {text!r} is no language")
    with pytest.raises(OptionError, match=key) as refused:
        session_settings(load_settings(), {key: text})
    assert isinstance(refused.value, SottoError)


def test_auto_is_for_the_ears() -> None:
    assert load_settings({"stt.language": "AUTO"}).stt.language == "auto"
    with pytest.raises(SettingsError, match=r"tts\.language"):
        load_settings({"tts.language": "auto"})


@pytest.mark.parametrize(
    ("wanted", "voice"),
    [
        ("en", "en-us"),
        ("English", "en-us"),
        ("en-GB", "en-gb"),
        ("en-AU", "en-gb"),
        ("en-US", "en-us"),
        ("de-DE", "de"),
        ("de-AT", "de"),
        ("es-MX", "es-419"),
        ("es-ES", "es"),
        ("zh-CN", "cmn"),
        ("fr", "fr-fr"),
        ("fr-BE", "fr-be"),
        ("pt-BR", "pt-br"),
        ("pt-PT", "pt"),
        ("no", "nb"),
        ("cmn", "cmn"),
        ("ja", None),
        ("klingon", None),
    ],
)
def test_the_nearest_voice_speaks_it(wanted: str, voice: str | None) -> None:
    assert voice_language(wanted, ESPEAK) == voice


def test_an_engine_without_a_voice_for_it_says_so_with_the_key() -> None:
    espeak = EspeakSynthesizer()
    assert known_voice_language(espeak, "es-mx") == "es-419"
    with pytest.raises(EngineUnavailableError, match=r"tts\.language = 'yo'"):
        known_voice_language(espeak, "yo")


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sotto.toml"
    path.write_bytes(b'\xef\xbb\xbf[stt]\nlanguage = "de-DE"\n')
    assert load_settings(config=path).stt.language == "de"


def test_the_version_is_told_by_a_flag_too() -> None:
    told = CliRunner().invoke(app, ["--version"])
    assert (told.exit_code, told.output) == (0, f"{__version__}\n")
