"""microWakeWord's models by the package pymicro-wakeword: four words, 40 us of work for 10 ms of sound and word.

In:  16 kHz mono s16.   Out: the words that were heard.

The package (Apache-2.0) holds TensorFlow Lite and the models; it opens no socket and writes no file. Its models are
listed without importing it. A model is 70 kB a stream; the library, loaded with the first, 4 MB.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from processors.errors import EngineError, EngineUnavailableError, one_line
from processors.wake.detector import BLOCK_SAMPLES, BYTES_PER_SAMPLE, COOLDOWN_SECS, SAMPLE_RATE_HZ, HeardWake, WakeWord

NAME, PACKAGE, MODULE = "pymicro", "pymicro-wakeword", "pymicro_wakeword"
MEND = "uv sync --extra wake"
# From the earliest end of a word to where its model is sure, measured on voices of Kokoro, Piper and espeak. The words
# that follow in one breath begin somewhere in it.
LAG_SECS = {"alexa": 0.26, "okay_nabu": 0.2, "hey_jarvis": 0.2, "hey_mycroft": 0.1}
USUAL_LAG_SECS = 0.2
_BLOCK_BYTES = BLOCK_SAMPLES * BYTES_PER_SAMPLE
_COOLDOWN_SAMPLES = round(COOLDOWN_SECS * SAMPLE_RATE_HZ)


class PymicroEngine:
    """The package, if it is installed.

    Attributes:
        words: Those of the package's models.

    Raises:
        EngineUnavailableError: It is not.
    """

    name = NAME

    def __init__(self) -> None:
        spec = find_spec(MODULE)
        folders = [Path(one) / "models" for one in (spec.submodule_search_locations or ())] if spec else []
        folder = next((folder for folder in folders if folder.is_dir()), None)
        if folder is None:
            raise EngineUnavailableError(f"wake words need the package {PACKAGE}", MEND)
        self._folder = folder
        self.words: Mapping[str, WakeWord] = {word.name: word for word in _words_in(folder)}

    @property
    def version(self) -> str:
        """Of the package."""
        try:
            return version(PACKAGE)
        except PackageNotFoundError:
            return "unknown"

    def detector(self, names: Sequence[str], threshold: float | None = None) -> "PymicroDetector":
        """See `WakeEngine`."""
        return PymicroDetector([self.words[name] for name in names], self._folder, threshold)


class PymicroDetector:
    """Hears some words in one stream.

    Args:
        words: Which.
        folder: Of their models.
        threshold: The probability from which they count; None: each one's own.

    Raises:
        EngineError: The library or a model cannot be loaded.
    """

    def __init__(self, words: Sequence[WakeWord], folder: Path, threshold: float | None) -> None:
        try:
            from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures

            self._features = MicroWakeWordFeatures()
            self._models: list[tuple[WakeWord, MicroWakeWord]] = [
                (word, MicroWakeWord.from_config(folder / f"{word.name}.json")) for word in words
            ]
        except (ImportError, OSError, ValueError, RuntimeError) as error:
            # The wheel is for a newer system, as a rule.
            raise EngineError(f"{PACKAGE} cannot be loaded: {one_line(error)}") from error
        self._threshold = threshold
        self._left = b""
        self._n_samples = 0
        self._quiet_until = 0

    def hear(self, pcm16: bytes) -> list[HeardWake]:
        """See `WakeDetector`."""
        sound = self._left + pcm16
        n_bytes = len(sound) // _BLOCK_BYTES * _BLOCK_BYTES
        self._left = sound[n_bytes:]
        heard: list[HeardWake] = []
        for at in range(0, n_bytes, _BLOCK_BYTES):
            self._n_samples += BLOCK_SAMPLES
            ago_samples = (len(sound) - at - _BLOCK_BYTES) // BYTES_PER_SAMPLE
            best = self._judge(sound[at : at + _BLOCK_BYTES], ago_samples)
            if best and self._n_samples >= self._quiet_until:
                self._quiet_until = self._n_samples + _COOLDOWN_SAMPLES
                heard.append(best)
        return heard

    def reset(self) -> None:
        """See `WakeDetector`."""
        self._features.reset()
        for _, model in self._models:
            model.reset()
        self._left = b""
        self._n_samples = self._quiet_until = 0

    def close(self) -> None:
        """See `WakeDetector`."""
        for _, model in self._models:
            model.close()

    def _judge(self, block: bytes, ago_samples: int) -> HeardWake | None:
        """The likeliest word that ends in this block, if any does."""
        best: HeardWake | None = None
        for features in self._features.process_streaming(block):
            for word, model in self._models:
                probability = float(model.process_streaming_prob(features) or 0.0)
                if not 0.0 <= probability <= 1.01:
                    raise EngineError(f"{word.name}: its model answers what is no probability")
                least = word.threshold if self._threshold is None else self._threshold
                if probability > least and (best is None or probability > best.probability):
                    lag_samples = round(LAG_SECS.get(word.name, USUAL_LAG_SECS) * SAMPLE_RATE_HZ)
                    best = HeardWake(word, probability, ago_samples, lag_samples)
        return best


def _words_in(folder: Path) -> Iterator[WakeWord]:
    for path in sorted(folder.glob("*.json")):
        # The package's own files: what cannot be read is a broken installation, not a broken conversation.
        config = json.loads(path.read_text(encoding="utf-8"))
        yield WakeWord(
            path.stem,
            str(config["wake_word"]),
            tuple(config.get("trained_languages", ())),
            str(config.get("author", "")),
            float(config["micro"]["probability_cutoff"]),
        )
