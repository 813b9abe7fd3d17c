"""Speech made slower or faster than its engine can speak, at the same pitch, as a stream.

In:  mono s16 samples.   Out: the same, shorter or longer; a few dozen milliseconds late.
Source: FFmpeg's filter atempo (waveform similarity overlap-add), 0.5 to 2 without loss.
"""

import av.filter
import numpy as np
from av.audio.frame import AudioFrame
from av.error import BlockingIOError, EOFError

LEAST, MOST = 0.5, 2.0


class Tempo:
    """Of one speech.

    Args:
        factor: 0.5 to 2; 1 leaves it as it is.
        rate_hz: Of the samples.

    Raises:
        ValueError: The factor is out of bounds; the message shows it.
    """

    def __init__(self, factor: float, rate_hz: int) -> None:
        if not LEAST <= factor <= MOST:
            raise ValueError(f"a tempo is from {LEAST} to {MOST}, not {factor}")
        self._rate_hz = rate_hz
        self._n_samples = 0
        self._graph = None if abs(factor - 1) < 1e-6 else _graph(factor, rate_hz)

    def change(self, pcm16: bytes) -> bytes:
        """Add samples.

        Args:
            pcm16: Little-endian s16 mono, a whole number of samples.

        Returns:
            Those that are due, maybe none.
        """
        if self._graph is None or not pcm16:
            return pcm16
        samples = np.frombuffer(pcm16, "<i2").astype(np.int16)
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = self._rate_hz, self._n_samples
        self._n_samples += len(samples)
        self._graph.push(frame)
        return self._pull()

    def finish(self) -> bytes:
        """End the speech; returns the rest."""
        if self._graph is None or not self._n_samples:
            return b""
        self._graph.push(None)
        return self._pull()

    def _pull(self) -> bytes:
        found: list[bytes] = []
        while self._graph:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                break
            found.append(frame.to_ndarray().astype("<i2").tobytes())
        return b"".join(found)


def _graph(factor: float, rate_hz: int) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=rate_hz, format="s16", layout="mono")
    changed = graph.add("atempo", f"{factor:.6f}")
    sink = graph.add("abuffersink")
    source.link_to(changed)
    changed.link_to(sink)
    graph.configure()
    return graph
