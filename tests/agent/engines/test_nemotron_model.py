"""Nemotron models on disk: broken ones are named in one line, whole ones are found by what the settings ask for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.engines.nemotron import nemotron_candidate
from agent.models.catalogue import find, model_dir
from agent.settings.load import load_settings
from processors.errors import EngineUnavailableError
from processors.onnx_outline import read_outline
from processors.stt.nemotron import NemotronEngine
from processors.stt.nemotron_export import read_export
from processors.stt.recognizer import TranscriptionRequest
from transports.recording import load_recording

PARTS = ("encoder", "decoder", "joiner")
ENGLISH_560, ENGLISH_160, MULTILINGUAL_560 = "nemotron-en-560ms", "nemotron-en-160ms", "nemotron-3.5-560ms"


@pytest.fixture
def export(fixtures_dir: Path, tmp_path: Path) -> Path:
    """A copy of the micro model, to be broken."""
    directory = tmp_path / "nemotron-en-160ms"
    directory.mkdir()
    for path in (fixtures_dir / "micro_nemotron").iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    return directory


def message_of_loading(directory: Path) -> str:
    with pytest.raises(EngineUnavailableError) as caught:
        NemotronEngine(directory)
    message = str(caught.value)
    assert "\n" not in message
    assert str(directory) in message
    assert message.endswith(": sotto models pull nemotron-en-160ms")
    return message


def edit_tokens(directory: Path, edit: Callable[[list[str]], list[str]]) -> None:
    path = directory / "tokens.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("".join(f"{line}\n" for line in edit(lines)), encoding="utf-8")


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of Protocol Buffers; a file may be added to by appending such."""
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def make_multilingual(directory: Path) -> None:
    """Give the encoder what tells a multilingual export: the input `prompt_index` and a dictionary of locales."""
    batch = field(1, field(2, b"B"))
    whole_numbers = field(2, field(1, b"\x08\x07" + field(2, batch)))
    graph = field(7, field(11, field(1, b"prompt_index") + whole_numbers))
    dictionary = b'{"auto": 101, "de-DE": 4, "en-US": 0, "es": 2}'
    metadata = [(b"prompt_dictionary", dictionary), (b"auto_prompt_id", b"101")]
    with (directory / "encoder.onnx").open("ab") as encoder:
        encoder.write(graph + b"".join(field(14, field(1, key) + field(2, value)) for key, value in metadata))


@pytest.mark.parametrize("part", PARTS)
def test_an_empty_part_is_named(export: Path, part: str) -> None:
    (export / f"{part}.onnx").write_bytes(b"")
    assert f"({part}.onnx: it is empty)" in message_of_loading(export)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_ends_too_early_is_named(export: Path, part: str) -> None:
    path = export / f"{part}.onnx"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert f"({part}.onnx: it ends too early)" in message_of_loading(export)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_no_model_is_named(export: Path, part: str) -> None:
    (export / f"{part}.onnx").write_bytes(b"<!DOCTYPE html><title>404</title>" * 40)
    assert f"({part}.onnx: it " in message_of_loading(export)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_in_anothers_place_is_named(export: Path, part: str) -> None:
    for other in set(PARTS) - {part}:
        whole = (export / f"{part}.onnx").read_bytes()
        (export / f"{part}.onnx").write_bytes((export / f"{other}.onnx").read_bytes())
        assert f"({part}.onnx is no " in message_of_loading(export)
        (export / f"{part}.onnx").write_bytes(whole)


@pytest.mark.parametrize("part", PARTS)
def test_spoiled_weights_are_refused_where_the_library_notices(export: Path, part: str) -> None:
    path = export / f"{part}.onnx"
    # The name of the first operator: no such one exists.
    whole = path.read_bytes()
    operator = {"encoder": b"Conv", "decoder": b"Gather", "joiner": b"Transpose"}[part]
    path.write_bytes(whole.replace(operator, b"X" * len(operator), 1))
    message_of_loading(export)


