"""The hour made by chance: what must hold in it, and that each rule over it can be broken.

    uv run python -m tests.bench.chaos --seed 7 --mins 60

holds any other hour, and prints what happened in it.
"""

import asyncio
import gc
import itertools
import threading
from abc import ABC
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.bench.chaos.engines import Asked
from tests.bench.chaos.hour import LOG_BYTES_A_MINUTE, LOG_LINES_A_MINUTE, Report, hold_hour, too_much_log
from tests.bench.chaos.leftovers import SLACK, grown, holding
from tests.bench.chaos.log import Asking, CallLog, Told
from tests.bench.chaos.rules import problems_of
from tests.bench.chaos.script import Visit, rushes, visits
from tests.bench.chaos.weather import ANYBODY, Struck, all_faults
from tests.bench.chaos.words import (
    BLOCKS,
    NO_WORD,
    NOBODYS,
    NOISE,
    Heard,
    heard_words,
    own_words,
    place_of,
    reply_word,
    said_word,
    sound_of,
)
from tests.support.fault_table import FAULTS
from tests.support.virtual_time import in_virtual_time

ME, OTHER = 3, 4
QUESTION, FINAL = said_word(ME, 1), said_word(ME, 2)
SEED, HOUR_SEED = 4, 7


@pytest.mark.long
@pytest.mark.apart
def test_chaos_of_a_few_calls_leaves_every_turn_answered_and_nothing_behind() -> None:
    report = hold_hour(Report(SEED, mins=0.5, n_callers=2))
    assert report.problems == []
    assert report.counts["calls"] >= 4
    assert report.struck


@pytest.mark.apart
@pytest.mark.long
def test_chaos_of_an_hour_with_every_fault_leaves_every_turn_answered_and_nothing_behind() -> None:
    report = hold_hour(Report(HOUR_SEED, mins=60), limit_secs=3600)
    assert report.problems == []
    assert report.struck == set(all_faults())


@pytest.mark.apart
@pytest.mark.long
def test_chaos_comes_again_from_the_same_seed() -> None:
    first, again = (hold_hour(Report(SEED, mins=0.1, n_callers=1)) for _ in range(2))
    assert (again.counts, again.struck, again.session_secs) == (
        first.counts,
        first.struck,
        pytest.approx(first.session_secs, abs=0.1),
    )


def test_chaos_callers_of_a_shorter_hour_do_the_same() -> None:
    first, again, other = (list(itertools.islice(visits(seed, 2), 20)) for seed in (7, 7, 8))
    assert first == again != other
    windows = list(itertools.islice(rushes(7), 20))
    assert windows == list(itertools.islice(rushes(7), 20))
    assert all(until < following for (_, until), (following, _) in itertools.pairwise(windows))


def test_chaos_holds_every_fault_of_the_table_in_every_stage() -> None:
    assert {name for stage, name in all_faults() if stage == "llm"} == set(FAULTS)
    # A thread has no process to crash; a model of a pause gives one number, and writes nothing.
    assert {name for stage, name in all_faults() if stage == "stt"} == {*FAULTS} - {"crash"}
    assert {name for stage, name in all_faults() if stage == "tts"} == {*FAULTS} - {"crash"}
    models = {*FAULTS} - {"crash", "endless", "none", "disk full"}
    assert {name for stage, name in all_faults() if stage == "vad"} == models
    assert {name for stage, name in all_faults() if stage == "turn"} == models
    assert {name for stage, name in all_faults() if stage == "recorder"} == {"error", "disk full"}


def test_chaos_words_say_whose_they_are() -> None:
    words = {said_word(caller, n) for caller in range(4) for n in range(200)}
    words |= {reply_word(caller, n, index) for caller in range(4) for n in range(20) for index in range(12)}
    assert len(words) == 4 * 200 + 4 * 20 * 12
    assert own_words("Note " + " ".join(sorted(words)) + ".") == sorted(words)
    assert own_words("tell me about the weather in Norway, please, Peter") == []
    assert (place_of(reply_word(ME, 51, 7)), place_of(said_word(ME, 51)), place_of("sorry")) == ((51, 7), None, None)


def test_chaos_words_are_known_by_their_sound_ducked_paused_and_cut() -> None:
    def sound(word: str | None, blocks: int = BLOCKS) -> Any:
        return np.frombuffer(sound_of(word, blocks), "<i2")

    silence = np.zeros(500, np.int16)
    ducked = (sound(reply_word(ME, 9, 0)) * 0.1).astype(np.int16)
    played = [silence, ducked, sound(reply_word(ME, 9, 1), 25), silence, sound("Sorry,", 50), sound(None, 10)]
    words = heard_words(np.concatenate(played))
    assert [(word.caller, word.n_reply, word.index, word.part) for word in words] == [
        (ME, 9, 0, 1.0),
        (ME, 9, 1, 0.25),
        (NOBODYS, words[2].n_reply, words[2].index, 0.5),
        (NOISE, 0, 0, 0.1),
    ]
    assert [word.caller for word in heard_words(np.concatenate([ducked[:-7], ducked]))] == [ME, NO_WORD, NO_WORD]
    assert heard_words(silence) == []


