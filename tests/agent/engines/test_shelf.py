"""What is told of each model: what it is for, how fast it is here, whether something uses it."""

from pathlib import Path
from typing import Any

import pytest

from agent.engines.candidates import Candidate, Choice
from agent.engines.estimated_speed import estimated_factor
from agent.engines.known_speeds import KnownSpeeds
from agent.engines.llm import llm_candidates
from agent.engines.session import SessionEngines
from agent.engines.shelf import describe_models, options_for, path_of, serves, speed_of
from agent.engines.speed import MAX_FACTOR, Speed
from agent.engines.stt import stt_candidates
from agent.engines.tts import tts_candidates
from agent.models.catalogue import CATALOGUE, Model, find, model_dir
from agent.models.purposes import purpose
from agent.settings.load import Settings, load_settings
from agent.settings.session import OptionError, describe_options, session_settings
from processors.errors import EngineUnavailableError
from tests.support.house import FIXTURES, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM

ENGINES = {"nemotron", "whisper", "moonshine", "embedded", "kokoro", "piper", "kitten"}
INT8 = Candidate[object]("kokoro", None, object, weights="kokoro-int8")
TWO_CORES = {"tiny.en": Speed(1.0, 0.41)}
ONE_OF_EACH = (
    "tiny",
    "base.en",
    "nemotron-en-560ms",
    "moonshine-tiny",
    "qwen3-0.6b",
    "kokoro-int8",
    "piper-joe",
    "kitten",
)


def lay(model: Model, models_dir: Path) -> None:
    """Put files of a model there; only their names are right."""
    directory = model_dir(models_dir, model)
    directory.mkdir(parents=True)
    for part in model.parts:
        (directory / part.name).write_bytes(b"GGUF")


def lay_piper(models_dir: Path, name: str) -> None:
    """A small voice in place of a real one, under the names of the catalogue."""
    model = find(name)
    directory = model_dir(models_dir, model)
    directory.mkdir(parents=True)
    for file in model.files:
        ending = ".onnx.json" if file.name.endswith(".json") else ".onnx"
        (directory / file.name).write_bytes((FIXTURES / "micro_piper" / f"one{ending}").read_bytes())


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return load_settings({"models_dir": tmp_path / "models"})


def test_each_model_says_in_plain_words_what_it_is_for() -> None:
    assert [model.name for model in CATALOGUE if purpose(model) == model.description] == []
    assert {model.engine for model in CATALOGUE} == ENGINES


@pytest.mark.parametrize("name", ONE_OF_EACH)
async def test_a_measured_speed_is_found_under_the_key_that_the_engine_was_measured_with(
    name: str, settings: Settings, tmp_path: Path
) -> None:
    model = find(name)
    lay(model, settings.models_dir)
    wanted = session_settings(settings, {**options_for(model)})
    section = getattr(wanted, model.stage).model_copy(update={"model": path_of(settings, model)})
    wanted = wanted.model_copy(update={model.stage: section})
    offered: list[Candidate[Any]] = [
        *{"stt": stt_candidates, "tts": tts_candidates}.get(model.stage, lambda _: [])(wanted),  # pyright: ignore
        *(await llm_candidates(wanted) if model.stage == "llm" else []),
    ]
    candidate = next(one for one in offered if one.engine == model.engine and one.usable)
    speeds = KnownSpeeds(tmp_path / "speeds.json")
    assert speed_of(speeds, model) is None
    speeds._speeds[speeds._key(model.stage, candidate)] = Speed(0.5, 0.25)
    assert speed_of(speeds, model) == Speed(0.5, 0.25)


