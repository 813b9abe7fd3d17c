"""Whose a conversation is, where owners share what the server keeps: the token's, a page's own, or an address's.

In:  a request, and the ids that a page made for itself.   Out: an owner: whose room is taken up, which opens nothing;
and whose memory is meant.
"""

import hashlib
import re

from starlette.datastructures import Headers
from starlette.types import Scope

from agent.conversation.histories import Owner
from agent.memory.memory import YOURS
from agent.server.wire.networks import LOOPBACK, network_of_scope
from agent.server.wire.paths import BY_SECRET, SHOWN

# Of the id that a browser made for its memory; shorter ones could be guessed.
MIN_BROWSER_CHARS = 32
TOKEN: Owner = ("the token",)
MAX_PAGE_CHARS = 64
# How this machine is called from itself.
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
BY_PROXIES = {"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"}


def owner_of(scope: Scope, page: object = None) -> Owner:
    """Who asks.

    Args:
        scope: Of the request.
        page: What the caller sent as the page's own id, anything at all.
    """
    if _shows_token(scope):
        return TOKEN
    known = page if isinstance(page, str) and len(page) <= MAX_PAGE_CHARS else ""
    return (network_of_scope(scope), known)


def is_owner(scope: Scope) -> bool:
    """Whether who asks may change what this machine keeps: he has shown the token, or sits at the machine.

    Args:
        scope: Of a request that the guard has let in.
    """
    return _shows_token(scope) or sits_here(scope)


def sits_here(scope: Scope) -> bool:
    """Whether who asks sits at this machine, as far as that can be told.

    Whom a reverse proxy on this machine lets in may sit anywhere: most proxies say that they are some, or pass a name
    on that is not this machine's own. Of one that does neither nothing is known: it needs the token.

    Args:
        scope: Of a request or a WebSocket.
    """
    return network_of_scope(scope) == LOOPBACK and not _is_passed_on(scope)


def _is_passed_on(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    says_so = any(name in BY_PROXIES or name.startswith("x-forwarded-") for name in headers)
    host = headers.get("host", "").lower()
    return says_so or re.sub(r":\d+$", "", host) not in LOCAL_HOSTS


def memory_owner_of(scope: Scope, browser: object = None) -> str | None:
    """Whose memory a caller reads and writes.

    Whoever shows the token has yours. Others have one of their own, known by the id that their browser made and keeps:
    not by the address, which changes, nor by the tab, which is closed.

    Args:
        scope: Of the request.
        browser: The id that the caller sent, anything at all.

    Returns:
        None for who sends no id that is hard to guess: he has no memory.
    """
    if _shows_token(scope):
        return YOURS
    if not isinstance(browser, str) or not MIN_BROWSER_CHARS <= len(browser) <= MAX_PAGE_CHARS:
        return None
    # The id opens the memory: what is on disk only tells it apart.
    return hashlib.sha256(browser.encode("utf-8", "replace")).hexdigest()[:32]


def _shows_token(scope: Scope) -> bool:
    """Whether it is the token that was shown, and not a key that was made with it for somebody else."""
    state = scope.get("state", {})
    return bool(state.get(SHOWN)) and not state.get(BY_SECRET)
