"""A fake at the edge: an OTLP/HTTP receiver on the loopback that keeps the spans which it was sent."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver:
    """What came.

    Attributes:
        url: Its address, without OTLP's path.
        paths: Where each request went.
        bodies: All that was sent, as it came over the wire.
        resource: Attributes of what sent them.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self.resource: dict[str, str] = {}
        self.spans: list[Any] = []

    def take(self, path: str, body: bytes) -> None:
        """Take one request."""
        self.paths.append(path)
        self.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource = {one.key: one.value.string_value for one in resource.resource.attributes}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def named(self, name: str) -> list[Any]:
        """All spans of that name."""
        return [span for span in self.spans if span.name == name]


@contextmanager
def receiving(status: int = 200) -> Iterator[Receiver]:
    """A receiver on a free port.

    Args:
        status: What it answers; what it does not take is not kept.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if status == 200:
                receiver.take(self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
