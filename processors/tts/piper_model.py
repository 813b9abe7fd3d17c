"""A Piper voice's files: what its configuration says, and its VITS network in two halves.

In:  phonemes.   Out: how long each lasts, and sound, a stretch at a time.

The network of an utterance is run up to what its decoder reads; the decoder then makes the sound in stretches. It sees
12 frames to either side, so with as many of overlap the stretches join to the very samples of the whole.
"""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from processors.errors import EngineError, EngineUnavailableError
from processors.tts.onnx_graph import OnnxGraph

_BEGIN, _PAD, _END = "^", "_", "$"
_OVERLAP_FRAMES = 16
# Frames of 12 ms: the first stretch is short so that it sounds early.
_FIRST_FRAMES = 24
_MAX_FRAMES = 96
MEND = "sotto models pull piper-joe"

Audio = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class PiperConfig:
    """What a voice's `.onnx.json` says.

    Attributes:
        sample_rate_hz: Of its sound.
        espeak_voice: Whose phonemes it reads; empty for a voice that reads letters.
        ids: The network's numbers of each phoneme.
        noise_scale: How much sounds vary.
        noise_w: How much lengths vary.
        length_scale: The natural pace; more is slower.
        speakers: Number of each speaker; empty where there is one.
    """

    sample_rate_hz: int
    espeak_voice: str
    ids: dict[str, tuple[int, ...]]
    noise_scale: float
    noise_w: float
    length_scale: float
    speakers: dict[str, int]


