"""A multipart body, piece by piece: its parts told apart, the text of the wanted ones kept.

In:  bytes of a body.   Out: text fields by name; a subclass takes a part of another kind.
Source: RFC 7578 (multipart/form-data).
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from agent.server.wire.errors import ApiError

MAX_FIELD_BYTES = 64 * 1024
MAX_PARTS = 200
# It would write a line to standard error for every malformed body; the caller is told instead.
logging.getLogger("python_multipart").setLevel(logging.ERROR)


def boundary_of(content_type: str, what: str) -> bytes:
    """What stands between the parts.

    Args:
        content_type: Of the request.
        what: The body must be, in words.

    Raises:
        ApiError: It is another type, or names none.
    """
    kind, parameters = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise ApiError(415, f"the body must be {what}", code="unsupported_media_type")
    boundary = parameters.get(b"boundary")
    if not boundary:
        raise malformed("it names no boundary")
    return boundary


def malformed(why: str) -> ApiError:
    """What a caller is told whose body cannot be read."""
    return ApiError(400, f"the multipart body is malformed: {why}", code="invalid_multipart")


@dataclass
class _Part:
    """One part of the form; a field that nobody reads keeps nothing."""

    header_name: bytearray = field(default_factory=bytearray)
    header_value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    name: str = ""
    text: bytearray = field(default_factory=bytearray)


class Form:
    """Takes a multipart body piece by piece.

    Args:
        boundary: From the content type.
        wanted: Names of the fields to keep; others are passed over.
        max_field_bytes: Of one of them.

    Attributes:
        fields: Text of the wanted fields by name, in order; brackets at the end of a name are taken off.
    """

    def __init__(self, boundary: bytes, wanted: Collection[str], max_field_bytes: int = MAX_FIELD_BYTES) -> None:
        self.fields: dict[str, list[str]] = {}
        self._wanted = wanted
        self._max_field_bytes = max_field_bytes
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
            raise malformed("its boundary is too long") from error

    def feed(self, chunk: bytes) -> None:
        """Take more of the body.

        Raises:
            ApiError: It is malformed or too large.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise malformed("its parts cannot be told apart") from error

    def end(self) -> None:
        """The body has ended.

        Raises:
            ApiError: The form has not.
        """
        if not self._ended:
            raise malformed("it ends before its last boundary")

    def begin_part(self, name: str) -> None:
        """A part of that name begins."""

    def take_data(self, name: str, data: memoryview) -> bool:
        """Take a piece of a part; whether it is taken, and is no text."""
        return False

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
            raise malformed("a part has no name")
        self._part.name = name.decode("utf-8", "backslashreplace").split("[", 1)[0]
        self.begin_part(self._part.name)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        name = self._part.name
        if self.take_data(name, memoryview(data)[start:end]):
            return
        if name in self._wanted and len(self._part.text) <= self._max_field_bytes:
            self._part.text += data[start:end]

    def _on_part_end(self) -> None:
        name = self._part.name
        if name not in self._wanted:
            return
        if len(self._part.text) > self._max_field_bytes:
            raise ApiError(400, f"{name} is longer than {self._max_field_bytes} bytes", param=name, code="too_long")
        try:
            self.fields.setdefault(name, []).append(self._part.text.decode())
        except UnicodeDecodeError:
            raise ApiError(400, f"{name} is not UTF-8 text", param=name, code="invalid_encoding") from None

    def _on_end(self) -> None:
        self._ended = True
