"""Uploads: a multipart body read into memory, counted and timed on the way; nothing of it touches a disk.

In:  an HTTP request, chunk by chunk.   Out: one sound file and the text fields.
Source: RFC 7578 (multipart/form-data).
"""

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from agent.server.wire.errors import ApiError
from agent.server.wire.upload_budget import HeldFile, UploadBudget

# What a client needs at worst: so long to begin with, and this speed from then on.
GRACE_SECS = 15.0
MIN_BYTES_PER_SEC = 64 * 1024
FILE_FIELD = "file"
MAX_FIELD_BYTES = 64 * 1024
MAX_PARTS = 200
# Of a body, for boundaries, headers and fields; OpenAI's clients may send samples of voices, which are not kept.
OVERHEAD_BYTES = 2 * 1024 * 1024
# It would write a line to standard error for every malformed body; the caller is told instead.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


class ClientGoneError(Exception):
    """The client hung up; there is nobody to answer."""


@dataclass
class Upload:
    """What a form held.

    Attributes:
        file: The sound file's bytes, at their start; whoever takes it closes it.
        fields: Text of the wanted fields by name, in order; brackets at the end of a name are taken off.
    """

    file: HeldFile
    fields: dict[str, list[str]]


async def read_upload(
    request: Request, budget: UploadBudget, *, max_file_bytes: int, wanted: Collection[str]
) -> Upload:
    """Read a form with one sound file.

    Args:
        request: Its body has not been read.
        budget: Of all uploads; one that announces its length is refused unread where there is no room for it.
        max_file_bytes: A larger file is refused, unread if the request says its length.
        wanted: Names of the fields to keep; others are passed over.

    Raises:
        ApiError: The form is malformed, too large, too slow or holds no file; or there is no memory for it.
        ClientGoneError: The client hung up.
    """
    boundary = _boundary_of(request.headers.get("content-type", ""))
    max_body_bytes = max_file_bytes + OVERHEAD_BYTES
    n_announced = int(request.headers.get("content-length", "0"))
    if n_announced > max_body_bytes:
        raise _too_large(max_file_bytes)
    file = HeldFile(budget, min(n_announced, max_file_bytes))
    try:
        return await _read_form(request, _Form(boundary, file, max_file_bytes, wanted), max_body_bytes)
    except BaseException:
        file.close()
        raise


async def _read_form(request: Request, form: "_Form", max_body_bytes: int) -> Upload:
    started_secs = time.monotonic()
    n_bytes = 0
    while True:
        left_secs = started_secs + GRACE_SECS + n_bytes / MIN_BYTES_PER_SEC - time.monotonic()
        try:
            async with asyncio.timeout(left_secs):
                message = await request.receive()
        except TimeoutError:
            raise ApiError(408, "the upload is too slow", code="upload_timeout") from None
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        n_bytes += len(chunk)
        if n_bytes > max_body_bytes:
            raise _too_large(form.max_file_bytes)
        form.feed(chunk)
        if not message.get("more_body", False):
            return form.finish()


def _boundary_of(content_type: str) -> bytes:
    kind, parameters = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise ApiError(415, "the body must be multipart/form-data with a file in it", code="unsupported_media_type")
    boundary = parameters.get(b"boundary")
    if not boundary:
        raise _malformed("it names no boundary")
    return boundary


def _malformed(why: str) -> ApiError:
    return ApiError(400, f"the multipart body is malformed: {why}", code="invalid_multipart")


def _too_large(max_file_bytes: int) -> ApiError:
    return ApiError(
        413,
        f"the file is larger than {max_file_bytes / 2**20:g} MB (setting server.max_upload_mb)",
        param=FILE_FIELD,
        code="file_too_large",
    )


@dataclass
class _Part:
    """One part of the form; a field that nobody reads keeps nothing."""

    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    name: str = ""
    text: bytearray = field(default_factory=bytearray)


class _Form:
    """Takes a multipart body piece by piece.

    Args:
        boundary: From the content type.
        file: Gets the sound.
        max_file_bytes: A larger file is refused.
        wanted: Names of the fields to keep.
    """

    def __init__(self, boundary: bytes, file: HeldFile, max_file_bytes: int, wanted: Collection[str]) -> None:
        self.max_file_bytes = max_file_bytes
        self._wanted = wanted
        self._file = file
        self._has_file = False
        self._fields: dict[str, list[str]] = {}
        self._part = _Part()
        self._n_parts = 0
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise _malformed("its boundary is too long") from error

    def feed(self, chunk: bytes) -> None:
        """Take more of the body.

        Raises:
            ApiError: It is malformed or too large.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed("its parts cannot be told apart") from error

    def finish(self) -> Upload:
        """The form, at the end of the body.

        Raises:
            ApiError: The end or the file is missing.
        """
        if not self._ended:
            raise _malformed("it ends before its last boundary")
        if not self._has_file:
            raise ApiError(400, "a sound file is missing: the form has no field file", param=FILE_FIELD, code="missing")
        self._file.settle()
        self._file.seek(0)
        return Upload(self._file, self._fields)

    def _on_part_begin(self) -> None:
        self._part = _Part()
        self._n_parts += 1
        if self._n_parts > MAX_PARTS:
            raise ApiError(400, f"the form has more than {MAX_PARTS} fields", code="too_many_fields")

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._part.header_name.lower() == b"content-disposition":
            self._part.disposition = bytes(self._part.header_value)
        self._part.header_name.clear()
        self._part.header_value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._part.disposition)
        name = options.get(b"name")
        if name is None:
            raise _malformed("a part has no name")
        self._part.name = name.decode("utf-8", "backslashreplace").split("[", 1)[0]
        if self._part.name == FILE_FIELD:
            if self._has_file:
                raise ApiError(400, "the form has more than one file", param=FILE_FIELD, code="too_many_files")
            self._has_file = True

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.name == FILE_FIELD:
            n_bytes = self._file.tell() + end - start
            if n_bytes > self.max_file_bytes:
                raise _too_large(self.max_file_bytes)
            self._file.keep(n_bytes)
            self._file.write(memoryview(data)[start:end])
        elif self._part.name in self._wanted and len(self._part.text) <= MAX_FIELD_BYTES:
            self._part.text += data[start:end]

    def _on_part_end(self) -> None:
        name = self._part.name
        if name not in self._wanted:
            return
        if len(self._part.text) > MAX_FIELD_BYTES:
            raise ApiError(400, f"{name} is longer than {MAX_FIELD_BYTES} bytes", param=name, code="too_long")
        try:
            self._fields.setdefault(name, []).append(self._part.text.decode())
        except UnicodeDecodeError:
            raise ApiError(400, f"{name} is not UTF-8 text", param=name, code="invalid_encoding") from None

    def _on_end(self) -> None:
        self._ended = True
