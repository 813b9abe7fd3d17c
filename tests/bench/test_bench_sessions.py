"""The bench of sessions: its arithmetic of lateness, its callers' packets, and its table."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from av import CodecContext
from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet
from pipecat.frames.frames import InputAudioRawFrame

from tests.bench.sessions.callers import PACKET_SECS, PAUSE_SECS, SENTENCES, Tape, encoded, spoken
from tests.bench.sessions.find import most_carried
from tests.bench.sessions.lateness import Arrivals, Heard, Probe, heard_between, worst_ms
from tests.bench.sessions.report import as_json, heard_percent, lateness_ms, most_sessions, notes, rows
from tests.bench.sessions.run import Build, Measured
from tests.support.house import SPEECH
from transports.recording import load_recording

FRAME_SECS = 0.02
# The way of a frame that is not late: the jitter buffer, say.
WAY_SECS = 0.09


def heard_at(late_secs: list[float], start_secs: float = 1000.0) -> Arrivals:
    """Frames of 20 ms, each so late."""
    arrivals = Arrivals()
    for index, late in enumerate(late_secs):
        spoken_secs = index * FRAME_SECS
        arrivals.add(start_secs + spoken_secs + WAY_SECS + late, spoken_secs, FRAME_SECS)
    return arrivals


def measured(wiring: str, n_sessions: int, late_ms: Sequence[float | None], **more: object) -> Measured:
    sessions = tuple(Heard(late, 100.0 if late is not None else 0.0) for late in late_ms)
    one = Measured("ours", n_sessions, 12.0, 40.0, 20.0, 0.0, sessions, 1.5, 1.0, 6, 3)
    return replace(one, wiring=wiring, **more)  # pyright: ignore[reportArgumentType]


def test_frames_that_keep_their_distance_are_not_late_whatever_the_way_takes() -> None:
    heard = heard_between(heard_at([0.0] * 50), 0.0, 2000.0)
    assert heard.lateness_p95_ms == pytest.approx(0.0, abs=0.001)


def test_one_frame_in_ten_that_is_late_sets_the_95th_percentile_and_one_in_a_hundred_does_not() -> None:
    often = heard_between(heard_at([0.0] * 9 + [0.03]), 0.0, 2000.0)
    seldom = heard_between(heard_at([0.0] * 99 + [0.03]), 0.0, 2000.0)
    assert often.lateness_p95_ms == pytest.approx(30.0, abs=0.001)
    assert seldom.lateness_p95_ms == pytest.approx(0.0, abs=0.001)


def test_a_session_that_falls_behind_is_measured_against_its_beginning() -> None:
    # From the 51st frame on, 1 s after the first, everything is half a second late.
    heard = heard_between(heard_at([0.0] * 50 + [0.5] * 50), 1001.2, 1004.0)
    assert heard.lateness_p95_ms == pytest.approx(500.0, abs=0.001)


def test_lost_packets_are_missing_sound_and_not_lateness() -> None:
    # Ten seconds, of which every fourth packet is lost.
    arrivals = heard_at([0.0] * 500)
    kept = Arrivals(
        *(
            [value for index, value in enumerate(values) if index % 4]
            for values in (arrivals.heard_secs, arrivals.spoken_secs, arrivals.duration_secs)
        )
    )
    heard = heard_between(kept, 1000.0 + WAY_SECS, 1010.0 + WAY_SECS)
    assert heard.lateness_p95_ms == pytest.approx(0.0, abs=0.001)
    assert heard.heard_percent == pytest.approx(75.0)


def test_only_what_was_heard_in_the_window_counts() -> None:
    arrivals = heard_at([0.4] * 10 + [0.0] * 90)
    # The first ten frames are heard by 1000 + 0.18 + 0.09 + 0.4 s.
    assert heard_between(arrivals, 1000.7, 1003.0).lateness_p95_ms == pytest.approx(0.0, abs=0.001)


def test_a_session_that_heard_nothing_has_no_lateness_and_spoils_the_whole() -> None:
    silent = heard_between(heard_at([0.0] * 10), 5000.0, 5010.0)
    assert silent == Heard(None, 0.0)
    assert worst_ms([Heard(3.0, 100.0), silent]) is None
    assert worst_ms([Heard(3.0, 100.0), Heard(7.0, 100.0)]) == 7.0


def test_the_probe_reads_the_timestamps_of_rtp() -> None:
    clock = iter([10.00, 10.02, 10.05])
    probe = Probe(lambda: next(clock))
    for timestamp in (0, 960, 1920):
        frame = InputAudioRawFrame(bytes(640), 16_000, 1)
        frame.pts = timestamp
        probe.note(7, frame)
    # 960 / 48 kHz = 20 ms each; the third comes 10 ms after its time.
    (heard,) = probe.heard(0.0, 20.0)
    assert heard.lateness_p95_ms == pytest.approx(10.0)


def test_a_frame_without_a_timestamp_is_an_error() -> None:
    with pytest.raises(ValueError, match="timestamp"):
        Probe().note(1, InputAudioRawFrame(bytes(640), 16_000, 1))


def test_the_callers_packets_hold_the_sentences_and_their_pauses() -> None:
    said_secs = sum(len(load_recording(SPEECH / name).audio_s16) for name in SENTENCES) / 16_000
    packets = encoded(spoken())
    assert len(packets) * PACKET_SECS == pytest.approx(said_secs + len(SENTENCES) * PAUSE_SECS, abs=2 * PACKET_SECS)
    decoder = CodecContext.create("libopus", "r")
    assert isinstance(decoder, AudioCodecContext)
    levels = [float(np.abs(frame.to_ndarray()).max()) for packet in packets for frame in decoder.decode(Packet(packet))]
    first_secs = len(load_recording(SPEECH / SENTENCES[0]).audio_s16) / 16_000
    n_first = round(first_secs / PACKET_SECS)
    n_pause = round(PAUSE_SECS / PACKET_SECS)
    assert max(levels[:n_first]) > 20 * max(levels[n_first + 20 : n_first + n_pause - 20])


def test_a_tape_begins_where_it_is_told_and_goes_round() -> None:
    async def play() -> list[tuple[bytes, int]]:
        tape = Tape([b"a", b"b", b"c"], first=2)
        packets = [await tape.recv() for _ in range(4)]
        return [(bytes(packet), packet.pts or 0) for packet in packets]

    assert asyncio.run(play()) == [(b"c", 0), (b"a", 960), (b"b", 1920), (b"c", 2880)]


def test_as_many_sessions_are_held_as_were_heard_in_time() -> None:
    run = [
        measured("stock", 4, [10.0] * 4),
        measured("ours", 4, [5.0] * 4),
        measured("stock", 8, [10.0] * 7 + [51.0]),
        measured("ours", 8, [49.0] * 8),
        # One caller was never heard at all.
        measured("ours", 12, [5.0] * 11),
    ]
    assert (most_sessions(run, "stock"), most_sessions(run, "ours")) == (4, 8)
    assert lateness_ms(run[2]) == 51.0
    assert lateness_ms(run[4]) is None


def test_the_row_says_what_was_measured() -> None:
    one = measured("ours", 2, [10.0, 20.4])
    # 6 pauses and 3 answers in 12 s are 30 and 15 a minute.
    assert rows([one]) == [("2", "ours", "40 %", "20 ms", "100.0 %", "1.5 MB", "30", "15")]
    assert heard_percent(measured("ours", 2, [10.0, None])) == 0.0
    assert rows([measured("ours", 2, [10.0, None])])[0][3] == "nothing heard"


def test_a_machine_that_was_busy_with_something_else_is_named() -> None:
    quiet = measured("stock", 1, [1.0])
    assert not any("something else" in note or "themselves" in note for note in notes([quiet]))
    busy = replace(quiet, others_percent=80.0, callers_late_p95_ms=25.0)
    assert "1 sessions, stock: something else used 80 % of a core" in notes([busy])
    assert "1 sessions, stock: the callers themselves sent up to 25 ms late (p95)" in notes([busy])


def test_the_json_file_holds_every_session() -> None:
    (one,) = as_json([measured("ours", 2, [10.0, 20.0])])["measured"]
    assert [session["lateness_p95_ms"] for session in one["sessions"]] == [10.0, 20.0]
    assert one["worst_lateness_p95_ms"] == 20.0
    assert one["median_lateness_p95_ms"] == 15.0


@pytest.mark.parametrize(("carries", "expected"), [(0, 0), (1, 1), (7, 7), (24, 24), (40, 24)])
async def test_the_most_calls_are_found_by_halving_and_each_number_is_held_in_every_run(
    carries: int, expected: int
) -> None:
    told: list[str] = []
    tried: list[int] = []

    async def hold(build: Build, count: int) -> Measured:
        tried.append(count)
        return measured(build.name, count, [20.0 if count <= carries else 80.0] * count)

    assert await most_carried(Build("ours"), 24, 3, hold, told.append) == expected
    assert len(told) == len(tried) <= 15
    assert all(tried.count(count) == (3 if count <= carries else 1) for count in tried)


async def test_a_number_that_fails_once_is_too_many() -> None:
    late_ms = iter([20.0, 80.0, 20.0, 20.0, 20.0])

    async def hold(build: Build, count: int) -> Measured:
        return measured(build.name, count, [next(late_ms)] * count)

    assert await most_carried(Build("ours"), 2, 3, hold, lambda _: None) == 0
