"""Four callers who come, talk some minutes, leave and come again, and a visitor who types, uploads and looks in.

Two call by WebRTC, two by a WebSocket. Everyone speaks the recorded sentences in a circle, so that now and then one
speaks over an answer; those at the WebSocket interrupt and type as well.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress

import httpx
from websockets.exceptions import ConnectionClosed

from tests.bench.sessions.callers import call, encoded, spoken
from tests.support.sound_files import tone_s16, wav_of
from tests.support.websocket_caller import calling

N_CALLERS = 4
# So long each caller stays; different, so that they do not all come and go together.
STAYS_SECS = (170.0, 215.0, 245.0, 290.0)
ACT_SECS = 11.0
VISIT_SECS = 20.0
AWAY_SECS = 1.0


class Calls:
    """What the callers did.

    Attributes:
        n_calls: How often someone joined.
        n_visits: How often the visitor came.
        failures: What went wrong, in words.
    """

    def __init__(self) -> None:
        self.n_calls = 0
        self.n_visits = 0
        self.failures: list[str] = []


async def by_webrtc(url: str, first: float, stay_secs: float, calls: Calls, ending: asyncio.Event) -> None:
    """Call, talk, leave and call again until the end.

    Args:
        url: The server's address.
        first: With which of its sentences the caller begins, as a share of them.
        stay_secs: How long each call lasts.
        calls: Is told.
        ending: Set when it is over.
    """
    packets = encoded(spoken())
    while not ending.is_set():
        (caller,) = await call(url, packets, [int(first * len(packets))])
        calls.n_calls += 1
        await _unless(ending, stay_secs)
        if caller.pc.connectionState != "connected":
            calls.failures.append(f"a call by WebRTC was lost: {caller.pc.connectionState}")
        await caller.leave()
        await _unless(ending, AWAY_SECS)


async def by_websocket(url: str, first: float, stay_secs: float, calls: Calls, ending: asyncio.Event) -> None:
    """The same by a WebSocket, with typed turns and interruptions. Args as for `by_webrtc`."""
    talk_s16 = spoken()
    talk_secs = len(talk_s16) / 16_000
    while not ending.is_set():
        async with calling(f"{url.replace('http', 'ws')}/api/ws") as caller:
            await caller.join()
            calls.n_calls += 1
            caller.begin_to_speak()
            caller.say(talk_s16[int(first * len(talk_s16)) :])
            acts = itertools.cycle(({"type": "text", "text": "And of France?"}, {"type": "interrupt"}))
            until_spoken_secs = 0.0
            for _ in range(int(stay_secs / ACT_SECS)):
                if until_spoken_secs <= 0:
                    caller.say(talk_s16)
                    until_spoken_secs += talk_secs
                await _unless(ending, ACT_SECS)
                until_spoken_secs -= ACT_SECS
                caller.heard.clear()
                caller.arrivals.clear()
                if ending.is_set() or caller.ended.is_set():
                    break
                with suppress(ConnectionClosed):
                    await caller.tell(next(acts))
            if caller.ended.is_set():
                calls.failures.append(f"a call was closed: {caller.close_code} {caller.close_reason}")
        await _unless(ending, AWAY_SECS)


async def visits(url: str, calls: Calls, ending: asyncio.Event) -> None:
    """Ask in writing, upload a recording, look at the page and at /health, again and again."""
    talk = wav_of(tone_s16(2.0))
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        while not ending.is_set():
            await _visit(client, talk, calls)
            calls.n_visits += 1
            await _unless(ending, VISIT_SECS)


async def _visit(client: httpx.AsyncClient, talk: bytes, calls: Calls) -> None:
    asked = (
        client.get("/"),
        client.get("/health"),
        client.post("/api/chat", json={"text": "And of Spain?"}),
        client.post("/v1/audio/transcriptions", files={"file": ("talk.wav", talk)}, data={"model": "whisper-1"}),
    )
    for answer in await asyncio.gather(*asked):
        if answer.status_code != 200:
            calls.failures.append(f"{answer.request.url.path}: {answer.status_code} {answer.text[:200]}")


async def _unless(ending: asyncio.Event, secs: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(ending.wait(), secs)


def four(url: str, calls: Calls, ending: asyncio.Event, begin: Callable[..., object]) -> None:
    """Let all of them begin, each with another sentence."""
    for index, stay_secs in enumerate(STAYS_SECS):
        way = by_webrtc if index % 2 == 0 else by_websocket
        begin(way(url, index / N_CALLERS, stay_secs, calls, ending))
    begin(visits(url, calls, ending))
