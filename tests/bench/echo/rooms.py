"""The rooms, drawn once and for all: every size of echo with every kind of trouble."""

import numpy as np

from transports.room import RoomSpec

ECHO_DB = (-10.0, 0.0, 10.0)


def room_spec(index: int) -> RoomSpec:
    """Room number `index`; three in a row have the echo at -10, 0 and +10 dB against the user."""
    rng = np.random.default_rng(1000 + index)
    return RoomSpec(
        rt60_secs=float(rng.choice([0.2, 0.3, 0.4, 0.5, 0.6])),
        echo_db=ECHO_DB[index % len(ECHO_DB)],
        delay_ms=float(rng.choice([20, 40, 60, 90, 140, 250])),
        drift_ppm=float(rng.choice([0, 50, 100, 200])),
        noise_snr_db=float(rng.choice([20, 25, 30])),
        distance_m=float(rng.choice([0.3, 0.5, 1.0, 2.0])),
        slip_secs=float(rng.choice([0, 0, 30])),
        volume_secs=float(rng.choice([0, 0, 20])),
    )
