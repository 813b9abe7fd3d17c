"""Speech to text for a Wyoming client: its sound is kept as a WAV and transcribed as an upload of the HTTP API is.

In:  a request, then sound in any format that a WAV holds.   Out: transcript-start, transcript-chunk..., transcript,
transcript-stop.
"""

import time
import wave
from contextlib import ExitStack, aclosing
from dataclasses import dataclass

from loguru import logger
from wyoming.asr import Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.event import Event

from agent.server.speech.jobs import TranscriptionJobs
from agent.server.speech.request import audio_request_of
from agent.server.wire.errors import ApiError, api_error_of
from agent.server.wire.upload_budget import MEGABYTE, HeldFile
from agent.server.wyoming.events import bad_event, number_of, optional_text, texts_of
from agent.server.wyoming.line import Line
from agent.settings.serving import ServerSettings
from agent.transcripts import delta
from processors.errors import EngineError
from processors.stt.recognizer import TranscriptionRequest
from transports.errors import RecordingError
from transports.sound_file import MAX_RATE_HZ, MIN_RATE_HZ

MAX_WIDTH_BYTES = 4
MAX_CHANNELS = 32
HEADER_BYTES = 44
# What a WAV can hold, whatever the settings allow.
MOST_BYTES = 2**31
# A microphone sends sound as it is; who takes twice as long, and so much more, keeps its place from others.
GRACE_SECS, SLOWEST = 30.0, 2.0


@dataclass(frozen=True)
class Format:
    """Of sound.

    Attributes:
        rate_hz: Samples a second of each channel.
        width_bytes: Of one sample; single bytes are unsigned.
        n_channels: Side by side.
    """

    rate_hz: int
    width_bytes: int
    n_channels: int

    @classmethod
    def of(cls, event: Event) -> "Format":
        """What an event of sound says.

        Raises:
            ApiError: There is no such format.
        """
        return cls(
            number_of(event, "rate", MIN_RATE_HZ, MAX_RATE_HZ),
            number_of(event, "width", 1, MAX_WIDTH_BYTES),
            number_of(event, "channels", 1, MAX_CHANNELS),
        )

    @property
    def bytes_per_sec(self) -> int:
        """Of all channels."""
        return self.rate_hz * self.width_bytes * self.n_channels


def wanted_of(event: Event) -> TranscriptionRequest:
    """What `transcribe` asks for; its model's name is passed over, for one engine serves every name.

    Raises:
        ApiError: The language is none, or a field is of a wrong type.
    """
    language = optional_text(event.data, "language", event.type)
    hints = [*texts_of(event, "transcript_names"), *texts_of(event, "transcript_terms")]
    return audio_request_of({"language": [language or ""], "keywords": hints}).for_engine("transcribe")


class Hearing:
    """One stretch of sound, from its beginning to its transcript; has a place among the transcriptions meanwhile.

    Args:
        jobs: Transcribe.
        limits: How much of it there may be.
        wanted: What is asked for.
        format: Of the sound.

    Raises:
        ApiError: There is no place.
    """

    def __init__(
        self, jobs: TranscriptionJobs, limits: ServerSettings, wanted: TranscriptionRequest, format: Format
    ) -> None:
        self.format = format
        self._jobs = jobs
        self._limits = limits
        self._wanted = wanted
        self._begun_secs = time.monotonic()
        self._n_bytes = 0
        self._is_the_jobs = False
        self._held = ExitStack()
        self._held.enter_context(jobs.slot())
        self._file = HeldFile(jobs.uploads)
        self._held.callback(self._close_file)
        self._wav = wave.Wave_write(self._file)
        # Before the file, which it writes to as it closes.
        self._held.callback(self._wav.close)
        self._wav.setparams((format.n_channels, format.width_bytes, format.rate_hz, 0, "NONE", ""))

    def close(self) -> None:
        """Let go of the sound and of the place; a second time changes nothing."""
        self._held.close()

    def _close_file(self) -> None:
        # A thread may be reading it.
        if not self._is_the_jobs:
            self._file.close()

    def take(self, pcm: bytes) -> None:
        """Take more of the sound.

        Args:
            pcm: Of `format`, little-endian.

        Raises:
            ApiError: There is too much of it, it comes too slowly, or memory is short.
        """
        self._n_bytes += len(pcm)
        limits = self._limits
        secs = self._n_bytes / self.format.bytes_per_sec
        if secs > limits.max_audio_secs:
            what = f"the sound is longer than {limits.max_audio_secs:g} s (setting server.max_audio_secs)"
            raise ApiError(400, what, code="audio_too_long")
        if self._n_bytes > min(limits.max_upload_mb * MEGABYTE, MOST_BYTES):
            what = f"the sound is larger than {limits.max_upload_mb:g} MB (setting server.max_upload_mb)"
            raise ApiError(413, what, code="file_too_large")
        if time.monotonic() - self._begun_secs > GRACE_SECS + SLOWEST * secs:
            raise ApiError(408, "the sound comes at less than half its pace", code="upload_timeout")
        self._file.keep(HEADER_BYTES + self._n_bytes)
        self._wav.writeframesraw(pcm)

    async def transcribe(self, line: Line) -> None:
        """Send what was said, segment by segment as it is found, and all of it at the end.

        Raises:
            ApiError: It could not be transcribed.
            ClientGoneError: The client hung up.
        """
        if self._n_bytes < self.format.width_bytes * self.format.n_channels:
            await line.send(TranscriptStart(), Transcript(""), TranscriptStop())
            return
        # Fills in how long it is.
        self._wav.close()
        self._file.seek(0)
        started_secs = time.monotonic()
        job = self._jobs.job(self._file, self._wanted)
        self._is_the_jobs = True
        texts: list[str] = []
        language: str | None = None
        try:
            async with aclosing(job.segments()) as segments:
                async for segment in segments:
                    if not texts:
                        language = segment.language
                        await line.send(TranscriptStart(language=language))
                    texts.append(delta(segment, len(texts)))
                    await line.send(TranscriptChunk(texts[-1]))
        except (EngineError, RecordingError) as error:
            failure = api_error_of(error)
            if failure.status >= 500:
                logger.error(f"stt: a recording could not be transcribed: {error}")
            raise failure from error
        start = [] if texts else [TranscriptStart()]
        await line.send(*start, Transcript("".join(texts), language=language), TranscriptStop())
        took_secs = time.monotonic() - started_secs
        logger.info(f"recording transcribed: audio_secs={job.duration_secs:.1f} took_secs={took_secs:.2f}")


def check_same(event: Event, format: Format) -> None:
    """Sound does not change on its way.

    Raises:
        ApiError: It does.
    """
    if Format.of(event) != format:
        raise bad_event(f"{event.type}: rate, width and channels are not those of the sound before it")
