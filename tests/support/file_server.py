"""A file server on loopback that can misbehave: the outer edge of the download tests.

In:  files by path, a list of faults, one a request.   Out: HTTP with Range, If-Range and ETag; the requests it saw.
"""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Fault:
    """How one answer goes wrong; what is not named is as it should be.

    Attributes:
        status: Answer with this status and nothing else.
        cut_after_bytes: Close the connection after so many bytes of the body.
        ignore_range: Answer 200 with the whole file to a request for a range.
        content_length: Claim this length; None as the text "none" leaves the header out.
        content_range: Claim this range in a 206.
        headers: Further headers.
        body: Send this instead of the file.
        hold: Wait for this before the second half of the body.
    """

    status: int | None = None
    cut_after_bytes: int | None = None
    ignore_range: bool = False
    content_length: int | str | None = None
    content_range: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    hold: threading.Event | None = None


NO_FAULT = Fault()


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    path: str
    range: str | None
    if_range: str | None
    authorization: str | None


@dataclass
class FileServer:
    """What is served, what goes wrong, and what was asked.

    Attributes:
        url: `http://127.0.0.1:PORT`.
        files: Bodies by path.
        etags: By path; a strong one made of the body where there is none, no header where it is empty.
        faults: One taken from the front for each request; none left: no fault.
        requests: In the order of their arrival.
        halfway: Set when an answer that holds has sent its first half.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    halfway: threading.Event = field(default_factory=threading.Event)

    def etag(self, path: str) -> str:
        return self.etags.get(path, f'"{hashlib.md5(self.files[path]).hexdigest()}"')  # noqa: S324 - a version


@contextmanager
def serve_files(files: dict[str, bytes]) -> Iterator[FileServer]:
    """Serve the files until the block ends."""
    state = FileServer(files=dict(files))

    class Handler(_Handler):
        server_state = state

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_state: FileServer

    def do_GET(self) -> None:
        state = self.server_state
        self.close_connection = True
        asked = {name: self.headers.get(name) for name in ("Range", "If-Range", "Authorization")}
        state.requests.append(Request(self.path, asked["Range"], asked["If-Range"], asked["Authorization"]))
        fault = state.faults.pop(0) if state.faults else NO_FAULT
        content = state.files.get(self.path)
        if fault.status is not None or content is None:
            self._answer(fault.status or 404, {"Content-Length": "0", **dict(fault.headers)})
            return
        content = fault.body if fault.body is not None else content
        match = re.fullmatch(r"bytes=(\d+)-", asked["Range"] or "")
        current = asked["If-Range"] in (None, state.etag(self.path))
        start = int(match[1]) if match and current and not fault.ignore_range else None
        if start is not None and start >= len(content):
            self._answer(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
            return
        self._send(content, start, fault)

    def _send(self, content: bytes, start: int | None, fault: Fault) -> None:
        body = content[start or 0 :]
        headers = {"Content-Length": str(len(body) if fault.content_length is None else fault.content_length)}
        if fault.content_length == "none":
            del headers["Content-Length"]
        if etag := self.server_state.etag(self.path):
            headers["ETag"] = etag
        if start is not None:
            whole = f"bytes {start}-{len(content) - 1}/{len(content)}"
            headers["Content-Range"] = fault.content_range or whole
        self._answer(200 if start is None else 206, {**headers, **dict(fault.headers)})
        body = body[: fault.cut_after_bytes]
        if fault.hold is None:
            self.wfile.write(body)
            return
        half = len(body) // 2
        self.wfile.write(body[:half])
        self.wfile.flush()
        self.server_state.halfway.set()
        fault.hold.wait(timeout=60)
        self.wfile.write(body[half:])

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent; the requests are kept."""
