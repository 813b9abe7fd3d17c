"""A WebRTC peer's microphone: its packets become frames for the pipeline without a detour.

In:  Opus packets.   Out: MicrophoneFrame, 16 kHz mono s16, whole windows of 32 ms as soon as each is there; `pts` is
     RTP's timestamp.

Voice activity judges windows of 32 ms, and nothing is decided between two of them: three frames then go through the
pipeline where five would.

aiortc decodes each peer in a thread and Pipecat takes every frame through a queue and two timers; a frame is decoded
in less time than a thread is woken.
"""

import asyncio
import queue
from dataclasses import dataclass
from typing import Any, cast

from aiortc.codecs import get_decoder
from aiortc.codecs.base import Decoder
from aiortc.codecs.opus import OpusDecoder
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, AudioResampler
from av.error import FFmpegError
from loguru import logger
from pipecat.frames.frames import InputAudioRawFrame
from pipecat.transports.smallwebrtc.connection import SmallWebRTCTrack
from pipecat.transports.smallwebrtc.transport import SmallWebRTCInputTransport
from pipecat.utils.errors import ErrorCategory

from transports.allowance import Allowance
from transports.params import IN_RATE_HZ
from transports.sound_input import DirectInput, LateSound
from transports.websocket_line import SOUND_BURST_SECS, SOUND_RATE

BYTES_PER_SAMPLE = 2
# What voice activity judges at a time: 512 samples at 16 kHz.
WINDOW_BYTES = 1024
# A microphone that is silent for longer is asked anew: the connection stops listening to one that nobody asks.
ASK_AGAIN_SECS = 1.0
# Where aiortc's receiver puts what its thread is to decode.
DECODER_QUEUE = "_RTCRtpReceiver__decoder_queue"


@dataclass
class MicrophoneFrame(InputAudioRawFrame):
    """A frame of the microphone, whose text costs nothing: Pipecat writes it at every step, for a log that is off."""

    def __str__(self) -> str:
        return self.name


class DecodesAtOnce:
    """Stands in the place of the queue to aiortc's decoder thread, which has nothing more to do than to end.

    Args:
        thread: The queue to the thread.
        track: The queue of what has been decoded.
        allowance: Seconds of sound that may come; what is beyond is not decoded.
        late: Counts what waits in the track's queue for too long.
    """

    def __init__(
        self,
        thread: "queue.Queue[Any]",
        track: "asyncio.Queue[Any]",
        allowance: Allowance | None = None,
        late: LateSound | None = None,
    ) -> None:
        self._thread = thread
        self._track = track
        self._allowance = allowance or microphone_allowance()
        self._late = late or LateSound()
        self._codec_name = ""
        self._decoder: Decoder | None = None

    def put(self, task: Any) -> None:
        """Decode a packet on the event loop.

        Args:
            task: What aiortc puts there: codec and encoded frame; None at the end.
        """
        if task is None:
            self._thread.put(None)
            return
        codec, encoded = task
        if self._allowance.is_exceeded:
            return
        if self._decoder is None or codec.name != self._codec_name:
            self._codec_name, self._decoder = codec.name, _decoder(codec)
        try:
            decoded = self._decoder.decode(encoded)
        except FFmpegError as error:
            logger.debug(f"a packet of the microphone cannot be decoded: {error}")
            return
        for frame in decoded:
            frame_secs = frame.samples / frame.sample_rate  # pyright: ignore
            self._allowance.take(frame_secs)
            self._late.empty(self._track, frame_secs)
            self._track.put_nowait(frame)


def _decoder(codec: Any) -> Decoder:
    decoder = get_decoder(codec)
    if isinstance(decoder, OpusDecoder):
        # One microphone is all there is.
        cast(Any, decoder.codec).layout = "mono"
    return decoder


def microphone_allowance() -> Allowance:
    """Seconds of sound that a microphone may send: as long as a second takes, and what a network held back."""
    return Allowance(SOUND_RATE, SOUND_BURST_SECS)


