"""Pipecat's WebRTC transport with a microphone and a voice that cost little; see the two files of these names."""

from typing import Any

from aiortc import RTCPeerConnection, RTCRtpTransceiver
from pipecat.frames.frames import Frame, InterruptionFrame, OutputAudioRawFrame
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.transport import (
    SmallWebRTCInputTransport,
    SmallWebRTCOutputTransport,
    SmallWebRTCTransport,
)

from transports.cut_output import CutOutput
from transports.webrtc_microphone import PeerInput
from transports.webrtc_voice import VoiceTrack


class PeerOutput(CutOutput, SmallWebRTCOutputTransport):
    """Pipecat's output; what waits for its packet is cut with the rest."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Cut the voice first."""
        if isinstance(frame, InterruptionFrame) and isinstance(track := self._client._audio_output_track, VoiceTrack):
            track.drop()
        await super().process_frame(frame, direction)

    async def send_sound(self, frame: OutputAudioRawFrame) -> bool:
        """Hand sound to the track; returns when it is on its way."""
        return await self._client.write_audio_frame(frame)


class PeerTransport(SmallWebRTCTransport):
    """Pipecat's transport with an input and an outgoing track of ours.

    Args:
        connection: The peer's.
        params: Rates and what is enabled.
    """

    def __init__(self, connection: SmallWebRTCConnection, params: TransportParams) -> None:
        super().__init__(connection, params)
        self._connection = connection

    def input(self) -> SmallWebRTCInputTransport:
        """The user's side."""
        if not self._input:
            self._input = PeerInput(self._client, self._params, name=self._input_name)
        return self._input

    def output(self) -> SmallWebRTCOutputTransport:
        """The agent's side."""
        if not self._output:
            self._output = PeerOutput(self._client, self._params, name=self._output_name)
        return self._output

    def trouble(self) -> str | None:
        """Why the peer has to be let go of; None while it need not."""
        return self._input.trouble() if isinstance(self._input, PeerInput) else None

    async def _on_client_connected(self, webrtc_connection: Any) -> None:
        # Before anything has been sent: Pipecat's client has just put its own track there.
        if self._params.audio_out_enabled and speaks_opus(self._connection.pc.getTransceivers()[0]):
            track = VoiceTrack(self._client._out_sample_rate)
            self._client._audio_output_track = track  # pyright: ignore[reportAttributeAccessIssue]
            self._connection.replace_audio_track(track)
        await super()._on_client_connected(webrtc_connection)


def audio_transceiver(pc: RTCPeerConnection) -> RTCRtpTransceiver | None:
    """The one that carries sound; None where there is none."""
    return next((one for one in pc.getTransceivers() if one.kind == "audio"), None)


def speaks_opus(transceiver: RTCRtpTransceiver) -> bool:
    """Whether it is Opus that was agreed on; a peer may insist on less."""
    codecs = transceiver._codecs
    return bool(codecs) and codecs[0].mimeType.lower() == "audio/opus"
