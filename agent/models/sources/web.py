"""The source on the web: the hub or a release, or a mirror of them.

In:  a file's address, a directory.   Out: the file under its final name, or a part that a later call continues.
"""

from dataclasses import dataclass, field
from pathlib import Path

import httpx

from agent import __version__
from agent.errors import InputError
from agent.models.sources.file import ModelFile, Progress
from agent.models.sources.other_tools import HUB, OtherTools
from agent.models.sources.source import SourceError
from agent.models.sources.transfer import Transfer, UnreachableError

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)


@dataclass
class Web:
    """Addresses of the catalogue, or of a mirror in their place.

    Attributes:
        mirror: An address that all paths follow, in place of the original servers.
        tools: HF_ENDPOINT, which stands in for the hub alone, HF_TOKEN and HF_HUB_OFFLINE.

    Raises:
        InputError: A mirror is not an http(s) address.
    """

    mirror: str | None = None
    tools: OtherTools = field(default_factory=OtherTools)
    is_remote: bool = True

    def __post_init__(self) -> None:
        if self.mirror is not None:
            mirror_url(HUB, self.mirror)
        elif self.tools.hub_mirror is not None:
            mirror_url(HUB, self.tools.hub_mirror, "HF_ENDPOINT")
        self._client: httpx.Client | None = None
        self._reached: set[str] = set()
        self._given_up: set[str] = set()

    def close(self) -> None:
        """End the connections."""
        if self._client is not None:
            self._client.close()

    def origin(self, file: ModelFile) -> str | None:
        """The server."""
        return httpx.URL(self._address(file)).host

    def fetch(self, file: ModelFile, directory: Path, progress: Progress) -> None:
        """Fetch the file, going on with the part that an earlier call has left.

        Raises:
            SourceError: It cannot be had; a server that did not answer is not asked a second time.
            OSError: The disk.
        """
        url = self._address(file)
        server = httpx.URL(url).netloc.decode()
        if server in self._given_up:
            raise SourceError(f"{httpx.URL(url).host} did not answer before", is_known=True)
        if self.tools.is_hub_barred and _starts_with(url, self.tools.hub):
            raise SourceError("HF_HUB_OFFLINE bars the hub")
        if self._client is None:
            self._client = _client()
        headers = self._headers(url)
        transfer = Transfer(self._client, file, url, headers, directory, progress, server in self._reached)
        try:
            transfer.run()
        except SourceError as error:
            if error.resumes or isinstance(error, UnreachableError):
                self._given_up.add(server)
            raise
        finally:
            if transfer.reached:
                self._reached.add(server)

    def _address(self, file: ModelFile) -> str:
        if self.mirror is not None:
            return mirror_url(file.url, self.mirror)
        if self.tools.hub_mirror is not None and _starts_with(file.url, self.tools.hub):
            return mirror_url(file.url, self.tools.hub_mirror, "HF_ENDPOINT")
        return file.url

    def _headers(self, url: str) -> dict[str, str]:
        """The token, for the hub itself; httpx leaves it out where a redirect leads to another server."""
        if self.tools.hub_token is None or not _starts_with(url, self.tools.hub):
            return {}
        return {"Authorization": f"Bearer {self.tools.hub_token}"}


def mirror_url(url: str, mirror: str, named: str = "--mirror") -> str:
    """The address of a file on a mirror: the mirror, then the path of the original address.

    `https://huggingface.co/a/b` on `http://cache.local:8080/hub/` is `http://cache.local:8080/hub/a/b`.

    Args:
        url: The original.
        mirror: The mirror's address.
        named: Where the user has written it.

    Raises:
        InputError: The mirror is not a plain http(s) address.
    """
    try:
        base = httpx.URL(mirror)
    except httpx.InvalidURL:
        base = httpx.URL()
    plain = base.scheme in ("http", "https") and base.host and not base.query and not base.fragment
    if not plain or not 0 < (base.port or 80) < 65536:
        raise InputError(f"{named} {mirror!r}: expected an address such as https://mirror.example/path")
    return str(base.copy_with(raw_path=base.raw_path.rstrip(b"/") + httpx.URL(url).raw_path))


def _starts_with(url: str, server: str) -> bool:
    return url.startswith(f"{server}/")


def _client() -> httpx.Client:
    # A compressed body could not be continued at a byte of the file.
    headers = {"User-Agent": f"sotto/{__version__}", "Accept-Encoding": "identity"}
    try:
        return httpx.Client(headers=headers, timeout=_TIMEOUT, follow_redirects=True)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise SourceError(f"the proxy of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY is no use: {error}") from error
