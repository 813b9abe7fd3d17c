"""One utterance through Whisper: features, encoder, greedy tokens, text.

In:  16 kHz mono s16 of at most 30 s, and how long a window the encoder is shown.   Out: one Decoding.

faster-whisper's own call always encodes 30 s; CTranslate2 takes features of any length. What is done here otherwise is
what that call does with beam_size=1, temperature=0 and without_timestamps (`faster_whisper/transcribe.py`, MIT).
"""

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, Task
from processors.stt.samples import as_f32

FRAMES_PER_SEC = 100
# The sound may be this long; the rest of the 30 s is what the features' own padding takes.
MAX_SOUND_SECS = 29.9


@dataclass(frozen=True)
class Decoding:
    """What came out of one window.

    Attributes:
        text: As the model writes it, with its leading space.
        n_tokens: Of the text.
        language: ISO 639-1 code it was decoded in.
        avg_logprob: Mean log-probability of its tokens.
        no_speech_prob: The model's own doubt that anybody spoke.
        compression_ratio: Of the text; above 2.4 it repeats itself.
        cut_off: Whether it was ended by `max_tokens`.
    """

    text: str
    n_tokens: int
    language: str
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    cut_off: bool = False


class WhisperDecoder:
    """Decodes utterances with a loaded model.

    Args:
        library: A `faster_whisper.WhisperModel`.
        task: `translate` writes English whatever is spoken.
        prompt: Text that sets names, spelling and style.
        hotwords: Words to listen for.
    """

    def __init__(
        self, library: Any, task: Task = "transcribe", prompt: str | None = None, hotwords: tuple[str, ...] = ()
    ) -> None:
        self._library = library
        self._task = task
        self._prompt = prompt
        self._hotwords = hotwords
        self._prompts: dict[str, tuple[Any, list[int], list[int]]] = {}
        self._lock = threading.Lock()

    def decode(
        self,
        audio_s16: Pcm16,
        *,
        window_secs: float,
        language: str | None,
        max_tokens: int | None = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Decoding | None:
        """Decode an utterance.

        Args:
            audio_s16: shape (n_samples,), int16, 16 kHz; at most 29.9 s.
            window_secs: What the encoder is shown, at most 30; the sound and, after it, padding.
            language: ISO 639-1 code; None has it detected.
            max_tokens: A longer text is cut off there.
            wanted: Asked between encoder and decoder; False ends the work.

        Returns:
            The decoding, or None where it was no longer wanted.
        """
        encoded = self._encode(audio_s16, window_secs)
        if not wanted():
            return None
        if language is None:
            language = str(self._library.model.detect_language(encoded)[0][0][0])[2:-2]
        tokenizer, prompt, suppressed = self._prompt_in(language)
        max_length = self._library.max_length
        if max_tokens is not None:
            max_length = min(max_length, len(prompt) + max_tokens)
        result = self._library.model.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=max_length,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=suppressed,
        )[0]
        tokens = result.sequences_ids[0]
        text = tokenizer.decode(tokens)
        return Decoding(
            text,
            len(tokens),
            language,
            # A score is the mean over the tokens; the end counts as one of them.
            float(result.scores[0]) * len(tokens) / (len(tokens) + 1),
            float(result.no_speech_prob),
            compression_ratio(text),
            max_tokens is not None and len(tokens) >= max_tokens,
        )

    def _encode(self, audio_s16: Pcm16, window_secs: float) -> Any:
        features_f32 = self._library.feature_extractor(as_f32(audio_s16))
        n_frames = round(window_secs * FRAMES_PER_SEC)
        window_f32 = np.zeros((features_f32.shape[0], n_frames), np.float32)
        n_kept = min(n_frames, features_f32.shape[1])
        window_f32[:, :n_kept] = features_f32[:, :n_kept]
        return self._library.encode(window_f32)

    def _prompt_in(self, language: str) -> tuple[Any, list[int], list[int]]:
        """The tokenizer, what stands before the text, and the tokens that no text holds."""
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        with self._lock:
            if language not in self._prompts:
                library = self._library
                tokenizer = Tokenizer(
                    library.hf_tokenizer, library.model.is_multilingual, task=self._task, language=language
                )
                before = tokenizer.encode(f" {self._prompt.strip()}") if self._prompt else []
                hotwords = " ".join(self._hotwords) or None
                prompt = library.get_prompt(tokenizer, before, without_timestamps=True, hotwords=hotwords)
                self._prompts[language] = (tokenizer, prompt, list(get_suppressed_tokens(tokenizer, (-1,)) or ()))
            return self._prompts[language]


def compression_ratio(text: str) -> float:
    """How many bytes of a text zlib puts into one."""
    raw = text.strip().encode()
    return len(raw) / len(zlib.compress(raw))


def sound_secs(audio_s16: Pcm16) -> float:
    """How long a sound lasts."""
    return len(audio_s16) / SAMPLE_RATE_HZ
