"""Which paths belong to the speech API, and how the guard tells what stands behind it who was let in."""

PREFIX = "/v1"
# In the state of a request that showed `server.token`.
SHOWN = "access_shown"


def is_api_path(path: str) -> bool:
    """Whether errors at a path are told in the API's shape."""
    return path == PREFIX or path.startswith(PREFIX + "/")
