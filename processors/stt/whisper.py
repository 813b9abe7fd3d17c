"""The engine on Whisper: see `whisper_model.py` for the model, which this makes recognizers of.

In:  16 kHz mono s16 PCM.   Out: Transcripts of utterances, Segments of recordings.
"""

from collections.abc import Iterator

from processors.stt.recognizer import Pcm16, Segment, TranscriptionRequest
from processors.stt.utterance import UtteranceRecognizer
from processors.stt.whisper_files import transcribe_recording
from processors.stt.whisper_model import LoadedWhisper


class WhisperEngine(LoadedWhisper):
    """See `LoadedWhisper` and `RecognizerEngine`."""

    name = "whisper"
    max_threads = 1
    pauses_freely = True
    shows_partials = False

    def recognizer(self) -> UtteranceRecognizer:
        """A recognizer for one conversation."""
        return UtteranceRecognizer(self)

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Iterator[Segment]:
        """See `RecognizerEngine.transcribe`."""
        return transcribe_recording(self, audio_s16, request)
