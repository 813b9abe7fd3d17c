"""The WebRTC edge: offers from the page checked, a transport for each peer, vanished peers noticed.

In:  an SDP offer.   Out: a PeerTransport at our rates, and the peer's connection.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aioice.candidate import Candidate
from aioice.mdns import is_mdns_hostname
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.request_handler import IceCandidate

from transports.errors import OfferError
from transports.ice_addresses import MAX_CANDIDATES, Reach, read_candidate
from transports.params import transport_params
from transports.webrtc_peer import PeerTransport

MAX_SDP_CHARS = 64 * 1024
# A peer that has not connected by then has most likely gone.
CONNECT_TIMEOUT_SECS = 9.0
# The page says "ping" every second.
SILENCE_TIMEOUT_SECS = 6.0
# One that says nothing of the kind: a browser tells how it receives every few seconds, even with its microphone off.
UNHEARD_TIMEOUT_SECS = 15.0
MAX_MID_CHARS = 80
# Sound, the data channel, and room for what browsers add.
MAX_SECTIONS = 4
_FINGERPRINT = re.compile(r"a=fingerprint:sha-(256|384|512) ([0-9A-Fa-f]{2}:){31,63}[0-9A-Fa-f]{2}", re.IGNORECASE)
# What aiortc raises for a description that it cannot parse or agree with is open-ended.
UNANSWERABLE = (
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    AssertionError,
    RuntimeError,
    InternalError,
    InvalidAccessError,
    InvalidStateError,
    OperationError,
)


@dataclass(frozen=True)
class PeerCandidate:
    """One ICE candidate of a peer.

    Attributes:
        candidate: Where it can be reached; None: there are no more.
        mid: Of its section.
        index: Of its section.
    """

    candidate: Candidate | None
    mid: str
    index: int

    @property
    def is_named(self) -> bool:
        """Whether its host is a name."""
        return self.candidate is not None and is_mdns_hostname(self.candidate.host)

    def on_the_wire(self) -> IceCandidate:
        """As Pipecat takes it."""
        line = f"candidate:{self.candidate.to_sdp()}" if self.candidate else ""
        return IceCandidate(line, self.mid, self.index)


def validate_offer(sdp: object, kind: object) -> str:
    """Check an offer before anything is built for it.

    Args:
        sdp: The session description.
        kind: Its type.

    Returns:
        The session description.

    Raises:
        OfferError: It cannot lead to a conversation; the message says what it lacks.
    """
    if kind != "offer":
        raise OfferError(f"type must be 'offer', not {str(kind)[:20]!r}")
    if not isinstance(sdp, str) or not sdp.strip():
        raise OfferError("sdp is missing")
    if len(sdp) > MAX_SDP_CHARS:
        raise OfferError(f"sdp is longer than {MAX_SDP_CHARS} characters")
    lines = sdp.splitlines()
    sections = [line for line in lines if line.startswith("m=")]
    if sum(line.startswith("m=audio ") for line in sections) != 1 or len(sections) > MAX_SECTIONS:
        raise OfferError("the offer must have one audio section")
    _check_fingerprints(lines)
    if "a=inactive" in lines:
        raise OfferError("the offer's sound is inactive")
    _check_bundle(lines)
    return sdp


def _check_fingerprints(lines: Sequence[str]) -> None:
    """Each section has its own, or the session one for all (RFC 8122); aiortc takes one for granted.

    Raises:
        OfferError: A section has none.
    """
    session, *sections = [False]
    for line in lines:
        if line.startswith("m="):
            sections.append(session)
        elif _FINGERPRINT.fullmatch(line.strip()):
            if sections:
                sections[-1] = True
            else:
                session = True
    if not all(sections):
        raise OfferError("the offer has no fingerprint (sha-256 or longer)")


def _check_bundle(lines: Sequence[str]) -> None:
    """Sections share one transport; aiortc takes it from the first that is named, and believes that it is there.

    Raises:
        OfferError: Two sections have one name, or one that is named is not there (RFC 9143, section 7).
    """
    # What comes before the first section has no name.
    mids: list[str | None] = [None]
    for line in lines:
        if line.startswith("m="):
            mids.append(None)
        elif line.startswith("a=mid:"):
            mids[-1] = line[len("a=mid:") :].strip()
    named = [mid for mid in mids[1:] if mid is not None]
    if len(set(named)) < len(named):
        raise OfferError("two sections of the offer have the same mid")
    known = set(named)
    for line in lines:
        kind, *bundled = line.removeprefix("a=group:").split() or [""]
        if line.startswith("a=group:") and kind == "BUNDLE" and not set(bundled) <= known:
            raise OfferError("the offer bundles a section that it does not have")


def parse_candidates(candidates: list[dict[str, Any]], reach: Reach) -> list[PeerCandidate]:
    """Check ICE candidates as the page sends them; those that are of no use are left out.

    Args:
        candidates: Each with candidate (empty at the end of candidates), sdp_mid and sdp_mline_index.
        reach: Where packets may go.

    Raises:
        OfferError: One is malformed or impossible, or there are too many.
    """
    if len(candidates) > MAX_CANDIDATES:
        raise OfferError(f"more than {MAX_CANDIDATES} ICE candidates")
    found: list[PeerCandidate] = []
    for one in candidates:
        try:
            line, mid, index = one["candidate"], str(one["sdp_mid"])[:MAX_MID_CHARS], int(one["sdp_mline_index"])
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise OfferError(f"malformed ICE candidate: {' '.join(str(error).split())[:120]}") from error
        if not isinstance(line, str):
            raise OfferError("malformed ICE candidate: it is no text")
        candidate = read_candidate(line, reach) if line.strip() else None
        if candidate is not None or not line.strip():
            found.append(PeerCandidate(candidate, mid, index))
    return found


def split_candidates(sdp: str, reach: Reach) -> tuple[str, list[PeerCandidate]]:
    """Take out of an offer what packets may not be sent to.

    Args:
        sdp: Checked by `validate_offer`.
        reach: Where packets may go.

    Returns:
        The offer with candidates that can be used at once, and those whose names have to be resolved first.

    Raises:
        OfferError: A candidate is malformed or impossible, or there are too many.
    """
    kept: list[str] = []
    named: list[PeerCandidate] = []
    n_candidates, index, mid = 0, -1, ""
    for line in sdp.splitlines():
        if line.startswith("m="):
            index, mid = index + 1, ""
        elif line.startswith("a=mid:"):
            mid = line[len("a=mid:") :][:MAX_MID_CHARS]
        if not line.startswith("a=candidate:"):
            kept.append(line)
            continue
        n_candidates += 1
        if n_candidates > MAX_CANDIDATES:
            raise OfferError(f"more than {MAX_CANDIDATES} ICE candidates")
        candidate = read_candidate(line[len("a=") :], reach)
        if candidate and is_mdns_hostname(candidate.host):
            named.append(PeerCandidate(candidate, mid, max(index, 0)))
        elif candidate:
            kept.append(f"a=candidate:{candidate.to_sdp()}")
    if named:
        # More of them will come.
        kept = [line for line in kept if line.strip() != "a=end-of-candidates"]
    return "\r\n".join([*kept, ""]), named


def webrtc_transport(connection: SmallWebRTCConnection, out_rate_hz: int) -> PeerTransport:
    """The transport of one peer.

    Args:
        connection: The peer's connection.
        out_rate_hz: The rate of the agent's voice.
    """
    return PeerTransport(connection, transport_params(out_rate_hz))


class PeerWatch:
    """Tells when a peer has gone without a word.

    Pipecat's own connect time limit never arms, and aiortc notices a vanished peer only after half a minute.
    """

    def __init__(self, connection: SmallWebRTCConnection) -> None:
        self._connection = connection
        self._started_secs = time.monotonic()
        self._last_seen_secs: float | None = None

    def gone(self) -> str | None:
        """Why the peer counts as gone; None while it does not."""
        now_secs = time.monotonic()
        if self._connection.is_connected():
            self._last_seen_secs = now_secs
            return None
        if self._last_seen_secs is None:
            return "never connected" if now_secs - self._started_secs > CONNECT_TIMEOUT_SECS else None
        return "vanished" if now_secs - self._last_seen_secs > SILENCE_TIMEOUT_SECS else None


class PacketWatch:
    """Tells when nothing at all comes from a peer any more, whatever it says or does not say over its channel.

    Args:
        connection: The peer's.
    """

    def __init__(self, connection: SmallWebRTCConnection) -> None:
        self._pc = connection.pc
        self._n_packets: object = None
        self._heard_secs = time.monotonic()

    def gone(self) -> str | None:
        """Why the peer counts as gone; None while it does not. To be asked every second or so."""
        # aiortc counts them for its statistics.
        dtls = self._pc.sctp.transport if self._pc.sctp else None
        n_packets = getattr(dtls, "_RTCDtlsTransport__rx_packets", None)
        if n_packets is None or n_packets != self._n_packets:
            self._n_packets, self._heard_secs = n_packets, time.monotonic()
        return "vanished" if time.monotonic() - self._heard_secs > UNHEARD_TIMEOUT_SECS else None
