"""Picking sound devices and formats; PortAudio is scripted (tests/support/scripted_sounddevice.py)."""

import builtins
import io
from typing import Any

import pytest
from rich.console import Console

from agent.commands.desktop import print_devices
from tests.support.scripted_sounddevice import ScriptedDevice, ScriptedSoundDevice
from transports import desktop_devices
from transports.desktop_devices import DeviceError, list_devices, load_sounddevice, pick_devices, refresh_devices


def desk() -> ScriptedSoundDevice:
    """A laptop with a headset and a loudspeaker."""
    return ScriptedSoundDevice(
        [
            ScriptedDevice("Built-in Microphone", n_inputs=2),
            ScriptedDevice("Built-in Speakers", n_outputs=2),
            ScriptedDevice("USB Headset", n_inputs=1, n_outputs=2),
            ScriptedDevice("USB Headset Pro", n_inputs=1, n_outputs=2),
            ScriptedDevice("Studio Monitors", n_outputs=8),
        ],
        default_devices=(0, 1),
    )


def picked(module: ScriptedSoundDevice, microphone: str | None, loudspeaker: str | None) -> tuple[int, int]:
    pair = pick_devices(module, microphone, loudspeaker)
    return pair.microphone.index, pair.loudspeaker.index


@pytest.mark.parametrize(
    ("microphone", "loudspeaker", "expected"),
    [
        (None, None, (0, 1)),
        ("2", "4", (2, 4)),
        ("headset pro", "STUDIO", (3, 4)),
        ("built", "built", (0, 1)),
        (None, "monitors", (0, 4)),
        # A whole name is that device, though another one's begins with it.
        ("usb headset", "USB HEADSET", (2, 2)),
    ],
)
def test_a_device_is_found_by_number_or_part_of_its_name(
    microphone: str | None, loudspeaker: str | None, expected: tuple[int, int]
) -> None:
    assert picked(desk(), microphone, loudspeaker) == expected


@pytest.mark.parametrize(
    ("microphone", "loudspeaker", "message"),
    [
        (
            "usb",
            None,
            "--input 'usb' means more than one device; there is: 2: USB Headset (ALSA), 3: USB Headset Pro (ALSA)",
        ),
        (
            None,
            "kitchen",
            "--output 'kitchen' is no such device; there is: 1: Built-in Speakers (ALSA), 2: USB Headset (ALSA), "
            "3: USB Headset Pro (ALSA), 4: Studio Monitors (ALSA)",
        ),
        (
            "9",
            None,
            "--input '9' is no such device; there is: 0: Built-in Microphone (ALSA), 2: USB Headset (ALSA), "
            "3: USB Headset Pro (ALSA)",
        ),
        # It exists, but has no microphone.
        (
            "4",
            None,
            "--input '4' is no such device; there is: 0: Built-in Microphone (ALSA), 2: USB Headset (ALSA), "
            "3: USB Headset Pro (ALSA)",
        ),
    ],
)
def test_an_unclear_name_is_refused_with_what_there_is(
    microphone: str | None, loudspeaker: str | None, message: str
) -> None:
    with pytest.raises(DeviceError) as caught:
        pick_devices(desk(), microphone, loudspeaker)
    assert str(caught.value) == message


def test_a_long_list_of_devices_is_cut_in_the_message() -> None:
    module = ScriptedSoundDevice([ScriptedDevice(f"Card {index}", n_inputs=1, n_outputs=1) for index in range(20)])
    with pytest.raises(DeviceError) as caught:
        pick_devices(module, "card", None)
    assert str(caught.value).endswith("7: Card 7 (ALSA) and 12 more")


@pytest.mark.parametrize(
    ("devices", "defaults", "message"),
    [
        ([], (-1, -1), "no microphone found: connect one, then look with: sotto desktop --list-devices"),
        (
            [ScriptedDevice("Mic", n_inputs=1)],
            (0, -1),
            "no loudspeaker found: connect one, then look with: sotto desktop --list-devices",
        ),
    ],
)
def test_a_machine_without_a_device_is_told_in_one_line(
    devices: list[ScriptedDevice], defaults: tuple[int, int], message: str
) -> None:
    with pytest.raises(DeviceError) as caught:
        pick_devices(ScriptedSoundDevice(devices, defaults), None, None)
    assert str(caught.value) == message


def windows() -> ScriptedSoundDevice:
    """The same two devices under two host APIs, as on Windows."""
    return ScriptedSoundDevice(
        [
            ScriptedDevice("Mic (Realtek)", n_inputs=2),
            ScriptedDevice("Speakers (Realtek)", n_outputs=2),
            ScriptedDevice("Mic (Realtek)", n_inputs=2, host_api=1),
            ScriptedDevice("Speakers (Realtek)", n_outputs=2, host_api=1),
        ],
        default_devices=(0, 1),
        host_apis=("MME", "Windows WASAPI"),
    )


@pytest.mark.parametrize(
    ("microphone", "loudspeaker", "expected"),
    [
        # The same name twice: the one of the default host API.
        ("realtek", "realtek", (0, 1)),
        ("mic (realtek), windows wasapi", None, (2, 3)),
        (None, "3", (2, 3)),
    ],
)
def test_both_devices_are_of_one_sound_system(
    microphone: str | None, loudspeaker: str | None, expected: tuple[int, int]
) -> None:
    assert picked(windows(), microphone, loudspeaker) == expected


def test_devices_of_two_sound_systems_are_refused() -> None:
    with pytest.raises(DeviceError, match=r"0: Mic \(Realtek\) \(MME\) and 3: .* belong to different sound systems"):
        pick_devices(windows(), "0", "3")


def test_a_missing_portaudio_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DeviceError) as caught:
        load_sounddevice()
    assert str(caught.value) == (
        "PortAudio, the library behind sounddevice, cannot be loaded (PortAudio library not found): "
        "apt-get install libportaudio2"
    )


def test_looking_again_restarts_portaudio() -> None:
    module = desk()
    module.devices.append(ScriptedDevice("New Microphone", n_inputs=1))
    refresh_devices(module)
    assert module.n_refreshes == 1
    assert picked(module, "new", None) == (5, 1)


def test_the_table_of_devices_names_each_with_its_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    module = desk()
    monkeypatch.setattr("agent.commands.desktop.load_sounddevice", lambda: module)
    console = Console(file=io.StringIO(), width=120)
    print_devices(console)
    rows = [line.split() for line in console.file.getvalue().splitlines()]  # pyright: ignore[reportAttributeAccessIssue]
    assert rows[1:3] == [
        "0 Built-in Microphone ALSA 2 0 48000 Hz in".split(),
        "1 Built-in Speakers ALSA 0 2 48000 Hz out".split(),
    ]
    assert len(rows) == 1 + len(list_devices(module))


def test_a_machine_without_devices_has_a_sentence_for_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.commands.desktop.load_sounddevice", lambda: ScriptedSoundDevice([], (-1, -1)))
    console = Console(file=io.StringIO(), width=120)
    print_devices(console)
    assert console.file.getvalue() == "no sound devices found\n"  # pyright: ignore[reportAttributeAccessIssue]


def test_mono_at_48_khz_is_tried_first() -> None:
    pair = pick_devices(desk(), None, None)
    formats = list(desktop_devices.stream_formats(pair))
    assert (formats[0].rate_hz, formats[0].in_channels, formats[0].out_channels) == (48_000, 1, 1)
    assert formats[0].block_samples == 480
