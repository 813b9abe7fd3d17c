"""The models that sotto can fetch, and where each lies on disk.

In:  a model name, the models directory.   Out: its files with address, size and checksum; its directory.

Nothing here touches the network. A model's files lie in `<models_dir>/<stage>/<name>/`, under the names of
this catalogue. Hub addresses name a commit, so that address and sha256 belong together. Sizes and checksums
were gathered from public projects that pin the same files and agree on them.
"""

import difflib
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from agent.errors import InputError

Stage = Literal["stt", "llm", "tts"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class CatalogueError(InputError):
    """A model name is unknown; the message names it and the close ones."""


@dataclass(frozen=True)
class ModelFile:
    """One file of a model.

    Attributes:
        name: Plain file name, the same on the server and on disk.
        url: http or https address.
        size_bytes: Exact size; a file of any other size is not this file.
        sha256: Lower-case hex digest, None where none is published.

    Raises:
        ValueError: The name could leave its directory, or another field is malformed.
    """

    name: str
    url: str
    size_bytes: int
    sha256: str | None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"not a plain file name: {self.name!r}")
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"not an http(s) address: {self.url!r}")
        if self.size_bytes <= 0:
            raise ValueError(f"{self.name}: size must be positive, not {self.size_bytes}")
        if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"{self.name}: not a sha256 in lower-case hex: {self.sha256!r}")


@dataclass(frozen=True)
class Model:
    """A model of one stage.

    Attributes:
        name: What the user types; also its directory's name.
        stage: Which step of the conversation it serves.
        engine: The engine that loads it: whisper, embedded or kokoro.
        description: One line for people.
        language: ISO 639-1 code, or `multilingual`.
        licence: SPDX identifier of the weights.
        files: All of them are needed.

    Raises:
        ValueError: The name could leave its directory.
    """

    name: str
    stage: Stage
    engine: str
    description: str
    language: str
    licence: str
    files: tuple[ModelFile, ...]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"not a plain model name: {self.name!r}")

    @property
    def size_bytes(self) -> int:  # of all files
        return sum(file.size_bytes for file in self.files)


_FileFacts = tuple[str, int, str]  # name, size in bytes, sha256


def _from_hub(repo_at_commit: str, *facts: _FileFacts) -> tuple[ModelFile, ...]:
    repo, _, commit = repo_at_commit.partition("@")
    base = f"https://huggingface.co/{repo}/resolve/{commit}"
    return tuple(ModelFile(name, f"{base}/{name}", size, sha256) for name, size, sha256 in facts)


def _whisper(language: str, name: str, repo_at_commit: str, description: str, *facts: _FileFacts) -> Model:
    return Model(name, "stt", "whisper", description, language, "MIT", _from_hub(repo_at_commit, *facts))


_english = partial(_whisper, "en")
_multilingual = partial(_whisper, "multilingual")


def _qwen3(parameters: str, description: str, commit: str, size_bytes: int, sha256: str) -> Model:
    facts = (f"Qwen3-{parameters}-Q8_0.gguf", size_bytes, sha256)
    files = _from_hub(f"Qwen/Qwen3-{parameters}-GGUF@{commit}", facts)
    return Model(f"qwen3-{parameters}".lower(), "llm", "embedded", description, "multilingual", "Apache-2.0", files)


def _kokoro(name: str, file_name: str, description: str, size_bytes: int, sha256: str) -> Model:
    files = tuple(
        ModelFile(name, f"{_KOKORO_RELEASE}/{name}", size, digest)
        for name, size, digest in ((file_name, size_bytes, sha256), _VOICES)
    )
    return Model(name, "tts", "kokoro", description, "multilingual", "Apache-2.0", files)


# Release 1.1 holds the same Kokoro v1.0 weights as 1.0, exported with a duration output: word timings.
_KOKORO_RELEASE = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.1"
_VOICES = ("voices-v1.0.bin", 28_214_398, "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d")

