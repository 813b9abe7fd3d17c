"""Where other tools keep the same files: Hugging Face's cache, Ollama's models, LM Studio's folders, our own.

Sources of the layouts: huggingface_hub's "Manage your cache" (blobs of large files are named by their sha256,
snapshots link to them), Ollama's server (blobs named `sha256-<hex>`), LM Studio's `models/publisher/name/file`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.models.sources.file import ModelFile

HUB = "https://huggingface.co"
OLLAMA_SERVICE = Path("/usr/share/ollama/.ollama/models")  # where its installer for Linux lets the service keep them

_HUB_PATH = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<commit>[^/]+)/(?P<path>.+)")


@dataclass(frozen=True)
class OtherTools:
    """What the environment says of them.

    Attributes:
        hugging_face, ollama, lm_studio: Their folders, whether or not they exist.
        hub: Where the hub is.
        hub_mirror: HF_ENDPOINT, if it names another server.
        hub_token: HF_TOKEN, which the hub alone may see.
        is_hub_barred: HF_HUB_OFFLINE is set.
    """

    hugging_face: tuple[Path, ...] = ()
    ollama: tuple[Path, ...] = ()
    lm_studio: tuple[Path, ...] = ()
    hub: str = HUB
    hub_mirror: str | None = None
    hub_token: str | None = None
    is_hub_barred: bool = False

    @classmethod
    def of(cls, environment: Mapping[str, str], home: Path) -> "OtherTools":
        """Read it as the tools themselves would.

        Args:
            environment: Names and values; empty values count as unset.
            home: The user's folder.
        """
        known = {name: value for name, value in environment.items() if value}
        cache = Path(known.get("XDG_CACHE_HOME", home / ".cache"))
        hugging_face = Path(known.get("HF_HOME", cache / "huggingface")) / "hub"
        for name in ("HUGGINGFACE_HUB_CACHE", "HF_HUB_CACHE"):
            hugging_face = Path(known.get(name, hugging_face))
        ollama = Path(known["OLLAMA_MODELS"]) if "OLLAMA_MODELS" in known else home / ".ollama" / "models"
        endpoint = known.get("HF_ENDPOINT", HUB).rstrip("/")
        return cls(
            hugging_face=(hugging_face.expanduser(),),
            ollama=(ollama.expanduser(), OLLAMA_SERVICE),
            lm_studio=(home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"),
            hub_mirror=None if endpoint == HUB else endpoint,
            hub_token=known.get("HF_TOKEN"),
            is_hub_barred=known.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"),
        )

    def in_hugging_face(self, file: ModelFile) -> Iterator[tuple[Path, Path]]:
        """Blobs named by the sha256, of whatever repository; then the file's own snapshot, for small files."""
        for cache in self.hugging_face:
            yield from ((blob, cache) for blob in _sorted_glob(cache, f"models--*/blobs/{file.sha256}"))
            address = _HUB_PATH.fullmatch(file.url.removeprefix(self.hub))
            if address:
                repo = cache / f"models--{address['repo'].replace('/', '--')}" / "snapshots"
                yield from ((path, cache) for path in _sorted_glob(repo, f"*/{address['path']}"))

    def in_ollama(self, file: ModelFile) -> Iterator[tuple[Path, Path]]:
        """The blob of the sha256."""
        for folder in self.ollama:
            yield folder / "blobs" / f"sha256-{file.sha256}", folder

    def in_lm_studio(self, file: ModelFile) -> Iterator[tuple[Path, Path]]:
        """Files of the same name, of any publisher."""
        for folder in self.lm_studio:
            yield from ((path, folder) for path in _sorted_glob(folder, f"*/*/{file.name}"))


def in_models_dir(models_dir: Path, file: ModelFile) -> Iterator[tuple[Path, Path]]:
    """The same file of another model: tokenizers and voices are shared."""
    for path in _sorted_glob(models_dir, f"*/*/{file.name}"):
        yield path, models_dir


def _sorted_glob(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:  # another user's folder
        return []
