"""The entrance of a server: its port, and what connections to it are encrypted with.

In:  settings.   Out: a bound socket, a TLS context that is renewed while the server runs, lines that say where it is.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from loguru import logger

from agent.errors import InputError
from agent.server.guard.addresses import is_https, page_urls, unprotected_warning
from agent.server.guard.binding import bind
from agent.settings.load import data_folder
from agent.settings.serving import ServerSettings

RENEWAL_SECS = 24 * 3600


class Entrance:
    """Of one server.

    Args:
        server: Address, port and certificate; its token as callers have to show it.
        api_only: Whether there is nothing but the speech API.

    Raises:
        InputError: The port cannot be had, or the certificate cannot be used.

    Attributes:
        bound: The socket; nothing listens yet.
    """

    def __init__(self, server: ServerSettings, *, api_only: bool = False) -> None:
        self._server = server
        self._api_only = api_only
        self._tls = tls_context(server)
        self._renewing: asyncio.Task[None] | None = None
        self.bound = bind(server.host, server.port)

    @property
    def address(self) -> str:
        """What it listens on, an IP address."""
        return self.bound.getsockname()[0]

    @property
    def options(self) -> dict[str, Any]:
        """For uvicorn."""
        factory: Callable[..., ssl.SSLContext | None] | None = (lambda *_: self._tls) if self._tls else None
        return {"ssl_context_factory": factory}

    def open(self) -> None:
        """Renew the certificate from now on; on the event loop."""
        if self._tls:
            self._renewing = asyncio.create_task(_renew(self._tls, self._server), name="certificate")

    def tell(self) -> None:
        """Warn of what its owner should know, and say where it is for other devices."""
        address, port = self.bound.getsockname()[:2]
        if warning := unprotected_warning(self._server, address, api_only=self._api_only):
            logger.warning(warning)
        hint = "" if self._tls else " (their browsers give the microphone to https alone: sotto serve --https)"
        for url in page_urls(self._server, address, port)[1:]:
            logger.info(f"for other devices: {url}{hint}")

    def tell_ready(self) -> None:
        """Say that it can be used, and where."""
        address, port = self.bound.getsockname()[:2]
        logger.info(f"ready: {page_urls(self._server, address, port)[0]}")

    def close(self) -> None:
        """Renew nothing more."""
        if self._renewing:
            self._renewing.cancel()


def tls_context(server: ServerSettings) -> ssl.SSLContext | None:
    """What connections are encrypted with; None for plain http.

    Args:
        server: Scheme and certificate.

    Raises:
        InputError: The certificate cannot be used.
    """
    if not is_https(server):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_certificate(context, server)
    return context


def _load_certificate(context: ssl.SSLContext, server: ServerSettings) -> None:
    """Take the certificate of today; connections from now on are shown it."""
    from agent.server.guard.certificates import certificate_files

    files = certificate_files(server, data_folder() / "https")
    try:
        context.load_cert_chain(files.certificate, files.private_key)
    except ssl.SSLError as error:
        raise InputError(f"server.certificate = {files.certificate} cannot be used ({error.reason})") from error
    if files.own:
        logger.info(f"https with a certificate of our own, which browsers ask about: SHA-256 {files.fingerprint}")


async def _renew(context: ssl.SSLContext, server: ServerSettings) -> None:
    """Certificates run out, and addresses change, while a server runs."""
    while True:
        await asyncio.sleep(RENEWAL_SECS)
        try:
            await asyncio.to_thread(_load_certificate, context, server)
        except InputError as error:
            logger.error(f"https goes on with the certificate that it has: {error}")
