"""Recorded conversations leave the same event log behind through each door: turns, words and history."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import soxr
from wyoming.asr import Transcribe

from agent.server.calls.sessions import LiveSessions
from agent.settings.load import Settings
from tests.agent.server import test_asterisk_socket, test_telephone, test_telephone_providers
from tests.agent.server.realtime.stage import staged
from tests.agent.server.test_websocket import calling, holding
from tests.agent.server.test_wyoming import answered, house, sound, transcribed
from tests.support.asterisk_callers import audio_socket_call
from tests.support.house import SPEECH, hold, hosting, say
from tests.support.llm_session import options
from tests.support.realtime_caller import RATE_HZ, RealtimeCaller, calling_realtime
from tests.support.realtime_peer import call_realtime
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.telephone_house import Lines, holding_lines
from tests.support.telephone_sound import at_telephone_rate
from tests.support.virtual_time import in_virtual_time
from tests.support.webrtc_peer import Peer
from transports.recording import Pcm16, load_recording

# Of virtual time: what was heard last comes into the history behind its last sound.
SETTLED_SECS = 1.0
# What the log tells of a turn, in order; a pause within it is nobody's turn.
TOLD = ("turn_ended", "bot_started_speaking", "bot_word", "bot_stopped_speaking", "interruption", "error")
# A system's own: when it notices voice, and when the model is asked, differ with each line's delay.
WORDS = ("transcript", "llm_done")
CALL_ID = UUID("40325ec2-5efd-4bd3-805f-53576e581d13")
PBX: dict[str, dict[str, Any]] = {"pbx": {"provider": "asterisk", "audiosocket_port": 0}}
LONG_REPLY = test_telephone.LONG_REPLY

# Says a recording by its name, at the pace of real time.
Say = Callable[[str], None]
Wait = Callable[[str, int], Awaitable[object]]


@dataclass(frozen=True)
class Script:
    """A conversation.

    Attributes:
        heard: What the user's recordings are understood as.
        replies: Of the language model.
        cuts_in: Whether the second recording comes over the first answer.
    """

    heard: tuple[str, str]
    replies: tuple[str, str]
    recordings: tuple[str, str] = ("capital_of_germany", "days_in_a_week")
    cuts_in: bool = False

    @property
    def history(self) -> list[tuple[str, str]]:
        """Where nothing is cut."""
        turns = zip(self.heard, self.replies, strict=True)
        return [told for heard, reply in turns for told in (("user", heard), ("assistant", reply))]

    async def play(self, say: Say, until: Wait) -> None:
        """Hold it.

        Args:
            say: Says a recording.
            until: Waits for so many events of a name.
        """
        first, second = self.recordings
        say(first)
        if self.cuts_in:
            await until("bot_started_speaking", 1)
            await asyncio.sleep(0.5)
        else:
            await until("bot_stopped_speaking", 1)
        say(second)
        await until("bot_stopped_speaking", 2)
        await asyncio.sleep(SETTLED_SECS)


def recording(name: str) -> Pcm16:
    return load_recording(SPEECH / f"{name}.wav").audio_s16


def spoken(say_s16: Callable[[Pcm16], None]) -> Say:
    """Says what is recorded at 16 kHz."""
    return lambda name: say_s16(recording(name))


def phoned(say_s16: Callable[[Pcm16], None]) -> Say:
    """Says it as a telephone has it."""
    return lambda name: say_s16(at_telephone_rate(recording(name)))


@asynccontextmanager
async def microphone(caller: RealtimeCaller) -> AsyncIterator[Say]:
    """Of a Realtime client: what it says, silence else, in pieces of 20 ms at the pace of real time."""
    to_say = bytearray()

    def say_s16(audio_s16: Pcm16) -> None:
        to_say.extend(soxr.resample(audio_s16, 16_000, RATE_HZ).astype("<i2").tobytes())

    async def speak() -> None:
        n_bytes, due_secs = RATE_HZ // 50 * 2, time.monotonic()
        while True:
            piece = bytes(to_say[:n_bytes]).ljust(n_bytes, b"\0")
            del to_say[:n_bytes]
            await caller.connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())
            due_secs += 0.02
            await asyncio.sleep(max(0.0, due_secs - time.monotonic()))

    speaking = asyncio.create_task(speak())
    try:
        yield spoken(say_s16)
    finally:
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)


TURNS = Script(
    ("what is the capital of germany", "who wrote hamlet"), ("The capital is Berlin.", "It was Shakespeare.")
)
BARGE_IN = Script(
    ("count please", "who wrote hamlet"), (LONG_REPLY, "Shakespeare."), ("days_in_a_week", "stop"), cuts_in=True
)


@dataclass
class Left:
    """What a conversation left behind."""

    events: Sequence[dict[str, Any]]
    history: list[tuple[str, str]]

    def log(self) -> list[tuple[str, Any]]:
        """The lines that tell of turns, in order, and the words that were understood and answered."""
        told = [(event["event"], event.get("text")) for event in self.events if event["event"] in TOLD]
        words = [(event["event"], event["text"]) for name in WORDS for event in self.events if event["event"] == name]
        return [*told, *words]

    def named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]


def pairs(messages: Sequence[Any]) -> list[tuple[str, str]]:
    return [(message["role"], message.get("content", message.get("text"))) for message in messages]


class Log:
    """The event log of the one conversation that a server holds."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._changed = asyncio.Event()

    def take(self, message: dict[str, Any]) -> None:
        """What a page would be told."""
        if message["type"] == "event":
            self.events.append(message["event"])
            self._changed.set()

    async def until(self, name: str, count: int) -> None:
        async with asyncio.timeout(60):
            while sum(event["event"] == name for event in self.events) < count:
                self._changed.clear()
                await self._changed.wait()


