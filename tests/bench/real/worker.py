"""One wiring in a process of its own, so that its processor time and memory are its own; asked line by line.

In:  a Row as JSON in the first argument; then on standard input, a line each, the path of a recording to say.
Out: on standard output one JSON line when it is ready, `{"ready": {...}}` or `{"missing": why}`, and one an answer.
Between its own turns it hears nothing, so that the wirings beside it have the machine to themselves.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from loguru import logger

from agent.conversation.activity import Activity
from agent.conversation.conversation import Conversation
from agent.conversation.event_log import Event
from agent.engines.host import start_model_host
from agent.settings.load import load_settings
from processors.errors import EngineError
from tests.bench.dynamics.measure import AUDIBLE_S16, first_sound_secs
from tests.bench.real.rows import Row
from tests.bench.real.stock import StockConversation
from transports.recorded import OUT_FRAME_BYTES, OUT_RATE_HZ, RecordedTransport
from transports.recording import load_recording

LEAD_SECS = 1.0
# A slow voice leaves seconds between two sentences: an answer is over after so long a silence.
SETTLE_SECS = 4.0
NO_ANSWER_SECS = 90.0
TICK_SECS = 0.005
MEMORY_EVERY_SECS = 0.5
PARTS = ("turn_ms", "stt_ms", "llm_ttft_ms", "tts_ttfb_ms")


class DeafTransport(RecordedTransport):
    """A recorded edge that passes sound on only while `listening`; its sound card ticks all the time."""

    def __init__(self) -> None:
        super().__init__()
        # Until it has been heard for a moment: events are timed from the first sound on.
        self.listening = True
        push = self._input.push_audio_frame

        async def push_if_listening(frame: Any) -> None:
            if self.listening:
                await push(frame)

        self._input.push_audio_frame = push_if_listening

    def is_playing(self) -> bool:
        """Whether the latest 20 ms are audible; without a copy of all that was played."""
        latest_s16 = np.frombuffer(bytes(self.card._heard[-OUT_FRAME_BYTES:]), "<i2")
        return bool(np.abs(latest_s16.astype(np.int32)).max() > AUDIBLE_S16)


class Meters:
    """Processor time, memory and event-loop lag of this process and its children while `running`."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self.running = False
        self.lags_ms: list[float] = []
        self.peak_mb = 0.0
        threading.Thread(target=self._watch_memory, daemon=True).start()

    def cpu_secs(self) -> float:
        """All of it, user and system, children that ended too."""
        times = self._process.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in self._process.children(recursive=True):
            of_child = child.cpu_times()
            total += of_child.user + of_child.system
        return total

    async def watch_lag(self) -> None:
        """Note how much each 5 ms is overslept."""
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK_SECS)
            if self.running:
                self.lags_ms.append((time.perf_counter() - before - TICK_SECS) * 1000)

    def _watch_memory(self) -> None:
        while True:
            tree = [self._process, *self._process.children(recursive=True)]
            resident = 0
            for process in tree:
                try:
                    resident += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak_mb = max(self.peak_mb, resident / 1e6)
            time.sleep(MEMORY_EVERY_SECS)


def parts_ms(events: Sequence[Event], end_secs: float) -> dict[str, float | None]:
    """What a wiring's own events tell of the time between the end of speech and the answer; the parts may overlap.

    Args:
        events: Of one turn.
        end_secs: The true end of speech.
    """
    latency = next((event for event in events if event["event"] == "latency"), {})
    parts = {part: latency.get(part) for part in PARTS}
    handed_secs = next((event["t"] for event in events if event["event"] == "turn_ended"), None)
    if parts["turn_ms"] is None and handed_secs is not None:
        # Stock takes no decision of its own: smart-turn judges, then the words are waited for, or a timeout.
        judged = [event["t"] for event in events if event["event"] == "turn_judged_over" and event["t"] <= handed_secs]
        over_secs = judged[-1] if judged else handed_secs
        parts |= {"turn_ms": (over_secs - end_secs) * 1000, "stt_ms": (handed_secs - over_secs) * 1000}
    return parts


