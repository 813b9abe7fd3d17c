"""Sound devices of this machine: listed, picked by name or number, and what stream they accept.

In:  names or numbers as a user gives them.   Out: PortAudio's numbers, or a DeviceError that lists what there is.

DeviceError is a TransportError. `sounddevice` is imported late, as the import fails where PortAudio is missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from transports.errors import TransportError

Side = Literal["input", "output"]

# Nearly every device runs at this rate, and every rate that matters divides it or is divided by it in small numbers.
PREFERRED_RATE_HZ = 48_000
OTHER_RATES_HZ = (44_100, 24_000, 16_000)
BLOCK_MS = 10
# pa_errors: paInvalidChannelCount, paInvalidSampleRate, paSampleFormatNotSupported.
FORMAT_ERRORS = {-9998, -9997, -9994}
MAX_LISTED = 8


class DeviceError(TransportError):
    """A sound device is missing, unknown or ambiguous; the message names it and what there is."""


@dataclass(frozen=True)
class Device:
    """One device as PortAudio sees it."""

    index: int
    name: str
    host_api: str
    n_inputs: int
    n_outputs: int
    default_rate_hz: int
    is_default_input: bool
    is_default_output: bool


@dataclass(frozen=True)
class StreamFormat:
    """How a full-duplex stream is opened; blocks last 10 ms, rounded down to whole samples."""

    rate_hz: int
    in_channels: int
    out_channels: int

    @property
    def block_samples(self) -> int:
        """Samples of a block, per channel."""
        return self.rate_hz * BLOCK_MS // 1000


@dataclass(frozen=True)
class DevicePair:
    """The microphone and the loudspeaker of one stream."""

    microphone: Device
    loudspeaker: Device


def load_sounddevice() -> Any:
    """The sounddevice module.

    Raises:
        DeviceError: PortAudio, which it stands on, is not installed.
    """
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            f"PortAudio, the library behind sounddevice, cannot be loaded ({error}): apt-get install libportaudio2"
        ) from error
    return sounddevice


def refresh_devices(sounddevice: Any) -> None:
    """Look again which devices there are; PortAudio does so only when it starts. No stream may be open."""
    sounddevice._terminate()
    sounddevice._initialize()


def list_devices(sounddevice: Any) -> list[Device]:
    """Every device that PortAudio sees, in the order of its numbers."""
    host_apis = [api["name"] for api in sounddevice.query_hostapis()]
    default_input, default_output = sounddevice.default.device
    return [
        Device(
            index,
            info["name"],
            host_apis[info["hostapi"]],
            info["max_input_channels"],
            info["max_output_channels"],
            round(info["default_samplerate"]),
            index == default_input,
            index == default_output,
        )
        for index, info in enumerate(sounddevice.query_devices())
    ]


def pick_devices(sounddevice: Any, microphone: str | None, loudspeaker: str | None) -> DevicePair:
    """The devices that a user means.

    Args:
        sounddevice: The module.
        microphone: A number, or part of a name in any case; None is the system's default.
        loudspeaker: The same.

    Raises:
        DeviceError: There is none, or the name is unknown or means more than one.
    """
    devices = list_devices(sounddevice)
    defaults = {side: _default(devices, side) for side in ("input", "output")}
    picked_in = _pick(devices, "input", microphone, defaults["input"]) if microphone else None
    picked_out = _pick(devices, "output", loudspeaker, defaults["output"]) if loudspeaker else None
    # One stream joins two devices of one host API only; a default follows the device that was named.
    picked_in = picked_in or _default_beside(sounddevice, devices, "input", picked_out, defaults["input"])
    picked_out = picked_out or _default_beside(sounddevice, devices, "output", picked_in, defaults["output"])
    microphone_device, loudspeaker_device = _there(picked_in, "microphone"), _there(picked_out, "loudspeaker")
    if microphone_device.host_api != loudspeaker_device.host_api:
        raise DeviceError(
            f"{_label(microphone_device)} and {_label(loudspeaker_device)} belong to different sound systems: "
            "pick two of one, see sotto desktop --list-devices"
        )
    return DevicePair(microphone_device, loudspeaker_device)


def stream_formats(devices: DevicePair) -> Iterator[StreamFormat]:
    """Formats to try, best first: the agent's mono at a good rate, then what the devices are made for."""
    microphone, loudspeaker = devices.microphone, devices.loudspeaker
    rates_hz = (PREFERRED_RATE_HZ, loudspeaker.default_rate_hz, microphone.default_rate_hz, *OTHER_RATES_HZ)
    in_channels = [1, 2] if microphone.n_inputs > 1 else [1]
    out_channels = [1, 2] if loudspeaker.n_outputs > 1 else [1]
    for rate_hz, n_in, n_out in product(dict.fromkeys(rates_hz), in_channels, out_channels):
        yield StreamFormat(rate_hz, n_in, n_out)


def refuses_format(error: Exception) -> bool:
    """Whether PortAudio's error means that another format may be accepted."""
    return len(error.args) > 1 and error.args[1] in FORMAT_ERRORS


def _there(device: Device | None, what: str) -> Device:
    if device is None:
        raise DeviceError(f"no {what} found: connect one, then look with: sotto desktop --list-devices")
    return device


def _channels(device: Device, side: str) -> int:
    return device.n_inputs if side == "input" else device.n_outputs


def _default(devices: list[Device], side: str) -> Device | None:
    for device in devices:
        if device.is_default_input if side == "input" else device.is_default_output:
            return device
    return None


def _default_beside(
    sounddevice: Any, devices: list[Device], side: str, other: Device | None, default: Device | None
) -> Device | None:
    if other is None or default is None or default.host_api == other.host_api:
        return default
    for api in sounddevice.query_hostapis():
        if api["name"] == other.host_api and api[f"default_{side}_device"] >= 0:
            return devices[api[f"default_{side}_device"]]
    return default


def _pick(devices: list[Device], side: str, wanted: str, default: Device | None) -> Device:
    usable = [device for device in devices if _channels(device, side)]
    if wanted.strip().isdecimal():
        found = [device for device in usable if device.index == int(wanted)]
    else:
        found = _named(usable, wanted, default)
    if len(found) == 1:
        return found[0]
    trouble = "means more than one device" if found else "is no such device"
    shown = [_label(device) for device in (found or usable)]
    listing = ", ".join(shown[:MAX_LISTED]) + (
        f" and {len(shown) - MAX_LISTED} more" if len(shown) > MAX_LISTED else ""
    )
    raise DeviceError(f"--{side} {wanted!r} {trouble}; there is: {listing or 'none'}")


def _named(usable: list[Device], wanted: str, default: Device | None) -> list[Device]:
    """Devices of that name, else those whose name and host API contain it; of several, the default host API's."""
    name = wanted.strip().casefold()
    found = [device for device in usable if device.name.casefold() == name]
    found = found or [device for device in usable if name in f"{device.name}, {device.host_api}".casefold()]
    if len(found) > 1 and default is not None:
        found = [device for device in found if device.host_api == default.host_api] or found
    return found


def _label(device: Device) -> str:
    return f"{device.index}: {device.name} ({device.host_api})"
