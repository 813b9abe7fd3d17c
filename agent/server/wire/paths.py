"""Which paths belong to the speech API and the telephone, and how the guard tells those behind it who was let in."""

PREFIX = "/v1"
REALTIME = PREFIX + "/realtime"
REALTIME_CALLS = REALTIME + "/calls"
TELEPHONY = "/telephony"
# What orchestrators ask, and the page.
HEALTH, LIVE, READY = "/health", "/health/live", "/health/ready"
# In the state of a request that showed `server.token`, or a Realtime client's short-lived key, which stands there, too:
# it opens the door, and nothing that is the token's.
SHOWN = "access_shown"
BY_SECRET = "access_by_client_secret"  # noqa: S105 - no password


def is_api_path(path: str) -> bool:
    """Whether errors at a path are told in the API's shape."""
    return path == PREFIX or path.startswith(PREFIX + "/")


def opens_by_client_secret(path: str) -> bool:
    """Whether a Realtime client's short-lived key opens a path: the WebSocket, and calls by WebRTC."""
    return path in (REALTIME, REALTIME_CALLS) or path.startswith(REALTIME_CALLS + "/")


def telephone_path(line: str) -> str:
    """Where a line's webhook and its streams are."""
    return f"{TELEPHONY}/{line}"