def noted(live: LiveSessions) -> Log:
    """That of the conversation that begins there."""
    log, start = Log(), live.start

    def start_noted(plan: Any, transport: Any, send: Any, *more: Any, **others: Any) -> Any:
        def tell(message: dict[str, Any]) -> None:
            log.take(message)
            send(message)

        return start(plan, transport, tell, *more, **others)

    live.start = start_noted
    return log


async def by_replay(script: Script) -> Left:
    first, second = (f"{name}.wav" for name in script.recordings)
    steps = [say(first), say(second, after="bot_started_speaking", delay_secs=0.5) if script.cuts_in else say(second)]
    async with (
        ScriptedLLM(*map(Reply, script.replies)) as llm,
        hosting(ScriptedRecognizerEngine(*script.heard), options(llm), ScriptedSynthesizer()) as host,
    ):
        held = await hold(host, steps, settings=Settings.model_validate({"turn": {"speculate": False}}))
    return Left(held.events, pairs(held.history))


async def by_the_pages_websocket(script: Script) -> Left:
    async with holding(*script.heard, replies=script.replies) as (url, sessions), calling(url) as caller:
        answer = await caller.join(options={"turn.speculate": False})
        caller.begin_to_speak()
        await script.play(spoken(caller.say), caller.until_event)
        history = sessions.histories.find(answer["conversation"])
        assert history
        turns = list(history.context.messages)
    return Left(caller.events, pairs(turns))


async def by_the_pages_webrtc(script: Script) -> Left:
    async with staged(*script.heard, replies=script.replies) as stage:
        peer = Peer(stage.url.removesuffix("/v1"))
        try:
            await peer.join()
            await peer.until("session_started")
            await script.play(spoken(peer.microphone.say), peer.until)
            turns = stage.history()
        finally:
            await peer.leave()
    return Left(peer.events, pairs(turns))


async def by_realtime(script: Script, *, is_ahead: bool = False) -> Left:
    settings = {"server.realtime_sound": "ahead" if is_ahead else "paced"}
    async with (
        staged(*script.heard, replies=script.replies, **settings) as stage,
        calling_realtime(stage.url) as caller,
    ):
        log = noted(stage.live)
        async with microphone(caller) as say:
            await script.play(say, log.until)
        return Left(log.events, pairs(stage.history()))


async def by_realtimes_webrtc(script: Script) -> Left:
    async with staged(*script.heard, replies=script.replies) as stage:
        log = noted(stage.live)
        async with call_realtime(stage.url) as peer:
            await script.play(spoken(peer.say), log.until)
            return Left(log.events, pairs(stage.history()))


@asynccontextmanager
async def twilio(script: Script) -> AsyncIterator[tuple[Lines, Say]]:
    async with (
        holding_lines(test_telephone.LINES, *script.heard, replies=script.replies) as lines,
        test_telephone.in_call(lines) as caller,
    ):
        yield lines, phoned(caller.say)


@asynccontextmanager
async def other_provider(provider: str, script: Script) -> AsyncIterator[tuple[Lines, Say]]:
    async with (
        holding_lines(test_telephone_providers.LINES, *script.heard, replies=script.replies) as lines,
        test_telephone_providers.in_call(lines, provider) as caller,
    ):
        yield lines, phoned(caller.say)


