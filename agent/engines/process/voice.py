"""A synthesizer of the engine process; see `Synthesizer`.

In:  a sentence or clause.   Out: the chunks that the engine there makes, as they come.

Where the engine process ends in the middle of a text, the next one is asked to speak it again, and what has been given
already is left out.
"""

from loguru import logger

from agent.engines.process.ears import WAITING_THREADS
from agent.engines.process.lease import Lease
from agent.engines.process.line import RESTART_SECS, BrokenLineError, Line, Patience
from agent.engines.process.wire import Head
from agent.engines.process.words import UnknownLeaseError, voices_of, words_of
from processors.tts.synthesizer import SpeechChunk, SpokenWord, Voice


class RemoteSynthesizer:
    """See `Synthesizer`.

    Args:
        lease: Holds the engine.
        about: See `voice_json`.
        voice: Name, language and pace; None: as the engine is.
        standby: Whether the next one in the order is meant.

    Attributes:
        name: See `Synthesizer`.
        model: See there.
        sample_rate_hz: See there.
    """

    max_threads = WAITING_THREADS

    def __init__(
        self,
        lease: Lease,
        about: Head,
        voice: tuple[str | None, str, float] | None = None,
        *,
        standby: bool = False,
    ) -> None:
        self.name, self.model = str(about["name"]), str(about["model"])
        self.sample_rate_hz = int(about["sample_rate_hz"])
        self.lease = lease
        self._voice = voice
        self._standby = standby

    def hello(self, kind: str) -> Head:
        """How a line to it begins."""
        return {"kind": kind, "lease": self.lease.key, "standby": self._standby, "voice": self._voice}

    def synthesize(self, text: str) -> "RemoteSpeech":
        """See `Synthesizer.synthesize`."""
        return RemoteSpeech(self, text)

    def voices(self) -> list[Voice]:
        """See `Synthesizer.voices`."""
        return voices_of(self._ask(self.hello("voices")).get("voices"))

    def in_voice(self, voice: str | None, *, language: str, speed: float) -> "RemoteSynthesizer":
        """See `Synthesizer.in_voice`."""
        wanted = (voice, language, speed)
        about = self._ask(self.hello("in_voice") | {"voice": wanted})
        return RemoteSynthesizer(self.lease, about, wanted, standby=self._standby)

    def warm_up(self) -> None:
        """It is warm."""

    def close(self) -> None:
        """Let it go."""
        self.lease.close()

    def _ask(self, head: Head) -> Head:
        try:
            return self.lease.exchange.ask(head)[0]
        except UnknownLeaseError:
            self.lease.take()
            return self.lease.exchange.ask(head)[0]


class RemoteSpeech:
    """The chunks of one text; see `StoppableSpeech`."""

    def __init__(self, engine: RemoteSynthesizer, text: str) -> None:
        self._engine = engine
        self._text = text
        self._line: Line | None = None
        self._is_over = False
        # Given so far, and of that what the process that speaks now has still to leave out.
        self._n_bytes = self._n_words = 0
        self._skip_bytes = self._skip_words = 0

    def __iter__(self) -> "RemoteSpeech":
        return self

    def __next__(self) -> SpeechChunk:
        patience = Patience(RESTART_SECS)
        while not self._is_over:
            try:
                if self._line is None:
                    self._line = self._begun()
                head, pcm16 = self._line.receive()
            except BrokenLineError as error:
                self._hang_up()
                if self._is_over:
                    break
                if not patience.has_waited:
                    logger.warning(f"tts: {error}; the text is asked again")
                patience.wait(error)
                continue
            except UnknownLeaseError:
                self._hang_up()
                self._engine.lease.take()
                continue
            except BaseException:
                self._end()
                raise
            if "words" not in head:
                break
            if chunk := self._not_given_yet(pcm16, words_of(head["words"])):
                return chunk
        self._end()
        raise StopIteration

    def stop(self) -> None:
        """See `StoppableSpeech.stop`."""
        self._is_over = True
        if line := self._line:
            line.stop()

    def __del__(self) -> None:
        self._hang_up()

    def _begun(self) -> Line:
        line = Line(self._engine.lease.exchange.path)
        try:
            line.send(self._engine.hello("synthesis") | {"text": self._text})
        except BaseException:
            line.close()
            raise
        self._skip_bytes, self._skip_words = self._n_bytes, self._n_words
        return line

    def _not_given_yet(self, pcm16: bytes, words: tuple[SpokenWord, ...]) -> SpeechChunk | None:
        left_out = min(self._skip_bytes, len(pcm16))
        self._skip_bytes -= left_out
        n_words = min(self._skip_words, len(words))
        self._skip_words -= n_words
        pcm16, words = pcm16[left_out:], words[n_words:]
        self._n_bytes += len(pcm16)
        self._n_words += len(words)
        return SpeechChunk(pcm16, words) if pcm16 or words else None

    def _end(self) -> None:
        self._is_over = True
        self._hang_up()

    def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line:
            line.close()
