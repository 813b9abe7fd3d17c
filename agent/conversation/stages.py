"""Which stage an error belongs to."""

from pipecat.frames.frames import ErrorFrame
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import LLMService
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport

from processors.ear.voice_activity import VoiceActivity
from processors.frames import STAGE
from processors.wake.gate import WakeGate

_STAGES = (
    ("stt", STTService),
    ("llm", LLMService),
    ("tts", TTSService),
    ("vad", VoiceActivity),
    ("wake", WakeGate),
    ("transport", BaseInputTransport),
    ("transport", BaseOutputTransport),
)


def stage_of(frame: ErrorFrame, source: FrameProcessor) -> str:
    """The stage that failed; `pipeline` where it is none of those that have a name.

    Args:
        frame: The error.
        source: The step that pushed it.
    """
    if stage := frame.metadata.get(STAGE):
        return stage
    processor = frame.processor or source
    return next((name for name, kind in _STAGES if isinstance(processor, kind)), "pipeline")