@pytest.mark.parametrize("missing", ["encoder.onnx", "decoder.onnx", "joiner.onnx", "tokens.txt"])
def test_a_missing_file_is_named(export: Path, missing: str) -> None:
    (export / missing).unlink()
    assert "(it lacks one of encoder*.onnx, decoder*.onnx, joiner*.onnx and tokens.txt)" in message_of_loading(export)


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda lines: [], "tokens.txt does not number its tokens from 0 to 78 as the encoder does"),
        (lambda lines: lines[5:], "tokens.txt does not number its tokens from 0 to 78 as the encoder does"),
        (lambda lines: lines[:-1], "tokens.txt does not number its tokens from 0 to 78 as the encoder does"),
        (lambda lines: [*lines[:-1], "▁end 78"], "tokens.txt does not end with <blk>"),
    ],
)
def test_tokens_that_do_not_fit_the_encoder_are_refused(
    export: Path, edit: Callable[[list[str]], list[str]], complaint: str
) -> None:
    edit_tokens(export, edit)
    assert complaint in message_of_loading(export)


def test_tokens_that_are_no_text_are_refused(export: Path) -> None:
    (export / "tokens.txt").write_bytes(b"\xff\xfe\x00" * 100)
    assert "tokens.txt is no UTF-8 text" in message_of_loading(export)


def test_an_outline_cut_anywhere_is_refused_or_lacks_what_is_behind_the_cut(export: Path) -> None:
    path = export / "decoder.onnx"
    whole, outline = path.read_bytes(), read_outline(path)
    for length in range(1, len(whole) - 200, 101):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"^it (ends too early|is no ONNX file)$"):
            read_outline(path)
    assert (outline.n_inputs, outline.n_outputs) == (4, 4)


def test_an_export_says_its_chunk_and_8_bit_files_come_first(export: Path) -> None:
    (export / "encoder.int8.onnx").write_bytes((export / "encoder.onnx").read_bytes())
    found = read_export(export)
    assert (found.chunk_ms, found.lookback_frames, found.output_frames) == (160, 9, 8)
    assert [path.name for path in (found.encoder, found.decoder)] == ["encoder.int8.onnx", "decoder.onnx"]
    assert (found.tokens[0], found.tokens[-1], len(found.tokens)) == ("▁Book", "<blk>", 79)
    assert found.languages is None


def test_a_multilingual_export_takes_the_languages_of_its_dictionary(export: Path, fixtures_dir: Path) -> None:
    make_multilingual(export)
    assert read_export(export).languages == {"de-de", "de", "en-us", "en", "es"}
    with pytest.raises(EngineUnavailableError, match=r"does not know stt\.language = 'ja'"):
        NemotronEngine(export, language="ja")
    audio_s16 = load_recording(fixtures_dir / "speech" / "how_far_is_the_moon.wav").audio_s16
    for language, reported in (("auto", None), ("de", "de")):
        engine = NemotronEngine(export, language=language)
        recognizer = engine.recognizer()
        recognizer.accept(audio_s16.tobytes())
        transcript = recognizer.finish()
        assert (transcript.text, transcript.language) == ("How far away is the moon?", reported)
        segments = engine.transcribe(audio_s16, TranscriptionRequest(language="es"))
        assert [segment.language for segment in segments] == ["es"]


def test_a_multilingual_export_with_an_unreadable_dictionary_is_refused(export: Path) -> None:
    with (export / "encoder.onnx").open("ab") as encoder:
        encoder.write(field(14, field(1, b"prompt_dictionary") + field(2, b"en=0")))
    assert "unreadable prompt_dictionary" in message_of_loading(export)


