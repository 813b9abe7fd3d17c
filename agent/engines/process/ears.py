"""A recognizer of the engine process; see `RecognizerEngine`.

In:  16 kHz mono s16 PCM.   Out: what the engine there answers.

Sound is sent a few frames at a time. What was said since the last turn is kept: where the engine process ends in the
middle of it, the next one is told all of it and asked again.
"""

import dataclasses
from collections.abc import Generator

from loguru import logger

from agent.engines.process.lease import Lease
from agent.engines.process.line import RESTART_SECS, BrokenLineError, Line, Patience
from agent.engines.process.wire import PIECE_BYTES, Head
from agent.engines.process.words import UnknownLeaseError, segment_of, transcript_of
from processors.stt.recognizer import (
    BYTES_PER_SAMPLE,
    SAMPLE_RATE_HZ,
    Pcm16,
    Segment,
    Transcript,
    TranscriptionRequest,
)

# Sound that is worth a message; words that are shown while somebody speaks are later by no more than that.
SEND_SECS = 0.06
SEND_BYTES = int(SEND_SECS * SAMPLE_RATE_HZ) * BYTES_PER_SAMPLE
# Of a process's threads, which only wait for the engine process.
WAITING_THREADS = 64
GOES_ON = "the engine process ended, and the next one has heard the turn from its beginning"


class RemoteRecognizerEngine:
    """See `RecognizerEngine`.

    Args:
        lease: Holds the engine.
        about: See `ears_json`.
        standby: Whether the next one in the order is meant.

    Attributes:
        name: See `RecognizerEngine`.
        model: See there.
        pauses_freely: See there; changes where another engine has taken over.
        shows_partials: See there.
    """

    max_threads = WAITING_THREADS

    def __init__(self, lease: Lease, about: Head, *, standby: bool = False) -> None:
        self.name, self.model = str(about["name"]), str(about["model"])
        self.pauses_freely = about["pauses_freely"] is True
        self.shows_partials = about["shows_partials"] is True
        self.lease = lease
        self._standby = standby

    def hello(self, kind: str) -> Head:
        """How a line to it begins."""
        return {"kind": kind, "lease": self.lease.key, "standby": self._standby}

    def recognizer(self) -> "RemoteRecognizer":
        """See `RecognizerEngine.recognizer`."""
        return RemoteRecognizer(self)

    def transcribe(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Generator[Segment, None, None]:
        """See `RecognizerEngine.transcribe`; asked again of the next engine process where one has ended on it."""
        n_told, patience = 0, Patience(RESTART_SECS)
        while True:
            try:
                for index, segment in enumerate(self._segments(audio_s16, request)):
                    if index >= n_told:
                        yield segment
                        n_told, patience = n_told + 1, Patience(RESTART_SECS)
                return
            except BrokenLineError as error:
                patience.wait(error)
            except UnknownLeaseError:
                self.lease.take()

    def warm_up(self) -> None:
        """It is warm."""

    def close(self) -> None:
        """Let it go."""
        self.lease.close()

    def _segments(self, audio_s16: Pcm16, request: TranscriptionRequest) -> Generator[Segment, None, None]:
        line = Line(self.lease.exchange.path)
        try:
            pcm16 = memoryview(audio_s16.astype("<i2", copy=False).tobytes())
            line.send(self.hello("transcription") | {"request": dataclasses.asdict(request), "n_bytes": len(pcm16)})
            for at in range(0, len(pcm16), PIECE_BYTES):
                line.send({}, pcm16[at : at + PIECE_BYTES])
            while "segment" in (head := line.receive()[0]):
                yield segment_of(head["segment"])
        finally:
            line.close()


class RemoteLanguagesEngine(RemoteRecognizerEngine):
    """One that knows more than English; see `KnowsLanguages`.

    Attributes:
        languages: ISO 639-1 codes.
    """

    def __init__(self, lease: Lease, about: Head, *, standby: bool = False) -> None:
        super().__init__(lease, about, standby=standby)
        self.languages = [str(code) for code in about["languages"]]


def remote_ears(lease: Lease, about: Head, *, standby: bool = False) -> RemoteRecognizerEngine:
    """The engine.

    Args:
        lease: Holds it.
        about: See `ears_json`.
        standby: Whether the next one in the order is meant.
    """
    kind = RemoteRecognizerEngine if about.get("languages") is None else RemoteLanguagesEngine
    return kind(lease, about, standby=standby)


class RemoteRecognizer:
    """See `Recognizer`; one line to the engine process, begun with the first sound."""

    def __init__(self, engine: RemoteRecognizerEngine) -> None:
        self._engine = engine
        self._line: Line | None = None
        self._trouble: str | None = None
        # Of the utterance: what the engine process has been told, and what has not been worth a message yet.
        self._told = bytearray()
        self._gathered = bytearray()
        self._text = ""

    def accept(self, pcm16: bytes) -> str:
        """See `Recognizer.accept`."""
        self._gathered += pcm16
        if len(self._gathered) >= SEND_BYTES:
            self._text = str(self._ask("accept").get("text", ""))
        return self._text

    def pause(self) -> Transcript:
        """See `Recognizer.pause`."""
        return transcript_of(self._ask("pause").get("transcript"))

    def finish(self) -> Transcript:
        """See `Recognizer.finish`."""
        try:
            return transcript_of(self._ask("finish").get("transcript"))
        finally:
            self._forget()

    def reset(self) -> None:
        """See `Recognizer.reset`."""
        self._forget()
        if self._line:
            try:
                self._line.ask({"op": "reset"})
            except BrokenLineError:
                # The next one has nothing to forget.
                self._hang_up()

    def take_trouble(self) -> str | None:
        """See `MendsItself.take_trouble`."""
        trouble, self._trouble = self._trouble, None
        return trouble

    def end(self) -> None:
        """See `EndsWithConversation.end`."""
        self._hang_up()

    def __del__(self) -> None:
        self._hang_up()

    def _ask(self, op: str) -> Head:
        pcm16, patience = bytes(self._gathered), Patience(RESTART_SECS)
        while True:
            try:
                if self._line is None:
                    self._line = self._begun()
                    if patience.has_waited and self._told:
                        self._trouble = GOES_ON
                answer, _ = self._tell(self._line, op, pcm16)
                break
            except BrokenLineError as error:
                self._hang_up()
                if not patience.has_waited:
                    logger.warning(f"stt: {error}; the turn is asked again")
                patience.wait(error)
            except UnknownLeaseError:
                self._hang_up()
                self._engine.lease.take()
        self._told += pcm16
        del self._gathered[: len(pcm16)]
        if answer.get("pauses_freely") is False:
            self._engine.pauses_freely = False
        if trouble := answer.get("trouble"):
            self._trouble = str(trouble)
        return answer

    def _begun(self) -> Line:
        """A line to the engine process that has heard all of the utterance so far."""
        line = Line(self._engine.lease.exchange.path)
        try:
            line.send(self._engine.hello("recognizer"))
            if self._told:
                self._tell(line, "accept", bytes(self._told))
        except BaseException:
            line.close()
            raise
        return line

    def _tell(self, line: Line, op: str, pcm16: bytes) -> tuple[Head, bytes]:
        last = max(0, len(pcm16) - 1) // PIECE_BYTES * PIECE_BYTES
        for at in range(0, last, PIECE_BYTES):
            line.ask({"op": "accept"}, pcm16[at : at + PIECE_BYTES])
        return line.ask({"op": op}, pcm16[last:])

    def _forget(self) -> None:
        self._told.clear()
        self._gathered.clear()
        self._text = ""

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line:
            line.close()
