"""The soak's arithmetic: slopes with their intervals, and what counts as left over."""

import numpy as np
import pytest
from pipecat.frames.frames import InputAudioRawFrame

from tests.bench.soak.__main__ import failures
from tests.bench.soak.callers import Calls
from tests.bench.soak.run import Sample, Soaked, more
from tests.bench.soak.server import AtRest, Lateness, SteadyEars, SteadyVoice
from tests.bench.soak.slope import slope
from tests.support.kept import n_kept

AT_SECS = [10.0 * index for index in range(720)]


def grown(mb_an_hour: float, noise_mb: float = 0.5) -> list[float]:
    """A process that grows so fast, and whose allocator gives back in steps of some minutes."""
    steps = np.repeat(np.random.default_rng(7).normal(0, noise_mb, 36), 20)
    return [200 + mb_an_hour * at / 3600 + float(step) for at, step in zip(AT_SECS, steps, strict=True)]


def rest(tasks: tuple[str, ...] = ("main",), threads: tuple[str, ...] = ("MainThread", "stt_0")) -> AtRest:
    return AtRest(20, len(tasks), 0, tasks, threads)


@pytest.mark.parametrize("mb_an_hour", [0.0, 3.0, -2.0])
def test_a_slope_is_found_within_its_interval(mb_an_hour: float) -> None:
    found = slope(AT_SECS, grown(mb_an_hour))
    assert found.least < mb_an_hour < found.most
    assert found.most - found.least < 1.5
    assert found.an_hour == pytest.approx(mb_an_hour, abs=0.5)


def test_few_samples_tell_no_slope() -> None:
    with pytest.raises(ValueError, match="7 samples"):
        slope(AT_SECS[:7], grown(0)[:7])


def soaked(mb_an_hour: float, after: AtRest, late_ms: float = 5.0) -> Soaked:
    samples = [Sample(at, size, late_ms, 20, 12) for at, size in zip(AT_SECS, grown(mb_an_hour), strict=True)]
    return Soaked(Calls(), samples, 100, rest(), after, 1000)


def test_a_soak_fails_for_growth_that_is_certain_and_for_what_is_left_over() -> None:
    assert failures(soaked(0.2, rest())) == []
    (growth,) = failures(soaked(5.0, rest()))
    assert growth.startswith("memory grows by +")
    assert growth.endswith("MB an hour")
    assert failures(soaked(0.2, rest(tasks=("main", "one more")))) == ["left over: tasks: 1 -> 2"]


def test_growth_is_not_told_alone_where_the_machine_did_not_keep_up() -> None:
    (growth,) = failures(soaked(5.0, rest(), late_ms=9800.0))
    assert growth.endswith("MB an hour; sound was 9.8 s late and waited in memory: soak again while nothing else runs")


def test_a_pool_that_filled_up_is_not_left_over_and_any_other_thread_is() -> None:
    assert more(rest(), rest(threads=("MainThread", "stt_0", "stt_1"))) == []
    assert more(rest(), rest(threads=("MainThread", "stt_0", "Thread-7"))) == ["a thread named Thread-7"]
    many = tuple(f"stt_{number}" for number in range(9))
    assert more(rest(), rest(threads=("MainThread", *many))) == ["threads: 2 -> 10"]


def test_what_stands_in_for_engines_keeps_nothing_or_it_would_be_what_grows() -> None:
    ears, voice, lateness = SteadyEars(), SteadyVoice(), Lateness()
    recognizer = ears.recognizer()

    def talk(session: int) -> None:
        frame = InputAudioRawFrame(bytes(640), 16_000, 1)
        frame.pts = 960 * session
        lateness.note(session, frame)
        recognizer.accept(frame.audio)
        heard = recognizer.finish().text
        spoken_by = voice.in_voice(None, language="en", speed=1.0) if session % 8 == 0 else voice
        list(spoken_by.synthesize(heard))
        assert lateness.take_p95_ms() is not None

    for session in range(100):
        talk(session)
    n_before = n_kept(ears, voice, lateness)
    for session in range(100, 200):
        talk(session)
    assert n_kept(ears, voice, lateness) == n_before