def installed(models_dir: Path, *names: str) -> None:
    for model in map(find, names):
        directory = model_dir(models_dir, model)
        directory.mkdir(parents=True)
        for part in model.parts:
            (directory / part.name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("on_disk", "stt", "chosen"),
    [
        ([ENGLISH_560, ENGLISH_160, MULTILINGUAL_560], {}, ENGLISH_560),
        ([ENGLISH_160, MULTILINGUAL_560], {}, ENGLISH_160),
        ([MULTILINGUAL_560], {}, MULTILINGUAL_560),
        ([ENGLISH_560, ENGLISH_160], {"stt.chunk_ms": 160}, ENGLISH_160),
        ([ENGLISH_560, MULTILINGUAL_560], {"stt.language": "de"}, MULTILINGUAL_560),
        ([ENGLISH_560, MULTILINGUAL_560], {"stt.language": "auto"}, MULTILINGUAL_560),
        ([ENGLISH_560], {"stt.language": "auto"}, ENGLISH_560),
        ([ENGLISH_560, ENGLISH_160], {"stt.model": ENGLISH_160}, ENGLISH_160),
    ],
)
def test_the_best_installed_model_for_the_language_and_the_chunk_is_taken(
    tmp_path: Path, on_disk: list[str], stt: dict[str, str | int], chosen: str
) -> None:
    installed(tmp_path, *on_disk)
    candidate = nemotron_candidate(load_settings({"models_dir": tmp_path, **stt}))
    assert (candidate.engine, candidate.model, candidate.reason) == ("nemotron", chosen, None)


@pytest.mark.parametrize(
    ("on_disk", "stt", "reason", "mend"),
    [
        ([], {}, "no model for stt.language = en is installed", f"sotto models pull {ENGLISH_560}"),
        (
            [ENGLISH_560],
            {"stt.language": "de"},
            "no model for stt.language = de is installed",
            f"sotto models pull {MULTILINGUAL_560}",
        ),
        (
            [ENGLISH_560],
            {"stt.chunk_ms": 160},
            "no model for stt.language = en and stt.chunk_ms = 160 is installed",
            f"sotto models pull {ENGLISH_160}",
        ),
        (
            [],
            {"stt.model": ENGLISH_560},
            f"model {ENGLISH_560} is not installed",
            f"sotto models pull {ENGLISH_560}",
        ),
        (
            [ENGLISH_560],
            {"stt.model": "base.en"},
            "stt.model = base.en is a model of whisper",
            "leave stt.model unset or name one of nemotron",
        ),
        (
            [ENGLISH_560],
            {"stt.model": "nonesuch"},
            "stt.model = nonesuch is neither a known model nor a directory with encoder*.onnx, decoder*.onnx, "
            "joiner*.onnx and tokens.txt",
            "sotto models list",
        ),
        (
            [ENGLISH_560],
            {"stt.task": "translate"},
            "it does not translate (stt.task = translate)",
            "sotto models pull base",
        ),
    ],
)
def test_what_cannot_be_used_says_why_and_what_mends_it(
    tmp_path: Path, on_disk: list[str], stt: dict[str, str | int], reason: str, mend: str
) -> None:
    installed(tmp_path, *on_disk)
    candidate = nemotron_candidate(load_settings({"models_dir": tmp_path, **stt}))
    assert (candidate.usable, candidate.reason, candidate.mend) == (False, reason, mend)
    with pytest.raises(EngineUnavailableError):
        candidate.load()


def test_a_directory_with_an_export_is_loaded(export: Path, tmp_path: Path) -> None:
    settings = load_settings({"models_dir": tmp_path / "empty", "stt.model": str(export), "stt.threads": 1})
    candidate = nemotron_candidate(settings)
    assert (candidate.model, candidate.reason) == ("nemotron-en-160ms", None)
    engine = candidate.load()
    assert (engine.name, engine.model) == ("nemotron", "nemotron-en-160ms")
    engine.close()


def test_a_file_that_only_looks_installed_is_refused_when_it_loads(tmp_path: Path) -> None:
    installed(tmp_path, ENGLISH_560)
    candidate = nemotron_candidate(load_settings({"models_dir": tmp_path}))
    with pytest.raises(
        EngineUnavailableError, match=r"encoder\.int8\.onnx: it .*: sotto models pull nemotron-en-560ms$"
    ):
        candidate.load()
