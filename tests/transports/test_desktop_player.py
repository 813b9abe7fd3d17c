"""The playing side: pacing, interruptions and exact counts, without a device and without a clock."""

import asyncio
import threading
import time

import numpy as np
import pytest

from transports.desktop_devices import StreamFormat
from transports.desktop_player import DesktopPlayer
from transports.play_queue import Playout, PlayQueue

RATE_HZ = 24_000
DEVICE_HZ = 48_000
BLOCK = DEVICE_HZ // 100
CHUNK_SECS = 0.02


def chunk(value: int = 1000) -> bytes:
    """20 ms of the agent's sound."""
    return np.full(round(RATE_HZ * CHUNK_SECS), value, "<i2").tobytes()


def ready_player(rate_hz: int = DEVICE_HZ) -> tuple[DesktopPlayer, PlayQueue]:
    """A player and the queue that a device of that rate would play from."""
    player = DesktopPlayer(RATE_HZ)
    queue = player.queue_for(StreamFormat(rate_hz, 1, 1))
    player.use(queue)
    player.begin()
    return player, queue


def take(player: DesktopPlayer, queue: PlayQueue, n_blocks: int) -> int:
    """Play blocks as a device does; returns how many there were."""
    block = np.zeros(queue.block_samples, np.int16)
    n_taken = sum(queue.take(block) for _ in range(n_blocks))
    player.moved()
    return n_taken


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_than_60_ms_wait() -> None:
    player, queue = ready_player()
    for _ in range(3):
        await player.write(chunk())
    assert player.playout == Playout(DEVICE_HZ, written_samples=6 * BLOCK, queued_samples=6 * BLOCK)
    fourth = asyncio.create_task(player.write(chunk()))
    await settle()
    assert not fourth.done()
    take(player, queue, 1)
    await settle()
    # One of its two blocks has found room.
    assert not fourth.done()
    assert player.queued_secs == 0.06
    take(player, queue, 1)
    assert await fourth
    assert player.queued_secs == 0.06


async def test_an_interruption_empties_the_queue_and_tells_what_was_played_to_the_sample() -> None:
    player, queue = ready_player()
    for _ in range(3):
        await player.write(chunk())
    take(player, queue, 2)
    await player.write(chunk())
    take(player, queue, 1)
    playout = player.cut()
    assert playout == Playout(DEVICE_HZ, 8 * BLOCK, played_samples=3 * BLOCK, dropped_samples=5 * BLOCK)
    assert playout.played_secs == 0.03
    assert take(player, queue, 1) == 0


async def test_a_writer_that_waits_gives_up_at_an_interruption() -> None:
    player, queue = ready_player()
    for _ in range(3):
        await player.write(chunk())
    waiting = asyncio.create_task(player.write(chunk()))
    await settle()
    player.cut()
    assert await waiting is False
    assert len(queue) == 0


async def test_what_comes_after_an_interruption_is_played_from_its_first_sample() -> None:
    player, queue = ready_player()
    await player.write(chunk(8000))
    player.cut()
    await player.write(chunk(-4000))
    block = np.zeros(BLOCK, np.int16)
    assert queue.take(block)
    # The converter begins anew: silence, then the new sound, nothing of the old.
    assert block.max() <= 600
    assert block[-1] == -4000


async def test_the_end_of_a_voice_is_played_whole() -> None:
    player, queue = ready_player()
    await player.write(chunk())
    draining = asyncio.create_task(player.drain())
    await settle()
    # Two blocks, and the 32 samples that the converter held back, at twice the rate.
    assert player.playout.written_samples == 2 * BLOCK + 64
    take(player, queue, 3)
    await draining
    assert player.playout.played_samples == 2 * BLOCK + 64


async def test_without_a_device_time_passes_and_what_falls_into_it_is_lost() -> None:
    player, _ = ready_player()
    await player.write(chunk())
    player.lose(3)
    assert player.playout == Playout(DEVICE_HZ, 2 * BLOCK, lost_samples=2 * BLOCK)


async def test_a_device_of_another_rate_gets_the_sound_at_that_rate() -> None:
    player, queue = ready_player()
    await player.write(chunk())
    take(player, queue, 2)
    other = player.queue_for(StreamFormat(16_000, 1, 1))
    player.use(other)
    await player.write(chunk())
    assert player.playout == Playout(16_000, 320, queued_samples=320)
    take(player, other, 2)
    assert player.played_secs == pytest.approx(0.04)


async def test_a_device_that_comes_back_plays_from_the_same_queue() -> None:
    player, queue = ready_player()
    assert player.queue_for(StreamFormat(DEVICE_HZ, 2, 2)) is queue


async def test_writers_wait_until_it_is_known_whether_there_is_a_device() -> None:
    player = DesktopPlayer(RATE_HZ)
    writing = asyncio.create_task(player.write(chunk()))
    await settle()
    assert not writing.done()
    queue = player.queue_for(StreamFormat(16_000, 1, 1))
    player.use(queue)
    player.begin()
    assert await writing
    assert len(queue) == 2


def test_a_block_is_either_played_or_dropped_while_both_sides_work() -> None:
    queue = PlayQueue(DEVICE_HZ, BLOCK, 16)
    n_played = 0
    done = threading.Event()

    def play() -> None:
        nonlocal n_played
        block = np.zeros(BLOCK, np.int16)
        while not (done.is_set() and len(queue) == 0):
            n_played += queue.take(block)
            time.sleep(0)

    device = threading.Thread(target=play)
    device.start()
    sound = np.ones(BLOCK, np.int16)
    n_dropped = 0
    for index in range(5_000):
        while len(queue) >= 6:
            time.sleep(0)
        queue.put(sound)
        if index % 5 == 0:
            n_dropped += queue.drop()
    done.set()
    device.join()
    playout = queue.playout()
    assert playout.written_samples == 5_000 * BLOCK
    assert playout.dropped_samples == n_dropped
    assert playout.played_samples == n_played * BLOCK
    assert n_played * BLOCK + n_dropped == 5_000 * BLOCK


def test_a_block_that_is_too_long_is_refused() -> None:
    queue = PlayQueue(DEVICE_HZ, BLOCK, 2)
    with pytest.raises(ValueError, match="a block holds 480 samples, not 481"):
        queue.put(np.zeros(BLOCK + 1, np.int16))


def test_a_short_block_is_followed_by_silence() -> None:
    queue = PlayQueue(DEVICE_HZ, BLOCK, 1)
    block = np.zeros(BLOCK, np.int16)
    queue.put(np.full(BLOCK, 7, np.int16))
    assert queue.take(block)
    queue.put(np.full(3, 9, np.int16))
    assert queue.take(block)
    assert block[:3].tolist() == [9, 9, 9]
    assert not block[3:].any()
    assert queue.playout().played_samples == BLOCK + 3
