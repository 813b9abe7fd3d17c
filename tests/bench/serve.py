"""Start-up time and memory of `sotto serve` with the bundled engines, joined by real WebRTC peers.

Memory is that of the server's whole process tree, what several processes share counted once (PSS; where the system does
not tell, the resident size).
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import psutil

from tests.bench.table import median, show
from tests.support.house import SPEECH
from tests.support.served import Served, serving
from tests.support.webrtc_peer import Peer
from transports.recording import load_recording


def resident_mb(served: Served) -> float:
    """Memory of the server and its children."""
    process = psutil.Process(served.process.pid)
    family = [process, *process.children(recursive=True)]
    sizes = [member.memory_full_info() for member in family]
    return sum(getattr(size, "pss", size.rss) for size in sizes) / 2**20


async def talk(peer: Peer, question: str, n_answers: int) -> None:
    """Ask a question and wait until it has been answered."""
    peer.microphone.say(load_recording(SPEECH / question).audio_s16)
    await peer.until("bot_stopped_speaking", n_answers, timeout_secs=60)


async def memory(served: Served) -> tuple[float, float, float]:
    """Resident megabytes: idle, after a conversation of three turns, and with a second one of as many."""
    idle = resident_mb(served)
    peers = [Peer(served.url), Peer(served.url)]
    resident = []
    for peer in peers:
        await peer.join()
        for turn, question in enumerate(("capital_of_germany.wav", "tell_me_a_story.wav", "days_in_a_week.wav"), 1):
            await talk(peer, question, turn)
        resident.append(resident_mb(served))
    for peer in peers:
        await peer.leave()
    return idle, resident[0], resident[1] - resident[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5, help="how often the server is started")
    starts = parser.parse_args().starts
    ready_secs = []
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(starts):
            started = time.monotonic()
            with serving(Path(directory)) as served:
                ready_secs.append(time.monotonic() - started)
        with serving(Path(directory)) as served:
            idle, talking, second = asyncio.run(memory(served))
    spread = f"{min(ready_secs):.1f}-{max(ready_secs):.1f}"
    show(
        f"sotto serve, bundled engines, {psutil.cpu_count()} cores",
        [
            ("sotto serve to ready, median", f"{median(ready_secs):.1f} s ({spread})", "≤ 3.4 s"),
            ("resident memory, idle", f"{idle:.0f} MB", "≤ 520 MB"),
            ("resident memory, one conversation", f"{talking:.0f} MB", "≤ 900 MB"),
            ("second conversation's added memory", f"{second:.0f} MB", "≤ 60 MB"),
        ],
    )


if __name__ == "__main__":
    main()