@asynccontextmanager
async def audio_socket(script: Script) -> AsyncIterator[tuple[Lines, Say]]:
    async with (
        holding_lines(PBX, *script.heard, replies=script.replies) as lines,
        audio_socket_call(lines.audio_ports["pbx"]) as caller,
    ):
        await caller.begin(CALL_ID)
        yield lines, phoned(caller.say)


@asynccontextmanager
async def chan_websocket(script: Script) -> AsyncIterator[tuple[Lines, Say]]:
    async with (
        holding_lines(test_asterisk_socket.LINES, *script.heard, replies=script.replies) as lines,
        test_asterisk_socket.asterisk_call(lines) as caller,
    ):
        await caller.begin()
        yield lines, caller.say


OnTheLine = Callable[[Script], AbstractAsyncContextManager[tuple[Lines, Say]]]


async def by_telephone(line: OnTheLine, script: Script) -> Left:
    async with line(script) as (lines, say):
        await script.play(say, lines.until_event)
        return Left(lines.events, pairs(lines.history()))


DOORS: dict[str, Callable[[Script], Awaitable[Left]]] = {
    "replay": by_replay,
    "the page's WebSocket": by_the_pages_websocket,
    "the page's WebRTC": by_the_pages_webrtc,
    "Realtime by WebSocket": by_realtime,
    "Realtime by WebSocket, ahead of its time": partial(by_realtime, is_ahead=True),
    "Realtime by WebRTC": by_realtimes_webrtc,
    "Twilio": partial(by_telephone, twilio),
    "Telnyx": partial(by_telephone, partial(other_provider, "telnyx")),
    "Plivo": partial(by_telephone, partial(other_provider, "plivo")),
    "AudioSocket": partial(by_telephone, audio_socket),
    "chan_websocket": partial(by_telephone, chan_websocket),
}


@pytest.mark.parametrize("door", DOORS)
@in_virtual_time
async def test_a_recorded_conversation_leaves_the_same_log_through_every_door(door: str) -> None:
    left = await DOORS[door](TURNS)
    expected: list[tuple[str, Any]] = []
    for heard, reply in zip(TURNS.heard, TURNS.replies, strict=True):
        words = [("bot_word", word) for word in reply.split()]
        expected += [("turn_ended", heard), ("bot_started_speaking", None), *words, ("bot_stopped_speaking", None)]
    expected += [*(("transcript", heard) for heard in TURNS.heard), *(("llm_done", reply) for reply in TURNS.replies)]
    assert left.log() == expected
    assert left.history == TURNS.history


@pytest.mark.parametrize("door", DOORS)
@in_virtual_time
async def test_a_recorded_barge_in_cuts_the_same_answer_off_through_every_door(door: str) -> None:
    left = await DOORS[door](BARGE_IN)
    words = [event["text"] for event in left.named("bot_word")]
    heard = words[: words.index(BARGE_IN.replies[1])]
    # Half a second, what it takes to know that it is one, and a line's own delay: of words of a quarter of a second.
    assert 3 <= len(heard) <= 7
    assert heard == LONG_REPLY.split()[: len(heard)]
    [cut] = left.named("interruption")
    assert cut["heard"] == " ".join(heard)
    assert left.history == [
        *(("user", BARGE_IN.heard[0]), ("assistant", cut["heard"])),
        *(("user", BARGE_IN.heard[1]), ("assistant", BARGE_IN.replies[1])),
    ]
    lines = [(name, text) for name, text in left.log() if name in TOLD and name != "bot_word"]
    assert lines == [
        *(("turn_ended", BARGE_IN.heard[0]), ("bot_started_speaking", None)),
        *(("interruption", None), ("bot_stopped_speaking", None)),
        *(("turn_ended", BARGE_IN.heard[1]), ("bot_started_speaking", None), ("bot_stopped_speaking", None)),
    ]


async def test_home_assistants_door_hears_and_answers_the_same_words() -> None:
    """Ears and brain are asked one after the other there: no conversation of its own, and so no log."""
    ears = ScriptedRecognizerEngine()
    async with ScriptedLLM(*map(Reply, TURNS.replies)) as llm, house(ears, options(llm)) as here:
        left: list[tuple[str, str]] = []
        for heard in TURNS.heard:
            ears.texts.append(heard)
            async with here.wyoming.caller() as caller:
                words = await transcribed(caller, Transcribe(), *sound())
                reply = await answered(caller, words, conversation_id="1")
            left += [("user", words), ("assistant", reply.data["text"])]
        asked = llm.requests[-1].messages
    assert left == TURNS.history
    # The second question brings along the first with its answer.
    assert [content for _, content in pairs(asked)[-3:-1]] == [TURNS.heard[0], TURNS.replies[0]]