def sound_call() -> CallLog:
    """A call in which all holds: one question is answered, and another in peace."""
    words = [tuple(reply_word(ME, n, index) for index in range(4)) for n in range(2)]
    log = CallLog(1, ME, Visit(0, False, False), began_secs=100.0, ended_secs=140.0, final=FINAL)
    for n, own in enumerate((QUESTION, FINAL)):
        at_secs = 105.0 + 15 * n
        log.askings.append(Asking(own, at_secs, at_secs + 2))
        log.asked.append(Asked(n, f"note {own}", words[n], "", ()))
        log.told.append(told(at_secs + 3, "turn_ended", text=f"note {own}"))
        log.told += [told(at_secs + 4 + index / 4, "bot_word", text=word) for index, word in enumerate(words[n])]
        log.heard += [Heard(ME, n, index, 1.0) for index in range(4)]
        log.after += [{"role": "user", "content": f"note {own}"}, {"role": "assistant", "content": " ".join(words[n])}]
    log.told.append(told(140.0, "session_ended", reason="the page left"))
    return log


def told(secs: float, event: str, **fields: Any) -> Told:
    return Told(secs, {"t": secs - 100.0, "event": event, **fields}, 0)


def failed(secs: float, stage: str = "llm") -> Told:
    return told(secs, "error", stage=stage, message="it failed")


def test_chaos_rules_find_nothing_where_all_holds() -> None:
    assert problems_of(sound_call()) == []


def without_answer(log: CallLog) -> None:
    log.heard, log.after, log.told = log.heard[4:], [log.after[0], *log.after[2:]], log.told[:1] + log.told[5:]


def apologised(log: CallLog) -> None:
    """For an answer that failed."""
    without_answer(log)
    log.struck.append(Struck("llm", "error", 108.2, 108.2, ME))
    log.told[1:1] = [failed(108.2), told(109.0, "bot_word", text="Sorry,")]


def test_chaos_rules_take_an_apology_a_cut_or_an_end_for_an_answer() -> None:
    log = sound_call()
    apologised(log)
    assert problems_of(log) == []
    log = sound_call()
    without_answer(log)
    log.told.insert(1, told(108.5, "interruption", heard="", planned=""))
    assert problems_of(log) == []
    log = sound_call()
    log.askings.append(Asking(said_word(ME, 3), 138.0, 140.0))
    assert problems_of(log) == []


@pytest.mark.parametrize(
    ("struck_secs", "left_secs", "n_problems"), [(137.0, 160.0, 0), (60.0, 160.0, 1), (137.0, 200.0, 1)]
)
def test_chaos_rules_wait_longer_where_a_voice_hangs(struck_secs: float, left_secs: float, n_problems: int) -> None:
    log = sound_call()
    log.askings.append(Asking(said_word(ME, 3), 138.0, 140.0))
    log.struck.append(Struck("tts", "hang", struck_secs, struck_secs + 40.0, OTHER))
    log.ended_secs = left_secs
    assert [problem.split(",")[0] for problem in problems_of(log)] == [f"not answered: {said_word(ME, 3)}"] * n_problems


def _alien(log: CallLog) -> None:
    log.told.insert(1, told(108.0, "partial_transcript", text=f"note {said_word(OTHER, 1)}"))


def _alien_sound(log: CallLog) -> None:
    log.heard.insert(4, Heard(OTHER, 0, 0, 1.0))


def _alien_history(log: CallLog) -> None:
    log.before.append({"role": "user", "content": said_word(OTHER, 1)})
    log.after.insert(0, log.before[0])


def _alien_request(log: CallLog) -> None:
    log.asked[0] = replace(log.asked[0], strangers=(said_word(OTHER, 1),))


def _no_word(log: CallLog) -> None:
    log.heard.append(Heard(NO_WORD, 0, 0, 0.1))


def _twice(log: CallLog) -> None:
    log.asked[1] = replace(log.asked[1], question=f"note {QUESTION} {FINAL}")


def _two_places(log: CallLog) -> None:
    log.heard.append(Heard(ME, 0, 3, 1.0))


def _no_apology(log: CallLog) -> None:
    apologised(log)
    del log.told[2]


def _two_apologies(log: CallLog) -> None:
    apologised(log)
    log.told.insert(3, log.told[2])