# Files that several Whisper repositories share, byte for byte.
_ENGLISH_TEXT = (
    ("tokenizer.json", 2_128_466, "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
    ("vocabulary.txt", 422_309, "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"),
)
_MULTILINGUAL_TEXT = (
    ("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
    ("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
)
_V3_COMMON = (
    ("preprocessor_config.json", 340, "7ccc62c6f2765af1f3b46c00c9b5894426835a05021c8b9c01eecb6dfb542711"),
    ("vocabulary.json", 1_068_114, "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1"),
)
_V3_TEXT = (
    *_V3_COMMON,
    ("tokenizer.json", 2_480_617, "6d8cbd7cd0d8d5815e478dac67b85a26bbe77c1f5e0c6d76d1ce2abc0e5f21ca"),
)
_V3_TURBO_TEXT = (
    *_V3_COMMON,
    ("tokenizer.json", 2_710_337, "297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd"),
)

# Word error rates: English averages of the Hugging Face open ASR leaderboard.
_WHISPER_MODELS = (
    _english(
        "tiny.en",
        "Systran/faster-whisper-tiny.en@0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        "Whisper tiny, English: 11.7 % word errors",
        ("config.json", 2_317, "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
        ("model.bin", 75_537_502, "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
        *_ENGLISH_TEXT,
    ),
    _multilingual(
        "tiny",
        "Systran/faster-whisper-tiny@d90ca5fe260221311c53c58e660288d3deb8d356",
        "Whisper tiny, 99 languages",
        ("config.json", 2_249, "a73a28cdfe1c43ccc7202fa333d1f89c202477271407ae9a7f19afa52039cac8"),
        ("model.bin", 75_538_270, "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1"),
        *_MULTILINGUAL_TEXT,
    ),
    _english(
        "base.en",
        "Systran/faster-whisper-base.en@3d3d5dee26484f91867d81cb899cfcf72b96be6c",
        "Whisper base, English: 10.1 % word errors",
        ("config.json", 2_227, "f3bc3821e9fc76a27bae538e11ae5b677dcdd352b4600429ce7951d398569aeb"),
        ("model.bin", 145_216_508, "2a166925539a16005f14ff328359f9b9adb9dc4fb631bb3b227526862e93e2ef"),
        *_ENGLISH_TEXT,
    ),
    _multilingual(
        "base",
        "Systran/faster-whisper-base@ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        "Whisper base, 99 languages",
        ("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
        ("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
        *_MULTILINGUAL_TEXT,
    ),
    _english(
        "small.en",
        "Systran/faster-whisper-small.en@d1d751a5f8271d482d14ca55d9e2deeebbae577f",
        "Whisper small, English: 8.3 % word errors",
        ("config.json", 2_657, "666a9605530ac1f61fa8177f3702b4dacec9966749e42610839fcc32661d5fae"),
        ("model.bin", 483_545_366, "62b2a45b05ee59acb4a5341b33ee35e041395d378d418a18acfe4c9e768ee37a"),
        *_ENGLISH_TEXT,
    ),
    _multilingual(
        "small",
        "Systran/faster-whisper-small@536b0662742c02347bc0e980a01041f333bce120",
        "Whisper small, 99 languages",
        ("config.json", 2_370, "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828"),
        ("model.bin", 483_546_902, "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671"),
        *_MULTILINGUAL_TEXT,
    ),
    _english(
        "medium.en",
        "Systran/faster-whisper-medium.en@a29b04bd15381511a9af671baec01072039215e3",
        "Whisper medium, English",
        ("config.json", 2_643, "4a1848ebabe7938d9797c15a2e8e4ce1d36e6fd4a43d096ae5955257c67c7962"),
        ("model.bin", 1_527_904_330, "11b220779aea4c6f3ce9d2549c8a95ea869ed84066864b999531ef53e594fe5b"),
        *_ENGLISH_TEXT,
    ),
    _english(
        "distil-large-v3",
        "Systran/faster-distil-whisper-large-v3@c3058b475261292e64a0412df1d2681c06260fab",
        "Distil-Whisper large v3, English: distilled for speed",
        ("config.json", 2_690, "90c55f775cc4e0bb17293d0bf12f96557a486f20dea886fabd8e6075a3588b21"),
        ("model.bin", 1_512_927_867, "b79368e19b6623813609431a6e5ee309a71506701ebc49fd7820e692dec7c5f5"),
        *_V3_TEXT,
    ),
    _multilingual(
        "large-v3-turbo",
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo@0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
        "Whisper large v3 turbo, 99 languages: 7.1 % word errors",
        ("config.json", 2_263, "b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e"),
        ("model.bin", 1_617_884_929, "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da"),
        *_V3_TURBO_TEXT,
    ),
    _multilingual(
        "large-v3",
        "Systran/faster-whisper-large-v3@edaa852ec7e145841d8ffdb056a99866b5f0a478",
        "Whisper large v3, 99 languages: the largest and slowest",
        ("config.json", 2_394, "a9306624f5ec14270a014b647e5c316b6e03a662c369758d1b90697a7b0655b9"),
        ("model.bin", 3_087_284_237, "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1"),
        *_V3_TEXT,
    ),
)

_LANGUAGE_MODELS = (
    _qwen3(
        "0.6B",
        "Qwen3 0.6B chat, 8 bits: the quicker one",
        "23749fefcc72300e3a2ad315e1317431b06b590a",
        639_446_688,
        "9465e63a22add5354d9bb4b99e90117043c7124007664907259bd16d043bb031",
    ),
    _qwen3(
        "1.7B",
        "Qwen3 1.7B chat, 8 bits: the better answers",
        "90862c4b9d2787eaed51d12237eafdfe7c5f6077",
        1_834_426_016,
        "061b54daade076b5d3362dac252678d17da8c68f07560be70818cace6590cb1a",
    ),
)

_VOICE_MODELS = (
    _kokoro(
        "kokoro",
        "kokoro-v1.0.onnx",
        "Kokoro 82M, 54 voices, full precision",
        325_505_369,
        "beb0d1848dee9a49da392cc3df26958d46cfa35d321edf434f52949153f0df3a",
    ),
    _kokoro(
        "kokoro-int8",
        "kokoro-v1.0.int8.onnx",
        "Kokoro 82M, 54 voices, 8 bits: the smallest, less faithful",
        114_119_327,
        "ae315a79b623f244700e4afb9246c46a26066782e049ba174bf3ba433970ee9c",
    ),
)

CATALOGUE: tuple[Model, ...] = _WHISPER_MODELS + _LANGUAGE_MODELS + _VOICE_MODELS
RECOMMENDED: tuple[str, ...] = ("base.en", "qwen3-0.6b", "kokoro")  # one a stage, the small ones


def find(name: str) -> Model:
    """The model of that name.

    Raises:
        CatalogueError: There is none; the message names the close ones.
    """
    by_name = {model.name: model for model in CATALOGUE}
    if name in by_name:
        return by_name[name]
    close = difflib.get_close_matches(name.lower(), by_name, n=3, cutoff=0.5)
    hint = f"did you mean {', '.join(close)}? " if close else ""
    raise CatalogueError(f"unknown model: {name!r}: {hint}`sotto models list` shows them all")


def model_dir(models_dir: Path, model: Model) -> Path:
    """Where the model's files lie, whether or not they are there."""
    return models_dir / model.stage / model.name


def is_installed(models_dir: Path, model: Model) -> bool:
    """Whether every file is there under its final name and not empty; partial downloads have other names."""
    paths = [model_dir(models_dir, model) / file.name for file in model.files]
    return all(path.is_file() and path.stat().st_size > 0 for path in paths)


def installed(models_dir: Path, stage: Stage) -> tuple[Model, ...]:
    """The stage's installed models, in the order of the catalogue."""
    return tuple(model for model in CATALOGUE if model.stage == stage and is_installed(models_dir, model))
