"""One Wyoming connection: which event asks for what, one request after the other.

In:  events of a client.   Out: events that answer them.

What fails is told in an `error` event, and ends the connection: Home Assistant waits for an answer until then. Events
that nobody knows are passed over.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from loguru import logger
from wyoming.error import Error
from wyoming.event import Event
from wyoming.ping import Pong

from agent.errors import one_line
from agent.server.guard.places import REQUEST_SECS
from agent.server.state import ServerState
from agent.server.wire.errors import ApiError, LoadingError
from agent.server.wire.uploads import ClientGoneError
from agent.server.wyoming.answering import answer
from agent.server.wyoming.events import bad_event, read_event
from agent.server.wyoming.hearing import Format, Hearing, check_same, wanted_of
from agent.server.wyoming.info import Services
from agent.server.wyoming.line import Line
from agent.server.wyoming.pace import Pace
from agent.server.wyoming.speaking import TextStream, speak_whole
from agent.server.wyoming.waking import Detecting, WakeService
from processors.stt.recognizer import TranscriptionRequest

# Until the next event of a request: sound comes as it is spoken, a text as a language model writes it.
SOUND_SECS, TEXT_SECS = 10.0, 60.0
# Between two requests.
IDLE_SECS = 120.0
# What belongs to no request, and gives none more time: it holds a place that others wait for.
BESIDE = ("describe", "ping")
BUG = "an error within the server; its log says more"


class Session:
    """A connection's requests.

    Args:
        state: What is served.
        services: What there is.
        wake: Hears wake words.
        line: To the client.
    """

    def __init__(self, state: ServerState, services: Services, wake: WakeService, line: Line) -> None:
        self._state = state
        self._services = services
        self._wake = wake
        self._line = line
        self._pace = Pace()
        self._is_first = True
        # When the request that is under way last came on.
        self._came_on_secs = time.monotonic()
        self._wanted: TranscriptionRequest | None = None
        self._hearing: Hearing | None = None
        self._detecting: Detecting | None = None
        self._stream: TextStream | None = None
        self._take: dict[str, Callable[[Event], Awaitable[None]]] = {
            "describe": self._describe,
            "ping": self._ping,
            "transcribe": self._transcribe,
            "detect": self._detect,
            "audio-start": self._audio_start,
            "audio-chunk": self._audio_chunk,
            "audio-stop": self._audio_stop,
            "synthesize": self._synthesize,
            "synthesize-start": self._synthesize_start,
            "synthesize-chunk": self._synthesize_chunk,
            "synthesize-stop": self._synthesize_stop,
            "transcript": self._transcript,
        }

    async def run(self) -> None:
        """Serve until the client goes or something fails; the connection is closed in the end."""
        is_polite = False
        try:
            while (event := await self._next()) is not None:
                await self._pace.keep(event)
                self._is_first = False
                self._line.work()
                if take := self._take.get(event.type):
                    await take(event)
                if self._is_idle:
                    self._line.wait()
                if self._is_idle or (take and event.type not in BESIDE):
                    self._came_on_secs = time.monotonic()
        except TimeoutError:
            # Who has nothing to ask for a while is let go of without a word.
            is_polite = not self._is_idle and await self._tell("no whole event came in time", "timeout")
        except (ClientGoneError, OSError):
            pass
        except ApiError as error:
            is_polite = await self._tell(str(error), error.code)
        except Exception:  # noqa: BLE001 - the edge: one connection's failure is nobody else's
            logger.exception("wyoming: a request failed")
            is_polite = await self._tell(BUG, "internal_error")
        finally:
            await self._let_go()
            await self._line.close(politely=is_polite)

    async def _next(self) -> Event | None:
        """The next event; a text that is being spoken may fail meanwhile."""
        if self._stream is None:
            return await read_event(self._line.reader, self._patience_secs)
        reading = asyncio.create_task(read_event(self._line.reader, self._patience_secs), name="wyoming-read")
        try:
            await asyncio.wait({reading, self._stream.speaking}, return_when=asyncio.FIRST_COMPLETED)
            if self._stream.speaking.done():
                await self._stream.speaking
            return await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    @property
    def _is_idle(self) -> bool:
        return not (self._is_first or self._hearing or self._stream or self._wanted or self._detecting)

    @property
    def _patience_secs(self) -> float:
        return self._most_secs - (time.monotonic() - self._came_on_secs)

    @property
    def _most_secs(self) -> float:
        if self._is_first:
            return REQUEST_SECS
        if self._hearing or self._wanted or self._detecting:
            return SOUND_SECS
        return TEXT_SECS if self._stream else IDLE_SECS

    async def _tell(self, problem: str, code: str | None) -> bool:
        """Whether the client has been told."""
        try:
            await self._line.send(Error(one_line(problem), code))
        except ClientGoneError:
            return False
        return True

    async def _let_go(self) -> None:
        hearing, self._hearing = self._hearing, None
        stream, self._stream = self._stream, None
        detecting, self._detecting = self._detecting, None
        if detecting:
            detecting.close()
        if hearing:
            hearing.close()
        if stream:
            await stream.close()

    async def _describe(self, _: Event) -> None:
        await self._line.send(await self._services.info())

    async def _ping(self, event: Event) -> None:
        text = event.data.get("text")
        await self._line.send(Pong(text if isinstance(text, str) else None))

    async def _transcribe(self, event: Event) -> None:
        if self._detecting:
            # The word has been heard, or is not wanted any more.
            self._detecting.close()
            self._detecting = None
        self._wanted = wanted_of(event)

    async def _detect(self, event: Event) -> None:
        if self._hearing or (self._detecting and self._detecting.format):
            raise bad_event("detect: the sound before it has not ended")
        self._detecting = Detecting(self._wake.host(), event, self._state.settings.wake.threshold)

    async def _audio_start(self, event: Event) -> None:
        if self._hearing or (self._detecting and self._detecting.format):
            raise bad_event("audio-start: the sound before it has not ended")
        if self._detecting:
            self._detecting.begin(Format.of(event))
            return
        if (jobs := self._state.jobs()) is None:
            raise LoadingError
        wanted = self._wanted or TranscriptionRequest()
        self._hearing = Hearing(jobs, self._state.settings.server, wanted, Format.of(event))

    async def _audio_chunk(self, event: Event) -> None:
        # Some clients begin with the sound itself.
        if self._hearing is None and not (self._detecting and self._detecting.format):
            await self._audio_start(event)
        if self._detecting and self._detecting.format:
            check_same(event, self._detecting.format)
            taking = self._detecting.take(event.payload or b"", event.data.get("timestamp"), self._line)
            await self._line.unless_gone(taking)
        elif self._hearing:
            check_same(event, self._hearing.format)
            self._hearing.take(event.payload or b"")

    async def _audio_stop(self, _: Event) -> None:
        if self._detecting:
            await self._line.unless_gone(self._detecting.finish(self._line))
            await self._let_go()
            return
        if self._hearing is None:
            raise bad_event("audio-stop: no sound has begun")
        try:
            await self._line.unless_gone(self._hearing.transcribe(self._line))
        finally:
            self._wanted = None
            await self._let_go()

    async def _synthesize(self, event: Event) -> None:
        # What comes in pieces comes once more as a whole, for servers that know no pieces.
        if self._stream is None:
            await self._line.unless_gone(speak_whole(self._state, event, self._line))

    async def _synthesize_start(self, event: Event) -> None:
        if self._stream:
            raise bad_event("synthesize-start: the text before it has not ended")
        self._stream = TextStream(self._state, event, self._line)

    async def _synthesize_chunk(self, event: Event) -> None:
        if self._stream is None:
            raise bad_event("synthesize-chunk: no synthesize-start came before it")
        self._stream.take(event)

    async def _synthesize_stop(self, _: Event) -> None:
        if self._stream is None:
            raise bad_event("synthesize-stop: no synthesize-start came before it")
        try:
            await self._line.unless_gone(self._stream.finish())
        finally:
            await self._let_go()

    async def _transcript(self, event: Event) -> None:
        await self._line.unless_gone(answer(self._state, event, self._line))