def test_every_speed_can_be_estimated_from_the_ears_that_come_along() -> None:
    estimated = {model.name: estimated_factor(model, TWO_CORES) for model in CATALOGUE}
    assert [name for name, factor in estimated.items() if factor is None] == []
    # What was measured on that machine: a Piper voice keeps up, Kokoro does not; it answers at the pace of people.
    keeps_up = {name: (factor or 0) <= MAX_FACTOR for name, factor in estimated.items()}
    assert (keeps_up["piper-joe"], keeps_up["kokoro"], keeps_up["tiny"], keeps_up["large-v3"]) == (
        True,
        False,
        True,
        False,
    )
    # A machine that hears four times as fast speaks four times as fast, too.
    faster = estimated_factor(find("kokoro"), {"tiny.en": Speed(0.2, 0.41 / 4)})
    assert faster == pytest.approx(0.3)
    assert estimated_factor(find("kokoro"), {}) is None
    assert estimated_factor(find("kokoro"), {"unheard-of": Speed(1, 1)}) is None


@pytest.mark.parametrize(
    ("choice", "name", "expected"),
    [
        (Choice("stt", "whisper", "base", object()), "base", True),
        (Choice("stt", "whisper", "base.en", object()), "base", False),
        (Choice("stt", "moonshine", "base", object()), "base", False),
        (Choice("tts", "kokoro", "af_heart", object(), candidate=INT8), "kokoro-int8", True),
        (Choice("tts", "kokoro", "af_heart", object(), candidate=INT8), "kokoro", False),
        (Choice("tts", "piper", "piper-joe", object()), "piper-joe", True),
        (Choice("tts", "piper", "piper-joe", object()), "piper-cori", False),
        (Choice("tts", "espeak", "en-us", object()), "piper-joe", False),
        (Choice("llm", "embedded", "Qwen3-0.6B-Q8_0", object()), "qwen3-0.6b", True),
        (Choice("large", "embedded", "Qwen3-1.7B-Q8_0", object()), "qwen3-1.7b", True),
        (Choice("llm", "embedded", "", object()), "qwen3-1.7b", False),
        (Choice("llm", "ollama", "Qwen3-0.6B", object()), "qwen3-0.6b", False),
    ],
)
def test_whether_a_loaded_engine_runs_a_model(choice: Choice[object], name: str, *, expected: bool) -> None:
    assert serves(choice, find(name)) is expected


def test_a_voice_of_one_language_brings_its_language_along() -> None:
    assert options_for(find("piper-cori"))["tts.language"] == "en-gb"
    assert options_for(find("piper-thorsten"))["tts.language"] == "de"
    assert options_for(find("kitten"))["tts.language"] == "en-us"
    assert options_for(find("base.en"))["stt.language"] == "en"
    assert options_for(find("kokoro")) == {"tts.engine": "kokoro", "tts.model": "kokoro"}


async def test_what_is_told_of_every_model(settings: Settings) -> None:
    lay_piper(settings.models_dir, "piper-joe")
    ears = ScriptedRecognizerEngine()
    async with ScriptedLLM() as llm, hosting(ears, options(llm), ScriptedSynthesizer()) as host:
        host.stt = Choice("stt", "whisper", "tiny.en", ears, speed=TWO_CORES["tiny.en"])
        told = {model["name"]: model for model in describe_models(settings, host, [], [])}
        assert list(told) == [model.name for model in CATALOGUE]
        assert (told["tiny.en"]["in_use"], told["tiny.en"]["state"] in ("bundled", "absent")) == (True, True)
        assert (told["piper-joe"]["state"], told["piper-joe"]["in_use"]) == ("here", False)
        assert told["piper-joe"]["speed"]["kind"] == "estimated"
        assert told["kokoro"]["speed"] == {"kind": "estimated", "factor": 1.2, "first_secs": None, "keeps_up": False}
        recommended = [name for name, model in told.items() if model["recommended"]]
        assert "piper-joe" in recommended


