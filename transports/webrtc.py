"""The WebRTC edge: offers from the page checked, a transport for each peer, vanished peers noticed.

In:  an SDP offer.   Out: a PeerTransport at our rates, and the peer's connection.
"""

import re
import time
from typing import Any

import aioice.ice
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.sdp import candidate_from_sdp
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.request_handler import IceCandidate

from transports.errors import OfferError
from transports.webrtc_microphone import IN_RATE_HZ
from transports.webrtc_peer import PeerTransport

MAX_SDP_CHARS = 64 * 1024
# A peer that has not connected by then has most likely gone.
CONNECT_TIMEOUT_SECS = 9.0
# The page says "ping" every second.
SILENCE_TIMEOUT_SECS = 6.0
LOOPBACK = "127.0.0.1"
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
    if not any(_FINGERPRINT.fullmatch(line.strip()) for line in lines):
        raise OfferError("the offer has no fingerprint (sha-256 or longer)")
    if "a=inactive" in lines:
        raise OfferError("the offer's sound is inactive")
    return sdp


def parse_candidates(candidates: list[dict[str, Any]]) -> list[IceCandidate]:
    """Check ICE candidates as the page sends them.

    Args:
        candidates: Each with candidate (empty at the end of candidates), sdp_mid and sdp_mline_index.

    Raises:
        OfferError: One is malformed.
    """
    try:
        parsed = [
            IceCandidate(str(one["candidate"]), str(one["sdp_mid"]), int(one["sdp_mline_index"])) for one in candidates
        ]
        for one in parsed:
            if one.candidate:
                candidate_from_sdp(one.candidate)
    except (KeyError, ValueError, TypeError, AssertionError, IndexError) as error:
        raise OfferError(f"malformed ICE candidate: {' '.join(str(error).split())[:120]}") from error
    return parsed


def webrtc_transport(connection: SmallWebRTCConnection, out_rate_hz: int) -> PeerTransport:
    """The transport of one peer.

    Args:
        connection: The peer's connection.
        out_rate_hz: The rate of the agent's voice.
    """
    params = TransportParams(
        audio_in_enabled=True,
        audio_in_sample_rate=IN_RATE_HZ,
        audio_out_enabled=True,
        audio_out_sample_rate=out_rate_hz,
        audio_out_10ms_chunks=2,
        audio_out_end_silence_secs=0,
    )
    return PeerTransport(connection, params)


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


def allow_loopback_only_machines() -> None:
    """Let peers meet on 127.0.0.1 where the machine has no other address; aioice leaves it out otherwise."""
    original = aioice.ice.get_host_addresses
    if getattr(original, "includes_loopback", False):
        return

    def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return original(use_ipv4, use_ipv6) or ([LOOPBACK] if use_ipv4 else [])

    get_host_addresses.includes_loopback = True  # pyright: ignore[reportFunctionMemberAccess]
    aioice.ice.get_host_addresses = get_host_addresses