def read_config(path: Path) -> PiperConfig:
    """Read a voice's configuration.

    Raises:
        EngineUnavailableError: It is missing or says something else.
    """
    try:
        told = json.loads(path.read_text("utf-8"))
        kind = told.get("phoneme_type", "espeak")
        if kind not in ("espeak", "text"):
            raise ValueError(f"phonemes of the kind {kind!r} are not known")
        inference = told.get("inference", {})
        config = PiperConfig(
            sample_rate_hz=int(told["audio"]["sample_rate"]),
            espeak_voice=str(told["espeak"]["voice"]) if kind == "espeak" else "",
            ids={phoneme: tuple(map(int, ids)) for phoneme, ids in told["phoneme_id_map"].items()},
            noise_scale=float(inference.get("noise_scale", 0.667)),
            noise_w=float(inference.get("noise_w", 0.8)),
            length_scale=float(inference.get("length_scale", 1.0)),
            speakers={str(name): int(number) for name, number in told.get("speaker_id_map", {}).items()},
        )
        missing = [mark for mark in (_BEGIN, _PAD, _END) if mark not in config.ids]
        if missing:
            raise ValueError(f"phoneme_id_map lacks {missing[0]!r}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise EngineUnavailableError(f"piper voice {path} cannot be read ({' '.join(why.split())})", MEND) from error
    return config


@dataclass(frozen=True)
class Utterance:
    """What the first half of the network makes of phonemes.

    Attributes:
        latent: What the decoder reads, shape (1, n_channels, n_frames).
        phoneme_frames: Where each phoneme that was handed in ends, in frames, shape (n_phonemes,).
        speaker: Number of the speaker.
    """

    latent: Audio
    phoneme_frames: np.ndarray[Any, np.dtype[np.float64]]
    speaker: int


class PiperModel:
    """A loaded voice.

    Args:
        model_path: The ONNX file; its configuration lies beside it, as `.onnx.json`.
        threads: CPU threads of one synthesis.
        providers: Of onnxruntime, in order of preference.

    Raises:
        EngineUnavailableError: A file is missing or broken, or no VITS that Piper exported.
    """

    def __init__(self, model_path: Path, *, threads: int, providers: Sequence[str]) -> None:
        import onnxruntime

        self.config = read_config(model_path.with_name(f"{model_path.name}.json"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # onnxruntime raises its own kinds for a broken file, which derive from Exception alone.
        try:
            graph = OnnxGraph(model_path.read_bytes())
            latent, durations, sound = _seams(graph)
            parts = (graph.part({}, [latent, durations]), graph.part({latent: 3}, [sound]))
            self._encoder, self._decoder = (
                onnxruntime.InferenceSession(part, sess_options=options, providers=list(providers)) for part in parts
            )
        except Exception as error:
            why = " ".join(str(error).split())
            raise EngineUnavailableError(f"piper voice {model_path} cannot be loaded ({why})", MEND) from error
        self._encoder_inputs = {tensor.name for tensor in self._encoder.get_inputs()}
        self._decoder_inputs = {tensor.name for tensor in self._decoder.get_inputs()}
        self._latent = latent
        self._hop_samples = self._measured_hop()

    def knows(self, phoneme: str) -> bool:
        """Whether the network has a number for a phoneme."""
        return phoneme in self.config.ids

    def encode(self, phonemes: str, *, speed: float, speaker: int = 0) -> Utterance:
        """Run the first half on an utterance.

        Args:
            phonemes: In Unicode's decomposed form (`decomposed`); those that it does not know are silent.
            speed: 1 is the natural pace.
            speaker: One of the configuration's.

        Raises:
            EngineError: The network failed.
        """
        pad = self.config.ids[_PAD]
        ids = [*self.config.ids[_BEGIN], *pad]
        ends: list[int] = []
        for phoneme in phonemes:
            known = self.config.ids.get(phoneme)
            ids += (*known, *pad) if known else ()
            ends.append(len(ids))
        ids += self.config.ids[_END]
        scales = [self.config.noise_scale, self.config.length_scale / speed, self.config.noise_w]
        inputs = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(scales, np.float32),
            "sid": np.array([speaker], np.int64),
        }
        latent, durations = self._run(self._encoder, {name: inputs[name] for name in self._encoder_inputs})
        frames_until = np.concatenate([[0.0], np.cumsum(durations.ravel())])
        return Utterance(latent, frames_until[ends], speaker)

    def decode(self, utterance: Utterance) -> Iterator[Audio]:
        """Make the sound of an utterance, a stretch at a time: the first short, each next twice as long.

        Yields:
            float32 about [-1, 1], shape (n_samples,).

        Raises:
            EngineError: The network failed.
        """
        n_frames = utterance.latent.shape[2]
        start, length = 0, _FIRST_FRAMES
        while start < n_frames:
            end = min(start + length, n_frames)
            before, behind = max(0, start - _OVERLAP_FRAMES), min(n_frames, end + _OVERLAP_FRAMES)
            inputs: dict[str, Any] = {self._latent: utterance.latent[:, :, before:behind]}
            if "sid" in self._decoder_inputs:
                inputs["sid"] = np.array([utterance.speaker], np.int64)
            (made,) = self._run(self._decoder, inputs)
            audio_f32 = made.reshape(-1)
            hop = len(audio_f32) // (behind - before)
            yield audio_f32[(start - before) * hop : (end - before) * hop]
            start, length = end, min(2 * length, _MAX_FRAMES)

    @property
    def frame_secs(self) -> float:
        """How long a frame of the network lasts: what one step of the decoder makes."""
        return self._hop_samples / self.config.sample_rate_hz

    def _measured_hop(self) -> int:
        """Samples of a frame; the configuration does not say."""
        utterance = self.encode("", speed=1.0)
        return sum(map(len, self.decode(utterance))) // utterance.latent.shape[2]

    def _run(self, session: Any, inputs: dict[str, Any]) -> list[Any]:
        # See above on onnxruntime's exceptions.
        try:
            return session.run(None, inputs)
        except Exception as error:
            raise EngineError(f"piper failed: {' '.join(str(error).split())}") from error


def decomposed(phonemes: str) -> str:
    """Phonemes as Piper's voices number them: an accent is a character of its own."""
    return unicodedata.normalize("NFD", phonemes)


def _seams(graph: OnnxGraph) -> tuple[str, str, str]:
    """Names of three tensors: what the decoder reads, each number's frames, the sound.

    Raises:
        ValueError: It is no VITS that Piper exported.
    """
    first_of_decoder = [node for node in graph.nodes if node.name == "/dec/conv_pre/Conv"]
    # The lengths are the only thing that is rounded up.
    rounded_up = [node for node in graph.nodes if node.type == "Ceil"]
    if len(first_of_decoder) != 1 or len(rounded_up) != 1 or len(graph.outputs) != 1:
        raise ValueError("it is no VITS voice that Piper exported")
    return first_of_decoder[0].inputs[0], rounded_up[0].outputs[0], graph.outputs[0]
