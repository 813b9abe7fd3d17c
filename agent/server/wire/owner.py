"""Whose a conversation is, where owners share what the server keeps: the token's, a page's own, or an address's.

In:  a request, and the id that a page made for itself.   Out: an owner: whose room is taken up. It opens nothing.
"""

from starlette.types import Scope

from agent.conversation.histories import Owner
from agent.server.wire.networks import network_of_scope
from agent.server.wire.paths import SHOWN

TOKEN: Owner = ("the token",)
MAX_PAGE_CHARS = 64


def owner_of(scope: Scope, page: object = None) -> Owner:
    """Who asks.

    Args:
        scope: Of the request.
        page: What the caller sent as the page's own id, anything at all.
    """
    if scope.get("state", {}).get(SHOWN):
        return TOKEN
    known = page if isinstance(page, str) and len(page) <= MAX_PAGE_CHARS else ""
    return (network_of_scope(scope), known)
