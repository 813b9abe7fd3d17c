"""What we hold on to inside libraries, beyond what they promise: a version that moves it fails here first."""

import asyncio
import inspect

import aioice.ice
import uvicorn
from aioice.candidate import Candidate
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.rtcrtpreceiver import RTCRtpReceiver
from pipecat.transports.smallwebrtc.connection import SmallWebRTCTrack
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState


async def nothing(scope: object, receive: object, send: object) -> None:
    """An application."""


async def test_uvicorn_starts_without_a_socket_of_its_own() -> None:
    server = uvicorn.Server(uvicorn.Config(nothing, lifespan="off", log_level="critical"))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup(sockets=[])
    assert server.servers == []
    assert server.started
    assert isinstance(server.server_state, ServerState)
    assert server.lifespan.state == {}


async def test_uvicorns_http_protocol_has_the_names_that_ours_overrides() -> None:
    protocol = H11Protocol(uvicorn.Config(nothing), ServerState(), {}, asyncio.get_running_loop())
    assert protocol.cycle is None
    assert protocol.ws_protocol_class is not None
    for name in (
        "handle_events",
        "on_response_complete",
        "handle_websocket_upgrade",
        "_should_upgrade",
        "_get_upgrade",
    ):
        assert inspect.isfunction(getattr(H11Protocol, name)), name


def test_uvicorns_websocket_protocol_has_the_names_that_ours_overrides() -> None:
    protocol = WebSocketsSansIOProtocol(uvicorn.Config(nothing), ServerState(), {}, asyncio.new_event_loop())
    protocol.loop.close()
    assert protocol.close_sent is False
    assert inspect.isfunction(WebSocketsSansIOProtocol.send_receive_event_to_app)


def test_aioice_asks_one_function_for_addresses_and_resolves_names_by_another() -> None:
    assert list(inspect.signature(aioice.ice.get_host_addresses).parameters) == ["use_ipv4", "use_ipv6"]
    assert "get_host_addresses(" in inspect.getsource(aioice.ice.Connection.gather_candidates)
    for resolving in (aioice.ice.get_or_create_mdns_protocol, aioice.ice.unref_mdns_protocol):
        assert inspect.iscoroutinefunction(resolving)
    assert Candidate.from_sdp("1 1 udp 1 192.0.2.1 9 typ host").to_sdp() == "1 1 udp 1 192.0.2.1 9 typ host"


async def test_aiortcs_receiver_drops_what_comes_while_it_is_not_enabled_and_pipecats_track_enables_it() -> None:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    receiver = pc.addTransceiver("audio").receiver
    await pc.close()
    assert receiver._enabled is True
    assert "if not self._enabled:\n            return\n" in inspect.getsource(RTCRtpReceiver._handle_rtp_packet)
    assert "self._receiver._enabled = True\n" in inspect.getsource(SmallWebRTCTrack.recv)
