"""How fast a model that is not here would be on this machine: estimated from engines that were measured on it.

In:  a model of the catalogue, measured speeds of engines that serve now.   Out: seconds for a second of speech.

The table holds what was measured on one machine of two shared cores, and for the larger models of a family what their
work is beside the smaller one's (parameters of what runs for each second of sound; the bytes that a language model
reads for each token). Another machine is taken to be faster or slower by the same factor for all.
"""

from collections.abc import Mapping

from agent.engines.speed import Speed
from agent.models.catalogue import Model

# Seconds of computing for a second of speech, on the machine of the table.
_WHISPER_TINY = 0.41
_KOKORO = 1.2
_REFERENCE: dict[str, float] = {
    # Whisper's encoders have 8, 20, 88, 307 and 637 million parameters; beside them there is the decoding.
    "tiny.en": _WHISPER_TINY,
    "tiny": _WHISPER_TINY,
    "base.en": 2 * _WHISPER_TINY,
    "base": 2 * _WHISPER_TINY,
    "small.en": 6 * _WHISPER_TINY,
    "small": 6 * _WHISPER_TINY,
    "medium.en": 20 * _WHISPER_TINY,
    "distil-large-v3": 38 * _WHISPER_TINY,
    "large-v3-turbo": 38 * _WHISPER_TINY,
    "large-v3": 45 * _WHISPER_TINY,
    "moonshine-tiny": 0.3,
    "moonshine-base": 0.6,
    "kokoro": _KOKORO,
    "kokoro-int8-timed": _KOKORO,
    "kokoro-int8": _KOKORO,
    "kitten": 0.3,
    "pocketsphinx": 0.23,
    "SmolLM2-135M-Instruct": 0.116,
}
_PIPER = _KOKORO / 6
# Six hundred million parameters for each step of 80 ms, in 8 bits; smaller chunks look back oftener.
_NEMOTRON_BY_CHUNK_MS = {80: 1.6, 160: 1.0, 320: 0.7, 560: 0.55, 1120: 0.45}
# A language model's work is reading its weights: what 98 MB take in the table, by the byte.
_LLM_FOR_A_BYTE = 0.116 / 98_000_000


def estimated_factor(model: Model, measured: Mapping[str, Speed]) -> float | None:
    """Seconds of computing that a second of speech would take here; None where nothing tells.

    Args:
        model: Not measured itself.
        measured: Speeds on this machine, by what was measured: a name of the catalogue, or of what comes with sotto.
    """
    work = _work(model)
    if work is None:
        return None
    scale = next((speed.factor / _REFERENCE[name] for name, speed in measured.items() if name in _REFERENCE), None)
    return None if scale is None else work * scale


def _work(model: Model) -> float | None:
    if model.engine == "piper":
        return _PIPER
    if model.stage == "llm":
        return _LLM_FOR_A_BYTE * model.size_bytes
    if model.engine == "nemotron":
        chunk = model.name.rpartition("-")[2].removesuffix("ms")
        return _NEMOTRON_BY_CHUNK_MS.get(int(chunk)) if chunk.isdigit() else None
    return _REFERENCE.get(model.name)
