"""What no message may repeat of a server's settings, whichever library or server says it.

In:  a text for people, the log or the model.   Out: the same without tokens and keys.
"""

import re

from agent.settings.mcp import McpServer

# Shorter ones are found in any text, and no secret.
MIN_CHARS = 6
HIDDEN = "…"


class McpSecrets:
    """One server's.

    Args:
        server: Its settings.
    """

    def __init__(self, server: McpServer) -> None:
        headers = [value.get_secret_value() for value in server.headers.values()]
        # Keys may come as arguments and in the environment, where paths and flags stand, too.
        given = [one.get_secret_value().rpartition("=")[2] for one in server.args]
        given += [value.get_secret_value() for value in server.env.values()]
        keys = [one for one in given if not re.search(r"[\s/\\]|^[-@]", one)]
        token = [server.token.get_secret_value()] if server.token else []
        found = {one for one in [*token, *headers, *" ".join(headers).split(), *keys] if len(one) >= MIN_CHARS}
        # Within what Python writes of a text or bytes it stands with escapes.
        written = {repr(one)[1:-1] for one in found}
        self._found = sorted(found | written, key=len, reverse=True)

    def without(self, text: str) -> str:
        """The text without them.

        Args:
            text: Any.
        """
        for one in self._found:
            text = text.replace(one, HIDDEN)
        return text
