"""Uploads: a multipart body read into memory, counted and timed on the way; nothing of it touches a disk.

In:  an HTTP request, chunk by chunk.   Out: one sound file and the text fields.
Source: RFC 7578 (multipart/form-data).
"""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass

from starlette.requests import Request

from agent.server.wire.errors import ApiError
from agent.server.wire.form import Form, boundary_of
from agent.server.wire.upload_budget import HeldFile, UploadBudget

# What a client needs at worst: so long to begin with, and this speed from then on.
GRACE_SECS = 15.0
MIN_BYTES_PER_SEC = 64 * 1024
FILE_FIELD = "file"
# Of a body, for boundaries, headers and fields; OpenAI's clients may send samples of voices, which are not kept.
OVERHEAD_BYTES = 2 * 1024 * 1024


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
    boundary = boundary_of(request.headers.get("content-type", ""), "multipart/form-data with a file in it")
    max_body_bytes = max_file_bytes + OVERHEAD_BYTES
    n_announced = int(request.headers.get("content-length", "0"))
    if n_announced > max_body_bytes:
        raise _too_large(max_file_bytes)
    file = HeldFile(budget, min(n_announced, max_file_bytes))
    try:
        return await _read_form(request, _FileForm(boundary, file, max_file_bytes, wanted), max_body_bytes)
    except BaseException:
        file.close()
        raise


async def _read_form(request: Request, form: "_FileForm", max_body_bytes: int) -> Upload:
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


def _too_large(max_file_bytes: int) -> ApiError:
    return ApiError(
        413,
        f"the file is larger than {max_file_bytes / 2**20:g} MB (setting server.max_upload_mb)",
        param=FILE_FIELD,
        code="file_too_large",
    )


class _FileForm(Form):
    """A form with one sound file.

    Args:
        boundary: From the content type.
        file: Gets the sound.
        max_file_bytes: A larger file is refused.
        wanted: Names of the fields to keep.
    """

    def __init__(self, boundary: bytes, file: HeldFile, max_file_bytes: int, wanted: Collection[str]) -> None:
        super().__init__(boundary, wanted)
        self.max_file_bytes = max_file_bytes
        self._file = file
        self._has_file = False

    def finish(self) -> Upload:
        """The form, at the end of the body.

        Raises:
            ApiError: The end or the file is missing.
        """
        self.end()
        if not self._has_file:
            raise ApiError(400, "a sound file is missing: the form has no field file", param=FILE_FIELD, code="missing")
        self._file.settle()
        self._file.seek(0)
        return Upload(self._file, self.fields)

    def begin_part(self, name: str) -> None:
        """See `Form`; there is one file."""
        if name == FILE_FIELD:
            if self._has_file:
                raise ApiError(400, "the form has more than one file", param=FILE_FIELD, code="too_many_files")
            self._has_file = True

    def take_data(self, name: str, data: memoryview) -> bool:
        """See `Form`; the file's is kept."""
        if name != FILE_FIELD:
            return False
        n_bytes = self._file.tell() + len(data)
        if n_bytes > self.max_file_bytes:
            raise _too_large(self.max_file_bytes)
        self._file.keep(n_bytes)
        self._file.write(data)
        return True