def decode_at_once(receiver: Any, allowance: Allowance | None = None, late: LateSound | None = None) -> None:
    """Have a receiver's packets decoded on the event loop; where aiortc has changed, they go on as before.

    Args:
        receiver: aiortc's RTCRtpReceiver.
        allowance: What the peer may send; by default one of its own.
        late: Counts what waits for too long; by default one of its own.
    """
    thread = getattr(receiver, DECODER_QUEUE, None)
    if isinstance(thread, queue.Queue):
        setattr(receiver, DECODER_QUEUE, DecodesAtOnce(thread, receiver.track._queue, allowance, late))


class Ear:
    """Turns what has been decoded into microphone frames of whole windows."""

    def __init__(self) -> None:
        self._resampler = AudioResampler("s16", "mono", IN_RATE_HZ)
        self._form: tuple[int, str, str] | None = None
        # Less than a window.
        self._gathered = b""

    def hear(self, decoded: AudioFrame) -> list[MicrophoneFrame]:
        """A frame for the pipeline, once a window is whole.

        Args:
            decoded: Of any rate; its timestamp goes on with the frame.
        """
        form = decoded.sample_rate, decoded.layout.name, decoded.format.name
        if form != self._form:
            # A peer may change its codec in the middle of a call.
            self._form, self._resampler = form, AudioResampler("s16", "mono", IN_RATE_HZ)
        before, heard = len(self._gathered), self._gathered
        for piece in self._resampler.resample(decoded):
            heard += bytes(piece.planes[0])[: piece.samples * BYTES_PER_SAMPLE]
        n_bytes = len(heard) // WINDOW_BYTES * WINDOW_BYTES
        self._gathered = heard[n_bytes:]
        if not n_bytes:
            return []
        frame = MicrophoneFrame(heard[:n_bytes], IN_RATE_HZ, 1)
        if decoded.pts is not None:
            # What was gathered was spoken before.
            frame.pts = decoded.pts - before // BYTES_PER_SAMPLE * decoded.sample_rate // IN_RATE_HZ
        return [frame]


class PeerMicrophone:
    """One peer's sound, from one track or from one after another.

    Attributes:
        late: Counts what waits for too long.
        ear: Of the track that is listened to; a new one, where it has failed.
    """

    def __init__(self) -> None:
        self.late = LateSound()
        self.ear = Ear()
        self._allowance = microphone_allowance()
        self._listened_to: SmallWebRTCTrack | None = None

    def trouble(self) -> str | None:
        """Why the peer has to be let go of; None while it need not."""
        return "sends more sound than time" if self._allowance.is_exceeded else None

    async def next(self, track: SmallWebRTCTrack) -> AudioFrame | None:
        """What has been decoded next; None where nothing has come for a while.

        Args:
            track: The peer's, of the moment.

        Raises:
            MediaStreamError: It has ended.
        """
        if track is not self._listened_to:
            decode_at_once(track._receiver, self._allowance, self.late)
            self.ear, self._listened_to = Ear(), track
        try:
            async with asyncio.timeout(ASK_AGAIN_SECS):
                decoded = await track.recv()
        except TimeoutError:
            return None
        return decoded if isinstance(decoded, AudioFrame) else None


class PeerInput(DirectInput, SmallWebRTCInputTransport):
    """Pipecat's input for a WebRTC peer, without its queue."""

    _microphone: PeerMicrophone | None = None

    def trouble(self) -> str | None:
        """Why the peer has to be let go of; None while it need not."""
        return self._microphone.trouble() if self._microphone else None

    async def _receive_audio(self) -> None:
        self._microphone = microphone = PeerMicrophone()
        is_failing = False
        while True:
            track = self._client._audio_input_track
            if track is None:
                await asyncio.sleep(0.01)
                continue
            try:
                decoded = await microphone.next(track)
            except MediaStreamError:
                # It has ended; the peer may bring another one.
                self._client._audio_input_track = None
                continue
            if decoded is None:
                continue
            await self.tell(microphone.late)
            # Whatever is wrong with a frame costs that frame; an ended task would cost the hearing.
            try:
                for frame in microphone.ear.hear(decoded):
                    await self.push_audio_frame(frame)
                is_failing = False
            except Exception as error:  # noqa: BLE001
                microphone.ear = Ear()
                if not is_failing:
                    await self.push_error(f"the microphone: {error!r}", exception=error, category=ErrorCategory.SERVER)
                is_failing = True
