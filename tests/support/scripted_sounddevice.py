"""A fake at the edge: the sounddevice module on devices that a test describes, driven callback by callback.

It takes the place of PortAudio only: `tick` is one callback, on the thread that calls it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

INVALID_CHANNELS = -9998
INVALID_RATE = -9997
UNAVAILABLE = -9985


class PortAudioError(Exception):
    """As sounddevice raises it: a message and PortAudio's code."""

    def __str__(self) -> str:
        message, code = self.args
        return f"{message} [PaErrorCode {code}]"


@dataclass
class ScriptedDevice:
    """One device; `rates_hz` and `n_channels` are all that it accepts, where given."""

    name: str
    n_inputs: int = 0
    n_outputs: int = 0
    host_api: int = 0
    default_rate_hz: int = 48_000
    rates_hz: Sequence[int] | None = None
    out_channels: Sequence[int] | None = None
    busy: bool = False


@dataclass
class Flags:
    """The status of one callback."""

    input_overflow: bool = False
    input_underflow: bool = False
    output_overflow: bool = False
    output_underflow: bool = False

    def __bool__(self) -> bool:
        return self.input_overflow or self.input_underflow or self.output_overflow or self.output_underflow


class ScriptedStream:
    """What sounddevice.Stream is to the code under test."""

    latency = (0.02, 0.03)

    def __init__(self, module: "ScriptedSoundDevice", **arguments: Any) -> None:
        self.samplerate: int = arguments["samplerate"]
        self.blocksize: int = arguments["blocksize"]
        self.device: tuple[int, int] = arguments["device"]
        self.channels: tuple[int, int] = arguments["channels"]
        self.wanted_latency: str = arguments["latency"]
        self.started = False
        self.closed = False
        self._callback = arguments["callback"]
        self._finished = arguments["finished_callback"]
        module.refuse(self)

    def start(self) -> None:
        self.started = True

    def close(self) -> None:
        self.closed = True

    def tick(self, heard_s16: Any = None, flags: Flags | None = None) -> np.ndarray[Any, np.dtype[np.int16]]:
        """One callback; returns what was written to the device, shape (n_samples, n_channels)."""
        heard = np.zeros((self.blocksize, self.channels[0]), np.int16)
        if heard_s16 is not None:
            heard[:] = np.reshape(heard_s16, (self.blocksize, -1))
        out = np.zeros((self.blocksize, self.channels[1]), np.int16)
        self._callback(heard, out, self.blocksize, None, flags or Flags())
        return out

    def finish(self) -> None:
        """The device has gone: PortAudio calls no more."""
        self._finished()


@dataclass
class ScriptedSoundDevice:
    """The module; `streams` are all that were opened, in order."""

    devices: list[ScriptedDevice] = field(
        default_factory=lambda: [ScriptedDevice("Built-in", n_inputs=1, n_outputs=2, default_rate_hz=16_000)]
    )
    default_devices: tuple[int, int] = (0, 0)
    host_apis: Sequence[str] = ("ALSA",)
    streams: list[ScriptedStream] = field(default_factory=list)
    attempts: list[tuple[int, tuple[int, int]]] = field(default_factory=list)
    n_refreshes: int = 0

    PortAudioError = PortAudioError

    @property
    def default(self) -> SimpleNamespace:
        return SimpleNamespace(device=list(self.default_devices))

    @property
    def open_stream(self) -> ScriptedStream:
        """The one stream that is open."""
        (stream,) = [stream for stream in self.streams if not stream.closed]
        return stream

    def query_hostapis(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "default_input_device": self._first(index, "n_inputs"),
                "default_output_device": self._first(index, "n_outputs"),
            }
            for index, name in enumerate(self.host_apis)
        ]

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {
                "name": device.name,
                "hostapi": device.host_api,
                "max_input_channels": device.n_inputs,
                "max_output_channels": device.n_outputs,
                "default_samplerate": float(device.default_rate_hz),
            }
            for device in self.devices
        ]

    def Stream(self, **arguments: Any) -> ScriptedStream:
        stream = ScriptedStream(self, **arguments)
        self.streams.append(stream)
        return stream

    def refuse(self, stream: ScriptedStream) -> None:
        """Raise what PortAudio says of a stream that these devices do not accept."""
        self.attempts.append((stream.samplerate, stream.channels))
        microphone, loudspeaker = (self.devices[index] for index in stream.device)
        if microphone.busy or loudspeaker.busy:
            raise PortAudioError("Error opening Stream: Device unavailable", UNAVAILABLE)
        for device in (microphone, loudspeaker):
            if device.rates_hz is not None and stream.samplerate not in device.rates_hz:
                raise PortAudioError("Error opening Stream: Invalid sample rate", INVALID_RATE)
        if loudspeaker.out_channels is not None and stream.channels[1] not in loudspeaker.out_channels:
            raise PortAudioError("Error opening Stream: Invalid number of channels", INVALID_CHANNELS)

    def _terminate(self) -> None:
        assert all(stream.closed for stream in self.streams), "PortAudio restarted with a stream open"

    def _initialize(self) -> None:
        self.n_refreshes += 1

    def _first(self, host_api: int, side: str) -> int:
        for index, device in enumerate(self.devices):
            if device.host_api == host_api and getattr(device, side):
                return index
        return -1