def _forgotten(log: CallLog) -> None:
    del log.after[1]


def _not_heard(log: CallLog) -> None:
    log.heard[2:4] = []


def _never_said(log: CallLog) -> None:
    log.after[1] = {"role": "assistant", "content": "Sorry, I can't think right now."}


def _remembered_twice(log: CallLog) -> None:
    log.after.insert(1, log.after[0])


def _in_disorder(log: CallLog) -> None:
    log.after = log.after[2:] + log.after[:2]


def _earlier_lost(log: CallLog) -> None:
    log.before.append({"role": "user", "content": f"note {said_word(ME, 0)}"})


def _never_idle(log: CallLog) -> None:
    log.never_idle.append("answer_due")


def _error(log: CallLog) -> None:
    log.told.insert(5, failed(112.0, "tts"))


def _final_cut(log: CallLog) -> None:
    log.heard.pop()
    log.after[3] = {"role": "assistant", "content": " ".join(log.asked[1].words[:3])}


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (_alien, "is told"),
        (_alien_sound, "hears a word of caller 4"),
        (_alien_history, "the history of caller 3 has"),
        (_alien_request, "the model is asked for caller 3 with"),
        (_no_word, "hears a word of nobody"),
        (_twice, f"{QUESTION} is answered 2 times"),
        (_two_places, "reply 0 is heard in 2 places"),
        (without_answer, f"not answered: {QUESTION}"),
        (_no_apology, "no apology for"),
        (_two_apologies, "an apology for nothing"),
        (_forgotten, "reply 0 was heard and is not in the history"),
        (_not_heard, "of reply 0 the words"),
        (_never_said, "an answer in the history is no reply's"),
        (_remembered_twice, f"{QUESTION} is remembered 2 times"),
        (_in_disorder, "replies are remembered in the order [1, 0]"),
        (_earlier_lost, "remembered before the call was"),
        (_never_idle, "never idle: answer_due"),
        (_error, "error: it failed"),
        (_final_cut, f"the last question, {FINAL}, is not answered whole"),
    ],
)
def test_chaos_rules_find_what_does_not_hold(damage: Callable[[CallLog], None], found: str) -> None:
    log = sound_call()
    damage(log)
    assert any(problem.startswith(found) or found in problem for problem in problems_of(log)), problems_of(log)


def test_chaos_excuses_only_what_a_fault_can_cost() -> None:
    log = sound_call()
    without_answer(log)
    log.struck.append(Struck("stt", "none", 107.0, 107.0, ANYBODY))
    assert problems_of(log) == []
    log.struck[0] = Struck("recorder", "error", 107.0, 107.0, ANYBODY)
    assert problems_of(log) == [f"not answered: {QUESTION}, asked at 5.00 s"]


def test_chaos_bounds_the_log_by_the_minutes_of_calls() -> None:
    report = Report(1, 60, 1, session_secs=600.0, n_log_lines=10 * LOG_LINES_A_MINUTE)
    assert too_much_log(report) == []
    assert len(too_much_log(replace(report, n_log_lines=10 * LOG_LINES_A_MINUTE + 10))) == 1
    assert len(too_much_log(replace(report, n_log_bytes=10 * LOG_BYTES_A_MINUTE + 10))) == 1


@in_virtual_time
async def test_chaos_takes_what_an_abstract_class_notes_of_classes_for_nothing_left_behind() -> None:
    class Shape(ABC):  # noqa: B024 - it is only asked about
        pass

    kinds = list({type(one) for one in gc.get_objects()})[: SLACK + 50]
    before = holding(1)
    assert not any(issubclass(kind, Shape) for kind in kinds)
    assert (len(kinds), list(grown(before, holding(1)))) == (SLACK + 50, [])


@in_virtual_time
async def test_chaos_finds_a_task_a_thread_a_descriptor_and_a_conversation_that_is_left_behind() -> None:
    from pipecat.processors.aggregators.llm_context import LLMContext

    before, over = holding(1), threading.Event()
    assert list(grown(before, holding(1))) == []
    task = asyncio.create_task(asyncio.sleep(60.0))
    thread = threading.Thread(target=over.wait, name="left")
    thread.start()
    with open(__file__) as descriptor:  # noqa: ASYNC230 - it takes no time
        contexts = [LLMContext() for _ in range(6)]
        problems = list(grown(before, holding(2)))
    over.set()
    thread.join()
    task.cancel()
    assert [problem.partition(":")[0] for problem in problems] == [
        "tasks",
        "threads",
        "descriptors",
        "histories",
        "objects of pipecat.processors.aggregators.llm_context.LLMContext",
    ]
    assert (descriptor.closed, len(contexts)) == (True, 6)