async def test_a_conversation_that_names_a_model_gets_it_beside_the_servers_own(settings: Settings) -> None:
    lay_piper(settings.models_dir, "piper-joe")
    lay_piper(settings.models_dir, "piper-cori")
    async with ScriptedLLM() as llm, hosting(ScriptedRecognizerEngine(), options(llm), ScriptedSynthesizer()) as host:
        engines = SessionEngines(host, settings)
        joe = await engines.host_for(session_settings(settings, options_for(find("piper-joe"))))
        assert (joe.tts.engine, joe.tts.model, joe.stt) == ("piper", "piper-joe", host.stt)
        # The other one came later, or was there: it is loaded on its own.
        cori = await engines.host_for(session_settings(settings, options_for(find("piper-cori"))))
        assert cori.tts.model == "piper-cori"
        again = await engines.host_for(session_settings(settings, options_for(find("piper-joe"))))
        assert again.tts_threads is joe.tts_threads
        await engines.close()


async def test_engines_that_no_conversation_uses_make_room_and_can_be_let_go(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.engines.session.MAX_MORE_OF_A_STAGE", 1)
    joe, cori = find("piper-joe"), find("piper-cori")
    for model in (joe, cori):
        lay_piper(settings.models_dir, model.name)
    async with ScriptedLLM() as llm, hosting(ScriptedRecognizerEngine(), options(llm), ScriptedSynthesizer()) as host:
        engines = SessionEngines(host, settings)
        first = await engines.host_for(session_settings(settings, options_for(joe)))
        give_back = engines.lend(first)
        with pytest.raises(OptionError, match="too many engines are loaded"):
            await engines.host_for(session_settings(settings, options_for(cori)))
        await engines.let_go(lambda choice: serves(choice, joe))
        assert (await engines.host_for(session_settings(settings, options_for(joe)))).tts_threads is first.tts_threads
        give_back()
        assert (await engines.host_for(session_settings(settings, options_for(cori)))).tts.model == "piper-cori"
        await engines.let_go(lambda choice: serves(choice, cori))
        assert [voice for voice in engines.voices() if voice == "piper"] == []
        await engines.close()


async def test_a_model_that_the_server_has_loaded_is_not_loaded_again(settings: Settings) -> None:
    lay(find("base"), settings.models_dir)
    ears = ScriptedRecognizerEngine()
    async with ScriptedLLM() as llm, hosting(ears, options(llm), ScriptedSynthesizer()) as host:
        host.stt = Choice("stt", "whisper", "base", ears)
        engines = SessionEngines(host, settings)
        assert (await engines.host_for(session_settings(settings, options_for(find("base"))))).stt is host.stt


@pytest.mark.parametrize("path", ["/etc", "../models", "C:\\x", "a/b", "", " ", "Base", "x" * 65, "base\n"])
def test_a_page_names_models_and_no_paths(settings: Settings, path: object) -> None:
    for key in ("stt.model", "llm.model", "tts.model"):
        with pytest.raises(OptionError, match=f"{key} = .* is no name of `sotto models list`"):
            session_settings(settings, {key: path})


@pytest.mark.parametrize(
    ("wish", "line"),
    [
        ({"stt.model": "base"}, "stt.model = base is not here: `sotto models pull base` fetches it"),
        ({"stt.model": "piper-joe"}, "stt.model = piper-joe is a model of piper, and stt.engine = auto"),
        (
            {"stt.engine": "nemotron", "stt.model": "base"},
            "stt.model = base is a model of whisper, and stt.engine = nemotron",
        ),
        ({"tts.model": "nobody"}, "unknown model: 'nobody'"),
    ],
)
async def test_a_model_that_cannot_be_had_is_refused_in_one_line(
    settings: Settings, wish: dict[str, object], line: str
) -> None:
    async with ScriptedLLM() as llm, hosting(ScriptedRecognizerEngine(), options(llm), ScriptedSynthesizer()) as host:
        engines = SessionEngines(host, settings)
        with pytest.raises((OptionError, EngineUnavailableError)) as refused:
            await engines.host_for(session_settings(settings, wish))
        assert str(refused.value).startswith(line)


def test_a_path_of_the_servers_own_is_not_told(tmp_path: Path) -> None:
    settings = load_settings({"tts.model": str(tmp_path), "stt.model": "base"})
    told = describe_options(settings)
    assert (told["tts.model"]["value"], told["stt.model"]["value"]) == (None, "base")
