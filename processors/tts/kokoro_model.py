"""Kokoro's network in two halves: prosody of a whole clause, then its sound in stretches.

In:  tokens, a style.   Out: how long each token lasts, and sound.

The first half (text, lengths, pitch, loudness) takes a twentieth of the time; the second is run on as many frames as
are wanted next. Its normalisation looks at all frames it is given, so a stretch differs a little from the whole:
stretches are cut between words, where they are faded into one another.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from processors.errors import EngineError
from processors.tts.onnx_graph import OnnxGraph

FRAME_SAMPLES = 600
# What the decoder is given to either side of a stretch.
CONTEXT_FRAMES = 4
# What the second half reads (with its dimensions): the text, the pitch, the loudness; and the tokens' lengths.
_SEAMS = {"/encoder/MatMul_1_output_0": 3, "/encoder/Reshape_output_0": 2, "/encoder/Reshape_1_output_0": 2}
_LENGTHS = "/encoder/Clip_output_0"

Audio = np.ndarray[Any, np.dtype[np.float32]]


class StoppedError(EngineError):
    """The synthesis was no longer wanted."""


class StopSwitch:
    """Stops a network in the middle of its work; may be thrown from any thread."""

    def __init__(self) -> None:
        import onnxruntime

        self.options = onnxruntime.RunOptions()
        self.is_thrown = False

    def throw(self) -> None:
        """Stop what runs, and whatever would run next."""
        self.is_thrown = True
        self.options.terminate = True


@dataclass(frozen=True)
class Prosody:
    """A clause before it sounds.

    Attributes:
        token_ends: Where each token ends, in frames, shape (n_tokens,); the silence at both ends are tokens, too.
        seams: What the second half reads, by name.
        loudness: Of each frame, shape (n_frames,); on a scale of the network's own.
    """

    token_ends: np.ndarray[Any, np.dtype[np.int64]]
    seams: dict[str, Any]
    loudness: Audio

    @property
    def n_frames(self) -> int:
        """Its length."""
        return len(self.loudness)


class KokoroSession:
    """What kokoro-onnx takes for an onnxruntime session, and the halves where the export can be cut.

    Args:
        model_path: The ONNX file.
        options: Of onnxruntime's sessions.
        providers: Of onnxruntime, in order of preference.
    """

    def __init__(self, model_path: Path, options: Any, providers: Sequence[str]) -> None:
        import onnxruntime

        def session(model: Any) -> Any:
            return onnxruntime.InferenceSession(model, sess_options=options, providers=list(providers))

        # kokoro-onnx reads it.
        self._model_path = str(model_path)
        self._switch: StopSwitch | None = None
        parts = _parts(model_path.read_bytes())
        self.has_halves = parts is not None
        self._first = session(parts[0]) if parts else session(str(model_path))
        self._second = session(parts[1]) if parts else None
        self._second_inputs = [tensor.name for tensor in self._second.get_inputs()] if self._second else []

    def get_inputs(self) -> Any:
        """As of the whole network."""
        return self._first.get_inputs()

    def get_outputs(self) -> Any:
        """As of the whole network."""
        return (self._second or self._first).get_outputs()

    def get_modelmeta(self) -> Any:
        """As of the whole network."""
        return self._first.get_modelmeta()

    @contextmanager
    def stoppable(self, switch: StopSwitch) -> Iterator[None]:
        """What runs in here, one at a time, is stopped by this switch."""
        self._switch = switch
        try:
            yield
        finally:
            self._switch = None

    def run(self, names: Any, inputs: dict[str, Any]) -> list[Any]:
        """Run the network; kokoro-onnx calls this.

        Raises:
            StoppedError: The switch was thrown.
        """
        if self._second is None:
            return self._run(self._first, names, inputs, self._switch)
        made = self._run(self._first, list(_SEAMS), inputs, self._switch)
        halves = {**dict(zip(_SEAMS, made, strict=True)), "style": inputs["style"]}
        return self._run(self._second, None, {name: halves[name] for name in self._second_inputs}, self._switch)

    def prosody(self, inputs: dict[str, Any], switch: StopSwitch) -> Prosody:
        """Run the first half.

        Raises:
            StoppedError: The switch was thrown.
        """
        *seams, lengths = self._run(self._first, [*_SEAMS, _LENGTHS], inputs, switch)
        loudness = seams[2].reshape(-1, 2).mean(axis=1)
        named: dict[str, Any] = dict(zip(_SEAMS, seams, strict=True))
        return Prosody(
            np.cumsum(np.rint(lengths.ravel()).astype(np.int64)), {**named, "style": inputs["style"]}, loudness
        )

    def sound(self, prosody: Prosody, start: int, end: int, switch: StopSwitch) -> tuple[Audio, int]:
        """Run the second half on some frames and those around them.

        Returns:
            The sound, shape (n_samples,), and how many samples of it stand before frame `start`.

        Raises:
            StoppedError: The switch was thrown.
        """
        before, behind = max(0, start - CONTEXT_FRAMES), min(prosody.n_frames, end + CONTEXT_FRAMES)
        text, pitch, loudness = _SEAMS
        inputs = {
            **prosody.seams,
            text: prosody.seams[text][:, :, before:behind],
            pitch: prosody.seams[pitch][:, 2 * before : 2 * behind],
            loudness: prosody.seams[loudness][:, 2 * before : 2 * behind],
        }
        (made,) = self._run(self._second, None, {name: inputs[name] for name in self._second_inputs}, switch)
        return made.reshape(-1), (start - before) * FRAME_SAMPLES

    @staticmethod
    def _run(session: Any, names: Any, inputs: dict[str, Any], switch: StopSwitch | None) -> list[Any]:
        # onnxruntime's exceptions derive from Exception alone.
        try:
            return session.run(names, inputs, switch.options if switch else None)
        except Exception as error:
            if switch and switch.is_thrown:
                raise StoppedError("the synthesis was stopped") from error
            raise EngineError(f"kokoro failed: {' '.join(str(error).split())}") from error


def _parts(data: bytes) -> tuple[bytes, bytes] | None:
    """The two halves of an export whose seams are known; None for another."""
    graph = OnnxGraph(data)
    known = {name for node in graph.nodes for name in node.outputs}
    if not known.issuperset([*_SEAMS, _LENGTHS]):
        return None
    return graph.part({}, [*_SEAMS, _LENGTHS]), graph.part(_SEAMS, graph.outputs)
