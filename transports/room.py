"""A simulated room with an open loudspeaker: what the microphone hears of the user and of the agent.

In:  the user's block and the block that is played now.   Out: the microphone's block, same length.

The loop is closed block by block, so that an agent who lowers its voice is heard less. Delay is the way from handing a
block to the device until its direct sound is back in the microphone's samples. A loudspeaker on a clock of its own
drifts away; when it has drifted by a block of the device, the device drops or repeats one.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from transports.errors import TransportError
from transports.room_acoustics import Audio, Convolver, DelayLine, RoomNoise, room_response, soft_clip

BLOCK_SECS = 0.01
FULL_SCALE = np.float32(32768)
# Speech at a usual distance from a laptop; levels are of the parts where somebody speaks.
USER_DBFS = -26.0
AGENT_DBFS = -23.0
CLIP_DRIVES = {"none": 0.0, "soft": 1.5, "hard": 4.0}
# A block counts as voiced down to this far below the loudest.
VOICED_RANGE_DB = 30.0


class RoomError(TransportError):
    """A room cannot be built as it was described; the message names the key or the value."""


@dataclass(frozen=True)
class RoomSpec:
    """A room, its loudspeaker and the sound device.

    Attributes:
        rt60_secs: Reverberation time, 0.05 to 2.
        echo_db: Level of the echo against the user's voice, -60 to 40.
        delay_ms: From the device to the microphone's samples, 1 to 1000.
        drift_ppm: How much slower the loudspeaker's clock runs, -1000 to 1000.
        noise_snr_db: The user's voice against the background noise, 0 to 100.
        distance_m: From the loudspeaker, and from the user, to the microphone; 0.1 to 10.
        clip: The loudspeaker's distortion: none, soft or hard.
        slip_secs: The device drops or repeats a block so often; 0 is never.
        volume_db: What the loudspeaker's volume changes by, there and back, -40 to 20.
        volume_secs: How often it does; 0 is never.
    """

    rt60_secs: float = 0.4
    echo_db: float = 0.0
    delay_ms: float = 60.0
    drift_ppm: float = 0.0
    noise_snr_db: float = 30.0
    distance_m: float = 0.5
    clip: str = "soft"
    slip_secs: float = 0.0
    volume_db: float = -6.0
    volume_secs: float = 0.0

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise RoomError(f"room: {_key(name)}={value:g} is out of bounds: from {low:g} to {high:g}")
        if self.clip not in CLIP_DRIVES:
            raise RoomError(f"room: clip={self.clip} is unknown: {', '.join(CLIP_DRIVES)}")

    @classmethod
    def parse(cls, text: str) -> "RoomSpec":
        """Read `rt60=0.4,echo_db=0,delay_ms=60`; what is not named keeps its default.

        Raises:
            RoomError: There is nothing to read, a key is unknown or given twice, or a value is not a number or out of
                bounds.
        """
        if not text.strip(" ,"):
            raise RoomError("room: the description is empty: write rt60=0.4,echo_db=0")
        names = {_key(field.name): field.name for field in fields(cls)}
        values: dict[str, Any] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            key, equals, value = (side.strip() for side in part.partition("="))
            if key not in names:
                raise RoomError(f"room: unknown key {key!r}: choose from {', '.join(names)}")
            if names[key] in values:
                raise RoomError(f"room: {key} is given twice")
            if not equals or not value:
                raise RoomError(f"room: {key} has no value: write {key}=VALUE")
            values[names[key]] = value if key == "clip" else _number(key, value)
        return cls(**values)


_BOUNDS: dict[str, tuple[float, float]] = {
    "rt60_secs": (0.05, 2.0),
    "echo_db": (-60.0, 40.0),
    "delay_ms": (1.0, 1000.0),
    "drift_ppm": (-1000.0, 1000.0),
    "noise_snr_db": (0.0, 100.0),
    "distance_m": (0.1, 10.0),
    "slip_secs": (0.0, 3600.0),
    "volume_db": (-40.0, 20.0),
    "volume_secs": (0.0, 3600.0),
}


class Room:
    """One microphone, one loudspeaker and a user in a room.

    Args:
        spec: The room.
        sample_rate_hz: Of both directions; blocks are a multiple of 10 ms.
        seed: Reflections and noise are the same for the same seed.
        user_dbfs: Active level (RMS) of the user's blocks; echo and noise are levelled against it.
        agent_dbfs: Active level (RMS) of the played blocks at full volume.
    """

    def __init__(
        self,
        spec: RoomSpec,
        sample_rate_hz: int = 16_000,
        seed: int = 0,
        *,
        user_dbfs: float = USER_DBFS,
        agent_dbfs: float = AGENT_DBFS,
    ) -> None:
        self.spec = spec
        self._rate_hz = sample_rate_hz
        self._n = round(BLOCK_SECS * sample_rate_hz)
        rng = np.random.default_rng(seed)
        self._echo_path = self._path(rng)
        self._user_path = self._path(rng)
        self._noise = RoomNoise(10 ** ((user_dbfs - spec.noise_snr_db) / 20), rng)
        self._echo_gain = 10 ** ((user_dbfs + spec.echo_db - agent_dbfs) / 20)
        # The drive is that of a loud voice, whatever the level of this one.
        self._to_loud = 10 ** ((AGENT_DBFS - agent_dbfs) / 20)
        self._block_delay = self._n
        base = spec.delay_ms * sample_rate_hz / 1000
        self._base_delay = max(base, 8.0)
        self._line = DelayLine(self._n, int(self._base_delay) + 4 * self._n)
        self._n_heard = 0
        self._drifted = 0.0

    def hear(self, user_f32: Audio, played_f32: Audio) -> Audio:
        """What the microphone delivers while the user says one block and another is handed to the device.

        Args:
            user_f32: shape (n_samples,), full scale 1; a whole number of 10 ms blocks.
            played_f32: The same shape.

        Returns:
            The same shape, clipped to [-1, 1].

        Raises:
            ValueError: The lengths differ, or are no multiple of 10 ms; the message shows them.
        """
        if len(user_f32) != len(played_f32) or len(user_f32) % self._n:
            raise ValueError(
                f"a room hears blocks of {self._n} samples, not {len(user_f32)} said and {len(played_f32)} played"
            )
        starts = range(0, len(user_f32), self._n)
        blocks = [self._hear(user_f32[at : at + self._n], played_f32[at : at + self._n]) for at in starts]
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    def hear_pcm16(self, user: bytes, played: bytes) -> bytes:
        """`hear` on little-endian s16 mono."""
        user_f32, played_f32 = (np.frombuffer(side, "<i2").astype(np.float32) for side in (user, played))
        return (
            np.clip(np.round(self.hear(user_f32 / FULL_SCALE, played_f32 / FULL_SCALE) * FULL_SCALE), -32768, 32767)
            .astype("<i2")
            .tobytes()
        )

    def _path(self, rng: np.random.Generator) -> Convolver:
        response = room_response(self.spec.rt60_secs, self.spec.distance_m, self._rate_hz, rng)
        return Convolver(response, self._n)

    def _hear(self, user_f32: Audio, played_f32: Audio) -> Audio:
        loud = played_f32 * np.float32(self._volume() * self._to_loud)
        played = soft_clip(loud, CLIP_DRIVES[self.spec.clip]) * np.float32(self._echo_gain / self._to_loud)
        first, last = self._advance()
        echo = self._echo_path(self._line(played, first, last))
        self._n_heard += self._n
        return np.clip(self._user_path(user_f32) + echo + self._noise.block(self._n), -1.0, 1.0)

    def _volume(self) -> float:
        """The loudspeaker's volume now, a factor."""
        every = self.spec.volume_secs
        lowered = every > 0 and int(self._n_heard / self._rate_hz / every) % 2 == 1
        return 10 ** (self.spec.volume_db / 20) if lowered else 1.0

    def _advance(self) -> tuple[float, float]:
        """The delay at both ends of this block, in samples."""
        slip = self.spec.slip_secs
        slipped = slip > 0 and int(self._n_heard / self._rate_hz / slip) % 2 == 1
        delay = self._base_delay + (self._n if slipped else 0)
        before = self._drifted
        self._drifted += self._n * self.spec.drift_ppm * 1e-6
        first, last = delay + before, delay + self._drifted
        if abs(self._drifted) >= self._n:
            self._drifted -= np.copysign(self._n, self._drifted)
        return max(first, 8.0), max(last, 8.0)


def active_dbfs(audio_f32: Audio, sample_rate_hz: int = 16_000) -> float:
    """Level (RMS) of the parts where somebody speaks: the 10 ms blocks within 30 dB of the loudest.

    Args:
        audio_f32: shape (n_samples,), full scale 1.
        sample_rate_hz: Its rate.

    Returns:
        dBFS; -100 for silence.
    """
    n = round(BLOCK_SECS * sample_rate_hz)
    power = np.square(audio_f32[: len(audio_f32) // n * n].reshape(-1, n).astype(np.float64)).mean(axis=1)
    if not power.size or power.max() <= 0:
        return -100.0
    return float(10 * np.log10(power[power >= power.max() / 10 ** (VOICED_RANGE_DB / 10)].mean()))


def _key(name: str) -> str:
    """A field's name as it is written in a description: the unit is left out where it is seconds."""
    return {"rt60_secs": "rt60", "slip_secs": "slip"}.get(name, name)


def _number(key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise RoomError(f"room: {key}={value} is not a number") from error
