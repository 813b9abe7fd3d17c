"""What whoever starts a server is told of its telephone lines.

In:  settings.   Out: one line of text a line.
"""

from collections.abc import Iterator, Mapping

from agent.server.wire.paths import telephone_path
from agent.settings.telephony import TelephonySettings


def telephone_lines(telephony: TelephonySettings, audio_ports: Mapping[str, int]) -> Iterator[str]:
    """Where each is, and who can call it.

    Args:
        telephony: The lines.
        audio_ports: Where AudioSocket connects to, by line.
    """
    for name, line in telephony.lines.items():
        path = telephone_path(name)
        if line.provider == "asterisk":
            socket = f" and AudioSocket at {line.audiosocket_host}:{audio_ports[name]}" if name in audio_ports else ""
            where = f"WebSocket at {path}{socket}"
        else:
            where = f"webhook {telephony.url}{path}" if telephony.url else f"webhook at {path}"
        alone = "" if line.secret else f"; for this machine alone until telephony.lines.{name}.secret is set"
        yield f"telephone line {name} ({line.provider}): {where}{alone}"