class Wiring:
    """A conversation that is asked one recording at a time."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._transport = DeafTransport()
        self._card = self._transport.card
        self._activity = Activity()
        self._events: list[Event] = []
        self._meters = Meters()
        self._host: Any = None
        self._conversation: Any = None

    async def start(self) -> dict[str, Any]:
        """Load the engines; says which.

        Raises:
            EngineError: One is missing.
        """
        row, sinks, card = self._row, [self._activity, self._events.append], self._card
        asyncio.get_running_loop().create_task(self._meters.watch_lag())
        if row.wiring == "stock":
            self._conversation = StockConversation(
                self._transport,
                sinks,
                whisper=Path(row.whisper),
                kokoro=Path(row.kokoro),
                llm_url=row.llm_url,
                llm_model=row.llm_model,
            )
            engines = {"stt": f"whisper {Path(row.whisper).name}", "tts": f"kokoro {Path(row.kokoro).name}"}
        else:
            llm = {"llm.engine": "endpoint", "llm.base_url": row.llm_url, "llm.model": row.llm_model}
            settings = load_settings({**llm, "llm.temperature": 0.0, "tools.reflexes": False, **row.settings})
            self._host = await start_model_host(settings)
            self._conversation = Conversation(
                self._host, settings, self._transport, sinks, speech_end_secs=lambda: card.speech_end_secs
            )
            chosen = {"stt": self._host.stt, "tts": self._host.tts}
            engines = {stage: f"{choice.engine} {choice.model}" for stage, choice in chosen.items()}
        self._conversation.start()
        await self._silence()
        self._transport.listening = False
        return engines

    async def ask(self, path: Path, sound: Path) -> dict[str, Any]:
        """Say a recording and wait until the answer has been spoken.

        Args:
            path: The recording.
            sound: Where to keep what was played and the lags, as .npz.
        """
        card, n_events = self._card, len(self._events)
        self._transport.listening = True
        await self._silence()
        self._meters.lags_ms.clear()
        self._meters.running = True
        cpu_secs = self._meters.cpu_secs()
        card.say(load_recording(path))
        said_secs = card.now_secs
        end_secs = card.speech_end_secs or said_secs
        await self._answered(end_secs)
        cpu_secs = self._meters.cpu_secs() - cpu_secs
        self._meters.running = self._transport.listening = False
        self._activity.give_up()
        heard_s16 = card.sides()[1]
        events = self._events[n_events:]
        np.savez_compressed(
            sound, heard=heard_s16[round(said_secs * OUT_RATE_HZ) :], lags=np.array(self._meters.lags_ms, np.float32)
        )
        early_secs = first_sound_secs(heard_s16, said_secs, end_secs)
        first_secs = first_sound_secs(heard_s16, end_secs, card.now_secs)
        return {
            "cut_off": early_secs is not None,
            "voice_to_voice_ms": (first_secs - end_secs) * 1000 if first_secs and early_secs is None else None,
            **parts_ms(events, end_secs),
            "heard": " ".join(event["text"] for event in events if event["event"] == "turn_ended"),
            "errors": [event.get("message", "") for event in events if event["event"] == "error"],
            "cpu_secs": cpu_secs,
            "peak_mb": self._meters.peak_mb,
        }

    async def close(self) -> None:
        """End the conversation and free the engines."""
        if self._conversation:
            await self._conversation.stop("the bench is over")
        if self._host:
            await self._host.close()

    async def _answered(self, end_secs: float) -> None:
        """Wait until all has been quiet for a while after the answer, or none has come."""
        card = self._card
        spoken_secs: float | None = None
        while True:
            await card.next_tick()
            if self._transport.is_playing():
                spoken_secs = card.now_secs
            if card.is_saying or card.now_secs < end_secs:
                continue
            silent_secs = card.now_secs - max(end_secs, spoken_secs or 0.0)
            settled = spoken_secs is not None and self._activity.idle
            if silent_secs > (SETTLE_SECS if settled else NO_ANSWER_SECS):
                return

    async def _silence(self) -> None:
        """Wait until nothing of an earlier answer has come for a while."""
        quiet_since_secs = self._card.now_secs
        while self._card.now_secs - quiet_since_secs < LEAD_SECS:
            await self._card.next_tick()
            if self._transport.is_playing():
                quiet_since_secs = self._card.now_secs


async def _serve(row: Row) -> None:
    wiring = Wiring(row)
    try:
        engines = await wiring.start()
    except EngineError as error:
        _tell({"missing": str(error)})
        return
    _tell({"ready": engines})
    try:
        while line := await asyncio.to_thread(sys.stdin.readline):
            request = json.loads(line)
            _tell(await wiring.ask(Path(request["say"]), Path(request["sound"])))
    finally:
        await wiring.close()


def _tell(reply: dict[str, Any]) -> None:
    _OUT.write(json.dumps(reply) + "\n")
    _OUT.flush()


if __name__ == "__main__":
    logger.remove()
    # What libraries print is no reply.
    _OUT = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asyncio.run(_serve(Row(**json.loads(sys.argv[1]))))
