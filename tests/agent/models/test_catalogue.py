"""The catalogue: names, addresses, checksums, and what counts as installed."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agent.models.catalogue import (
    CATALOGUE,
    CatalogueError,
    Member,
    Model,
    ModelFile,
    find,
    installed,
    is_installed,
    model_dir,
)

SHA256 = "0" * 64
FILES = [(model, file) for model in CATALOGUE for file in model.files]


def put(models_dir: Path, model: Model, content: bytes = b"x") -> None:
    directory = model_dir(models_dir, model)
    directory.mkdir(parents=True)
    for part in model.parts:
        (directory / part.name).write_bytes(content)


def test_no_two_models_share_a_name() -> None:
    names = [model.name for model in CATALOGUE]
    assert sorted(names) == sorted(set(names))


def test_no_two_files_of_a_model_share_a_name() -> None:
    for model in CATALOGUE:
        names = [file.name for file in model.files]
        assert sorted(names) == sorted(set(names)), model.name


def test_every_file_is_fetched_over_https_under_its_own_name() -> None:
    for model, file in FILES:
        address = urlsplit(file.url)
        assert (address.scheme, address.path.rpartition("/")[2]) == ("https", file.name), model.name


def test_every_hub_address_names_a_commit_so_that_a_moved_branch_cannot_break_the_checksum() -> None:
    for model, file in FILES:
        address = urlsplit(file.url)
        if address.hostname == "huggingface.co":
            assert re.fullmatch(r"/[\w.-]+/[\w.-]+/resolve/[0-9a-f]{40}(/[\w.-]+)+", address.path), model.name


def test_every_file_has_a_checksum_and_equal_checksums_mean_equal_sizes() -> None:
    sizes: dict[str, int] = {}
    for model, file in FILES:
        assert file.sha256 is not None, f"{model.name}/{file.name}"
        assert sizes.setdefault(file.sha256, file.size_bytes) == file.size_bytes


def test_every_whisper_model_has_the_files_that_faster_whisper_loads() -> None:
    for model in CATALOGUE:
        if model.engine == "whisper":
            names = {file.name for file in model.files}
            assert {"config.json", "model.bin", "tokenizer.json"} <= names, model.name
            assert len(names & {"vocabulary.txt", "vocabulary.json"}) == 1, model.name


def test_every_nemotron_model_is_an_archive_with_the_files_that_sherpa_onnx_loads() -> None:
    models = [model for model in CATALOGUE if model.engine == "nemotron"]
    assert [model.name for model in models] == [
        "nemotron-en-560ms",
        "nemotron-en-1120ms",
        "nemotron-en-160ms",
        "nemotron-en-80ms",
        "nemotron-3.5-560ms",
        "nemotron-3.5-160ms",
        "nemotron-3.5-320ms",
        "nemotron-3.5-1120ms",
        "nemotron-3.5-80ms",
    ]
    for model in models:
        chunk = model.name.rpartition("-")[2]
        assert model.archive is not None
        assert f"-{chunk}-int8-" in model.archive.name
        assert [member.name for member in model.members] == [
            "encoder.int8.onnx",
            "decoder.int8.onnx",
            "joiner.int8.onnx",
            "tokens.txt",
        ]


def test_a_nemotron_model_is_fetched_as_464_megabytes_and_takes_662() -> None:
    model = find("nemotron-en-560ms")
    assert model.size_bytes == 463_945_051
    # 652 916 849 + 7 257 753 + 1 735 862 + 8 952
    assert sum(member.size_bytes for member in model.members) == 661_919_416


def test_a_model_of_plain_files_has_no_archive() -> None:
    model = find("kokoro")
    assert (model.archive, model.parts) == (None, model.files)


def test_base_en_is_a_directory_of_four_files_and_148_megabytes() -> None:
    model = find("base.en")
    assert model_dir(Path("models"), model) == Path("models/stt/base.en")
    assert [file.name for file in model.files] == ["config.json", "model.bin", "tokenizer.json", "vocabulary.txt"]
    # 2 227 + 145 216 508 + 2 128 466 + 422 309
    assert model.size_bytes == 147_769_510


def test_an_unknown_name_is_refused_with_the_close_ones_and_the_command_that_lists_them() -> None:
    with pytest.raises(CatalogueError) as caught:
        find("Base-EN")
    assert str(caught.value) == (
        "unknown model: 'Base-EN': did you mean base.en, base? `sotto models list` shows them all"
    )
    assert caught.value.exit_status == 2


def test_a_name_like_no_other_is_refused_without_a_guess() -> None:
    with pytest.raises(CatalogueError, match=r"^unknown model: '': `sotto models list` shows them all$"):
        find("")


@pytest.mark.parametrize("name", ["", ".", "..", "../model.bin", "a/b", "a\\b", "/etc/passwd", "C:x", "a\0", ".hidden"])
def test_a_file_name_that_could_leave_its_directory_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a plain file name"):
        ModelFile(name, "https://example.com/x", 1, SHA256)


@pytest.mark.parametrize("name", ["..", "../x", "a/b", ""])
def test_a_model_name_that_could_leave_its_directory_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a plain model name"):
        Model(name, "stt", "whisper", "", "en", "MIT", ())


@pytest.mark.parametrize("url", ["ftp://example.com/x", "file:///etc/passwd", "example.com/x", ""])
def test_an_address_that_is_not_http_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"not an http\(s\) address"):
        ModelFile("x", url, 1, SHA256)


@pytest.mark.parametrize("sha256", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64])
def test_a_malformed_checksum_is_refused(sha256: str) -> None:
    with pytest.raises(ValueError, match="not a sha256"):
        ModelFile("x", "https://example.com/x", 1, sha256)


def test_a_file_of_no_size_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be positive, not 0"):
        ModelFile("x", "https://example.com/x", 0, SHA256)


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/a", ""])
def test_a_member_that_could_leave_its_directory_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a plain file name"):
        Member(name, 1)


def test_a_member_of_no_size_is_refused() -> None:
    with pytest.raises(ValueError, match="x: size must be positive, not 0"):
        Member("x", 0)


@pytest.mark.parametrize(
    "files",
    [
        (),
        (ModelFile("x.tar.bz2", "https://example.com/x.tar.bz2", 1, None),),
        (ModelFile("x.tar", "https://example.com/x.tar", 1, SHA256),),
        (
            ModelFile("x.tar.bz2", "https://example.com/x.tar.bz2", 1, SHA256),
            ModelFile("y.tar.bz2", "https://example.com/y.tar.bz2", 1, SHA256),
        ),
    ],
)
def test_members_without_one_archive_with_a_checksum_are_refused(files: tuple[ModelFile, ...]) -> None:
    with pytest.raises(ValueError, match=r"^m: members need one \.tar\.bz2 file with a checksum$"):
        Model("m", "stt", "nemotron", "", "en", "MIT", files, (Member("x", 1),))


def test_an_archive_model_is_installed_by_what_is_unpacked_and_not_by_the_archive(tmp_path: Path) -> None:
    model = find("nemotron-en-560ms")
    assert model.archive is not None
    directory = model_dir(tmp_path, model)
    directory.mkdir(parents=True)
    (directory / model.archive.name).write_bytes(b"x")
    assert not is_installed(tmp_path, model)
    for member in model.members:
        assert not is_installed(tmp_path, model)
        (directory / member.name).write_bytes(b"x")
    assert is_installed(tmp_path, model)


def test_a_model_is_installed_when_every_file_is_there(tmp_path: Path) -> None:
    put(tmp_path, find("tiny"))
    assert is_installed(tmp_path, find("tiny"))
    assert not is_installed(tmp_path, find("base"))


def test_a_model_with_a_missing_an_empty_or_a_partial_file_is_not_installed(tmp_path: Path) -> None:
    model = find("tiny")
    put(tmp_path, model)
    weights = model_dir(tmp_path, model) / "model.bin"
    weights.write_bytes(b"")
    assert not is_installed(tmp_path, model)
    weights.rename(weights.with_name("model.bin.part"))
    assert not is_installed(tmp_path, model)
    weights.mkdir()
    assert not is_installed(tmp_path, model)


def test_installed_lists_one_stage_in_the_order_of_the_catalogue(tmp_path: Path) -> None:
    for name in ("small", "kokoro", "tiny.en", "nemotron-3.5-160ms"):
        put(tmp_path, find(name))
    assert [model.name for model in installed(tmp_path, "stt")] == ["nemotron-3.5-160ms", "tiny.en", "small"]
    assert [model.name for model in installed(tmp_path, "tts")] == ["kokoro"]
    assert installed(tmp_path / "absent", "llm") == ()
