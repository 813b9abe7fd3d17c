"""The page's own files: compressed on the way, each marked with the version of sotto that it belongs to.

In:  GET of a path within `web`.   Out: the file, or 404. The mark tells the page's service worker which files are this
server's (what has none is never kept in a browser), and the page that its server is another one than it was.
"""

from pathlib import Path

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Scope

from agent import __version__

VERSION_HEADER = "Sotto-Version"
LEAST_COMPRESSED_BYTES = 500
COMPRESSION_LEVEL = 6


class PageFiles(StaticFiles):
    """The files of a folder, with their version."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """As StaticFiles; an answer that nothing has changed (304) bears the mark, too."""
        response = await super().get_response(path, scope)
        response.headers[VERSION_HEADER] = __version__
        return response


def page_files(directory: Path) -> ASGIApp:
    """What serves the page.

    Args:
        directory: Holds index.html and all that it loads.
    """
    return GZipMiddleware(PageFiles(directory=directory, html=True), LEAST_COMPRESSED_BYTES, COMPRESSION_LEVEL)
