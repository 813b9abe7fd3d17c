"""One file of a model on its way from a server to the disk.

In:  an address, a directory.   Out: the file under its final name, or a part that a later call continues.

A file grows as `NAME.part` beside its place and takes its name only when size and checksum are right.
`NAME.part.json` keeps what the server said of the version (ETag or Last-Modified), so that a part is never
continued with the bytes of another version (RFC 9110, If-Range).
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpx

from agent.models.sources.file import (
    ModelFile,
    Progress,
    WrongContentError,
    hash_file,
    part_path,
    publish,
    sidecar_path,
    size_on_disk,
)
from agent.models.sources.other_tools import HUB
from agent.models.sources.source import SourceError

BACKOFF_SECS = (0.5, 1.0, 2.0, 4.0)  # waits between the attempts at one file; one attempt more than waits

_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED_STATUS = frozenset({401, 403})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class _InterruptedError(Exception):
    """An attempt broke off; another one may continue it."""


class UnreachableError(SourceError):
    """The server cannot be reached at all."""


@dataclass
class Transfer:
    """One file on its way; `run` returns when it stands, whole and checked, under its final name."""

    client: httpx.Client
    file: ModelFile
    url: str
    headers: Mapping[str, str]
    directory: Path
    progress: Progress
    reached: bool  # the server has answered before; a refused connection is then worth another attempt

    def __post_init__(self) -> None:
        self.part = part_path(self.directory, self.file)
        self.sidecar = sidecar_path(self.part)
        self.digest = hashlib.sha256()

    def run(self) -> None:
        for wait_secs in (*BACKOFF_SECS, None):
            try:
                self._attempt()
                break
            except _InterruptedError as error:
                if wait_secs is None:
                    raise SourceError(
                        f"{error}, {len(BACKOFF_SECS) + 1} times ({size_on_disk(self.part)} of"
                        f" {self.file.size_bytes} bytes are here)",
                        resumes=True,
                    ) from error
                time.sleep(wait_secs)
        try:
            publish(self.part, self.digest, self.file, self.directory)
        except WrongContentError as error:
            self.sidecar.unlink(missing_ok=True)
            raise SourceError(f"wrong checksum from {_shown(self.url)}: {error}") from error

    def _attempt(self) -> None:
        done = self._begin()
        if done == self.file.size_bytes:
            return
        headers = {"Range": f"bytes={done}-", **self._if_range(), **self.headers} if done else self.headers
        try:
            with self.client.stream("GET", self.url, headers=headers) as response:
                self.reached = True
                self._receive(response, done)
        except (httpx.UnsupportedProtocol, httpx.TooManyRedirects, httpx.InvalidURL) as error:
            raise SourceError(f"bad redirect from {_shown(self.url)} ({error})") from error
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
            if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError) and not self.reached:
                host = httpx.URL(self.url).host
                raise UnreachableError(f"{host} cannot be reached ({why}; {_cause(error)})") from error
            raise _InterruptedError(f"the connection broke ({why})") from error

    def _begin(self) -> int:
        """Bytes to continue from; the digest covers them. A part that cannot be continued is removed."""
        done = size_on_disk(self.part)
        if done > self.file.size_bytes or (self.file.sha256 is None and not self._if_range()):
            self._discard()
            done = 0
        self.digest = hash_file(self.part) if done else hashlib.sha256()
        self.progress(self.file, done)
        return done

    def _if_range(self) -> dict[str, str]:
        try:
            version = json.loads(self.sidecar.read_text(encoding="utf-8"))["version"]
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return {}
        return {"If-Range": version} if isinstance(version, str) and version.isprintable() else {}

    def _receive(self, response: httpx.Response, done: int) -> None:
        status = response.status_code
        answer = f"{status} {response.reason_phrase}".strip()
        if status == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and done:
            self._discard()
            raise _InterruptedError("the server refused to continue the file")
        if status in _TRANSIENT_STATUS:
            raise _InterruptedError(f"the server answered {answer}")
        if status not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            hint = self._hint(status)
            raise SourceError(f"{answer} at {_shown(self.url)}{hint}")
        if (encoding := response.headers.get("Content-Encoding", "identity")) != "identity":
            raise SourceError(f"{_shown(self.url)} sends it compressed ({encoding})")
        if status == httpx.codes.PARTIAL_CONTENT:
            self._check_continues(response, done)
        else:
            self._check_offered_size(response.headers.get("Content-Length"))
            self._start_again(response)
            done = 0
        self._write(response, done)

    def _check_continues(self, response: httpx.Response, done: int) -> None:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != done:
            self._discard()
            raise _InterruptedError("the server continued the file at the wrong place")
        self._check_offered_size(None if match[2] == "*" else match[2])

    def _check_offered_size(self, offered: str | None) -> None:
        if offered is not None and offered != str(self.file.size_bytes):
            raise SourceError(
                f"{_shown(self.url)} offers {offered} bytes where {self.file.size_bytes} are expected,"
                " so it is not this file (a login page, or a stale mirror?)"
            )

    def _start_again(self, response: httpx.Response) -> None:
        self._discard()
        self.digest = hashlib.sha256()
        etag = response.headers.get("ETag", "")
        strong_etag = "" if etag.startswith("W/") else etag  # If-Range takes no weak one
        version = strong_etag or response.headers.get("Last-Modified")
        self.sidecar.write_text(json.dumps({"version": version}), encoding="utf-8")

    def _write(self, response: httpx.Response, done: int) -> None:
        with _open_part(self.part) as part:
            for chunk in response.iter_raw():
                done += len(chunk)
                if done > self.file.size_bytes:
                    break
                part.write(chunk)
                self.digest.update(chunk)
                self.progress(self.file, done)
        if done > self.file.size_bytes:
            self._discard()
            self._check_offered_size(f"more than {self.file.size_bytes}")
        if done < self.file.size_bytes:
            raise _InterruptedError("the connection ended early")

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)

    def _hint(self, status: int) -> str:
        """What may let the user in."""
        if status not in _REFUSED_STATUS:
            return ""
        if self.headers:
            return " (HF_TOKEN is not accepted)"
        return " (does it need HF_TOKEN?)" if self.url.startswith(f"{HUB}/") else ""


def _cause(error: httpx.TransportError) -> str:
    """The likeliest cause of no connection, with what mends it."""
    if isinstance(error, httpx.ProxyError):
        return "is the proxy of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY right?"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "if a proxy has certificates of its own, name them in SSL_CERT_FILE"
    return "is this computer offline?"


def _shown(url: str) -> str:
    """The address without a mirror's user name and password."""
    return str(httpx.URL(url).copy_with(userinfo=b""))


def _open_part(part: Path) -> BinaryIO:
    return part.open("ab")
