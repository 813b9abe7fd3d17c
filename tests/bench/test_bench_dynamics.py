"""The bench of conversation dynamics: its labels, its measurements of recordings, and its table."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from processors.tts.synthesizer import SpokenWord
from tests.bench.dynamics.__main__ import chosen
from tests.bench.dynamics.code import (
    LEVEL_S16,
    RATE_HZ,
    WORD_SAMPLES,
    WORD_SECS,
    Pcm16,
    Stretch,
    coded,
    find_stretches,
    heard_words,
    words_of,
)
from tests.bench.dynamics.engines import LAPTOP, NEXT_REPLY, SHORT_REPLY, STORY, TALE, CodedSynthesizer
from tests.bench.dynamics.items import KINDS, Item, Kind, make_items
from tests.bench.dynamics.measure import (
    Measured,
    ducked_secs,
    first_sound_secs,
    gaps_secs,
    measure,
)
from tests.bench.dynamics.noises import NOISES, noise
from tests.bench.dynamics.report import as_json, disturbances, notes, rows
from tests.bench.dynamics.scene import Scene
from tests.bench.dynamics.stage import Stage, StagedRecognizer
from tests.bench.dynamics.voices import Spoken, with_pauses
from transports.recorded import IN_FRAME_SAMPLES, SoundCard

IN_RATE_HZ = 16_000
TEXT = "Rivers carry water."


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    return make_items(tmp_path_factory.mktemp("voices"))


def silence(secs: float) -> Pcm16:
    return np.zeros(round(secs * RATE_HZ), np.int16)


def item_of(kind: Kind, text: str, *, secs: float = 1.0) -> Item:
    """Said for so long from its first sample on, all words at its middle."""
    words = tuple(SpokenWord(word, 0.0, secs) for word in text.split())
    return Item(text or "a noise", kind, np.zeros(round(secs * IN_RATE_HZ), np.int16), words, 0.0, secs, "a test")


def scene_of(item: Item, heard_s16: Pcm16, said_secs: float = 0.0, **more: Any) -> Scene:
    events = [{"t": 0.0, "event": "session_started"}, *more.pop("events", [])]
    return Scene(item, said_secs, len(heard_s16) / RATE_HZ, heard_s16, events=tuple(events), **more)


def assistant(*texts: str) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": "hello"}, *({"role": "assistant", "content": text} for text in texts))


def test_the_coded_voice_has_one_level_in_every_sample() -> None:
    assert set(np.abs(coded(TEXT))) == {LEVEL_S16}
    assert len(coded(TEXT)) == 3 * WORD_SAMPLES


def test_the_coded_voice_says_the_same_word_in_the_same_way_whatever_stands_around_it() -> None:
    chunks = list(CodedSynthesizer(0.0).synthesize("Water? Rivers!"))
    assert b"".join(chunk.pcm16 for chunk in chunks) == coded("water rivers").tobytes()
    assert [word for chunk in chunks for word in chunk.words] == [
        SpokenWord("Water?", 0.0, WORD_SECS),
        SpokenWord("Rivers!", WORD_SECS, 2 * WORD_SECS),
    ]


@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_speech_is_found_to_the_sample_at_full_level_and_ducked(gain: float) -> None:
    planned = coded(TEXT)
    played = (planned[:10_001] * gain).astype(np.int16)
    assert find_stretches(np.concatenate([silence(0.1), played, silence(0.2)]), planned) == [Stretch(2400, 0, 10_001)]


def test_a_pause_with_a_resume_from_the_very_sample_loses_nothing() -> None:
    planned = coded(TEXT)
    heard = np.concatenate([planned[:7001], silence(0.4), planned[7001:]])
    stretches = find_stretches(heard, planned)
    assert stretches == [Stretch(0, 0, 7001), Stretch(16_601, 7001, 10_999)]
    assert gaps_secs(stretches) == (0.4, 0.0, 0.0)


def test_lost_and_repeated_samples_are_counted() -> None:
    planned = coded(TEXT)
    lost = find_stretches(np.concatenate([planned[:7001], silence(0.1), planned[7481:]]), planned)
    repeated = find_stretches(np.concatenate([planned[:7001], silence(0.1), planned[6521:]]), planned)
    assert gaps_secs(lost) == (0.1, 0.02, 0.0)
    assert gaps_secs(repeated) == (0.1, 0.0, 0.02)


def test_a_loss_without_a_pause_is_found_too() -> None:
    planned = coded(TEXT)
    stretches = find_stretches(np.concatenate([planned[:7001], planned[7961:]]), planned)
    _, lost_secs, repeated_secs = gaps_secs(stretches)
    # Signs of other samples agree by chance now and then: a stretch may seem a few samples longer than it is.
    assert lost_secs == pytest.approx(960 / RATE_HZ, abs=16 / RATE_HZ)
    assert repeated_secs == 0.0


def test_other_sounds_are_passed_over() -> None:
    tone = (8000 * np.sin(np.arange(4800) / 7)).astype(np.int16)
    planned = coded(TEXT)
    assert find_stretches(np.concatenate([tone, coded("something else"), planned]), planned)[-1] == Stretch(
        4800 + 2 * WORD_SAMPLES, 0, 3 * WORD_SAMPLES
    )
    assert find_stretches(tone, planned) == []
    assert find_stretches(silence(0), planned) == []


def test_a_word_is_heard_if_half_of_it_was_played() -> None:
    assert heard_words([Stretch(0, 0, WORD_SAMPLES + WORD_SAMPLES // 2)], TEXT) == ["rivers", "carry"]
    assert heard_words([Stretch(0, 0, WORD_SAMPLES + WORD_SAMPLES // 2 - 1)], TEXT) == ["rivers"]


def test_every_word_of_the_agent_stands_once_in_what_it_may_say_in_a_scene() -> None:
    for texts in ((STORY, NEXT_REPLY), (TALE, NEXT_REPLY), (SHORT_REPLY,)):
        words = words_of(" ".join(texts))
        assert sorted(words) == sorted(set(words))
        assert "?" not in "".join(texts)


def test_the_first_audible_sample_is_above_minus_50_dbfs() -> None:
    heard = silence(1.0)
    heard[5000], heard[7200] = 104, 105
    assert first_sound_secs(heard, 0.0, 1.0) == 0.3
    assert first_sound_secs(heard, 0.31, 1.0) is None


def test_ducking_is_seen_within_5_ms() -> None:
    heard = coded(TEXT)
    heard[RATE_HZ // 2 :] //= 10
    assert ducked_secs(heard, 0.3, 0.75) == pytest.approx(0.2)
    assert ducked_secs(coded(TEXT), 0.3, 0.75) is None


def test_an_answer_is_measured_from_the_true_end_of_speech() -> None:
    # Speech from 1.0 to 2.0 s, judged over at 2.3 s, answered at 2.9 s; the engines take 0.52 s.
    heard = np.concatenate([silence(2.9), coded(SHORT_REPLY), silence(1.0)])
    events = [
        {"t": 2.35, "event": "turn_ended", "text": "what time is it"},
        {"t": 2.9, "event": "latency", "voice_to_voice_ms": 900, "turn_ms": 300},
    ]
    scene = scene_of(
        item_of("question", "what time is it"),
        heard,
        1.0,
        events=events,
        reply=SHORT_REPLY,
        messages=assistant(SHORT_REPLY),
        delays_secs=LAPTOP.delays_secs,
        n_requests=1,
    )
    measured = measure(scene)
    assert measured.cut_off is False
    assert measured.voice_to_voice_secs == pytest.approx(0.9)
    assert measured.decision_secs == pytest.approx(0.3)
    assert measured.rest_secs == pytest.approx(0.6)
    # 0.9 less max(0.3, 0.15 + 0.25 + 3 tokens of 0.025 + 0.12).
    assert measured.excess_secs == pytest.approx(0.305)
    assert (measured.n_replies, measured.history_difference) == (1, 0)


def test_without_a_decision_of_its_own_the_end_of_the_turn_counts_as_one() -> None:
    heard = np.concatenate([silence(2.9), coded(SHORT_REPLY), silence(1.0)])
    events = [{"t": 0.9, "event": "turn_judged_over"}, {"t": 2.4, "event": "turn_ended", "text": "hello"}]
    measured = measure(scene_of(item_of("question", "hello"), heard, 1.0, events=events))
    assert measured.decision_secs == pytest.approx(0.4)


@pytest.mark.parametrize(("answered_secs", "turn"), [(1.5, "set a timer for ten minutes"), (2.5, "set a timer for")])
def test_an_answer_before_the_end_or_to_a_part_cuts_the_speaker_off(answered_secs: float, turn: str) -> None:
    heard = np.concatenate([silence(answered_secs), coded(SHORT_REPLY), silence(2.0)])
    events = [{"t": answered_secs - 0.3, "event": "turn_ended", "text": turn}]
    item = item_of("hesitating", "set a timer for ten minutes")
    measured = measure(scene_of(item, heard, 1.0, events=events, reply=SHORT_REPLY))
    assert measured.cut_off is True
    assert measured.voice_to_voice_secs is None


def test_a_turn_that_comes_in_two_parts_before_the_answer_is_whole() -> None:
    heard = np.concatenate([silence(2.5), coded(SHORT_REPLY), silence(1.0)])
    events = [
        {"t": 1.5, "event": "turn_ended", "text": "set a timer for"},
        {"t": 2.2, "event": "turn_ended", "text": "ten minutes"},
    ]
    item = item_of("hesitating", "set a timer for ten minutes")
    assert measure(scene_of(item, heard, 1.0, events=events, reply=SHORT_REPLY)).cut_off is False


def test_a_barge_in_is_measured_from_its_onset_to_the_last_sample() -> None:
    # Over the agent at 1.0 s: ducked at 1.1 s, silent at 1.3 s.
    story = coded(STORY)[: round(1.3 * RATE_HZ)]
    story[round(1.1 * RATE_HZ) :] //= 10
    heard = np.concatenate([story, silence(1.5), coded(NEXT_REPLY), silence(1.0)])
    events = [{"t": 2.4, "event": "turn_ended", "text": "what about paris"}]
    # Five words of a quarter of a second; the sixth was cut before its middle.
    messages = assistant("Rivers carry water from mountains", NEXT_REPLY)
    item = item_of("barge_in", "what about paris")
    measured = measure(scene_of(item, heard, 1.0, events=events, reply=STORY, next_reply=NEXT_REPLY, messages=messages))
    assert (measured.missed, measured.words_arrived) == (False, True)
    assert measured.ducked_secs == pytest.approx(0.1)
    assert measured.silent_secs == pytest.approx(0.3)
    assert measured.history_difference == 0


def test_a_barge_in_that_changes_nothing_is_missed() -> None:
    heard = np.concatenate([coded(STORY), silence(1.0)])
    measured = measure(scene_of(item_of("barge_in", "wait"), heard, 1.0, reply=STORY))
    assert (measured.missed, measured.words_arrived, measured.silent_secs) == (True, False, None)


def test_a_backchannel_that_makes_the_agent_pause_does_not_end_its_turn() -> None:
    tale = coded(TALE)
    at = round(1.2 * RATE_HZ)
    heard = np.concatenate([tale[:at], silence(0.45), tale[at:], silence(1.0)])
    measured = measure(scene_of(item_of("backchannel", "mm-hm"), heard, 1.0, reply=TALE, messages=assistant(TALE)))
    assert measured.ended_turn is False
    assert measured.pause_secs == pytest.approx(0.45)
    assert (measured.lost_secs, measured.repeated_secs, measured.history_difference) == (0.0, 0.0, 0)


def test_a_noise_that_silences_the_agent_ends_its_turn() -> None:
    heard = np.concatenate([coded(TALE)[: round(1.3 * RATE_HZ)], silence(3.0)])
    measured = measure(scene_of(item_of("noise", ""), heard, 1.0, reply=TALE, messages=assistant(TALE)))
    assert measured.ended_turn is True
    # 15 words in the history, 5 heard.
    assert measured.history_difference == 10
    # After the agent has ended, nothing is said over it.
    late = measure(scene_of(item_of("noise", ""), heard, 2.0, reply=TALE))
    assert (late.spoken_over, late.ended_turn) == (False, None)


def test_a_remark_is_no_word_of_the_agent_and_a_reply_in_two_pieces_is_one() -> None:
    heard = np.concatenate([coded(TEXT)[: 2 * WORD_SAMPLES], silence(1.0)])
    messages = assistant("Rivers", "carry [interrupted by the user]")
    measured = measure(scene_of(item_of("noise", ""), heard, reply=TEXT, messages=messages))
    assert (measured.history_difference, measured.n_replies) == (0, 1)


def test_a_reply_that_is_begun_again_was_heard_twice() -> None:
    heard = np.concatenate([coded(TEXT)[: 2 * WORD_SAMPLES], silence(0.5), coded(TEXT), silence(0.5)])
    messages = assistant("Rivers carry") + assistant(TEXT)
    measured = measure(scene_of(item_of("noise", ""), heard, reply=TEXT, messages=messages))
    assert (measured.history_difference, measured.n_replies, measured.ended_turn) == (0, 2, True)


def test_speculations_are_counted_by_their_outcome() -> None:
    events = [{"t": 1.0, "event": "speculation", "outcome": outcome} for outcome in ("thrown_away", "kept")]
    measured = measure(scene_of(item_of("question", "hello"), silence(1.0), events=events))
    assert (measured.n_kept, measured.n_thrown_away) == (1, 1)


def test_the_set_has_enough_of_every_kind_and_no_name_twice(items: list[Item]) -> None:
    counts = {kind: sum(item.kind == kind for item in items) for kind in KINDS}
    assert counts == {"question": 20, "hesitating": 12, "barge_in": 12, "backchannel": 10, "noise": 10}
    assert len({item.name for item in items}) == len(items)


def test_labels_are_true(items: list[Item]) -> None:
    for item in items:
        audio = item.audio_s16.astype(np.int32)
        loud = np.abs(audio).max()
        after = audio[round((item.end_secs + 0.01) * IN_RATE_HZ) :]
        before = audio[: round((item.onset_secs - 0.01) * IN_RATE_HZ)]
        assert np.abs(after).max(initial=0) < loud * 0.1, item.name
        assert np.abs(before).max(initial=0) < loud * 0.1, item.name
        assert all(item.onset_secs <= word.start_secs <= word.end_secs <= item.end_secs + 0.3 for word in item.words)
        assert bool(item.words) == (item.kind != "noise")


def test_hesitating_speakers_are_silent_in_their_pauses_and_speak_on_both_sides(items: list[Item]) -> None:
    for item in (item for item in items if item.kind == "hesitating"):
        assert item.pauses
        for start_secs, end_secs in item.pauses:
            pause = item.audio_s16[round(start_secs * IN_RATE_HZ) + 1 : round(end_secs * IN_RATE_HZ) - 1]
            assert not pause.any()
            assert item.onset_secs < start_secs < end_secs < item.end_secs


def test_the_set_is_the_same_at_every_run(items: list[Item], tmp_path: Path) -> None:
    again = make_items(tmp_path)
    assert [item.name for item in again] == [item.name for item in items]
    scripted = [(one, other) for one, other in zip(items, again, strict=True) if one.kind == "noise"]
    assert all(np.array_equal(one.audio_s16, other.audio_s16) for one, other in scripted)


def test_noises_peak_at_minus_6_dbfs() -> None:
    peaks = [int(np.abs(noise(name).astype(np.int32)).max()) for name in NOISES]
    assert peaks == [pytest.approx(32768 / 2, abs=2)] * len(NOISES)


def test_a_pause_moves_the_words_after_it() -> None:
    words = (SpokenWord("one", 0.0, 0.5), SpokenWord("two", 0.5, 1.0))
    audio = np.full(IN_RATE_HZ, 1000, np.int16)
    audio[8000:8080] = 0
    spoken, pauses = with_pauses(Spoken(audio, words), {1: 0.7})
    assert len(spoken.audio_s16) == IN_RATE_HZ + 11_200
    assert pauses[0] == pytest.approx((0.5, 1.2), abs=0.006)
    assert [word.start_secs for word in spoken.words] == [0.0, 1.2]


def stage_at(item: Item, secs: float) -> tuple[Stage, Item]:
    """A stage on which an item has been said from the start, after so many seconds."""
    stage = Stage(SoundCard())
    stage.say(item)
    for _ in range(round(secs * IN_RATE_HZ / IN_FRAME_SAMPLES)):
        stage.card.tick()
    return stage, item


def two_words() -> Item:
    words = (SpokenWord("stop", 0.2, 0.4), SpokenWord("please", 0.6, 0.9))
    return Item("stop please", "barge_in", np.zeros(IN_RATE_HZ, np.int16), words, 0.2, 0.9, "a test")


def test_the_recognizer_shows_a_word_when_it_is_over_and_the_delay_has_passed() -> None:
    stage, _ = stage_at(two_words(), 0.5)
    sound = bytes(round(0.5 * IN_RATE_HZ) * 2)
    # The first word ended 0.1 s ago.
    assert StagedRecognizer(stage, 0.15).accept(sound) == ""
    assert StagedRecognizer(stage, 0.05).accept(sound) == "stop"


def test_the_recognizer_knows_only_what_lies_in_the_sound_that_it_was_given() -> None:
    stage, _ = stage_at(two_words(), 1.0)
    whole, second_half = StagedRecognizer(stage, 0.0), StagedRecognizer(stage, 0.0)
    whole.accept(bytes(IN_RATE_HZ * 2))
    second_half.accept(bytes(IN_RATE_HZ))
    assert (whole.pause().text, second_half.pause().text) == ("stop please", "please")
    assert whole.finish().text == "stop please"
    assert whole.pause().text == ""


def answered(secs: float | None, name: str = "a question") -> Measured:
    return Measured(name, "question", "a test", 1, 1, 1, 0.0, voice_to_voice_secs=secs, excess_secs=0.05, cut_off=False)


def row(table: list[tuple[str, ...]], label: str) -> tuple[str, ...]:
    return next(line for line in table if line[0] == label)


def test_the_table_puts_ours_beside_stock_and_the_target() -> None:
    stock, ours = [answered(1.0), answered(1.2)], [answered(0.5), answered(0.7)]
    table = rows("laptop", stock, ours)
    label = "voice-to-voice, median"
    # 0.6 x 1.1 s is 0.66 s.
    assert row(table, label) == (label, "1100 ms", "600 ms", "0.55", "≤ 0.6 x stock", "✓")
    assert row(rows("gpu", stock, ours), label)[4:] == ("≤ 400 ms", "✗")
    assert not [line for line in table if line[0].startswith("barge-in")]


def test_a_question_without_an_answer_is_late_and_named() -> None:
    ours = [answered(0.5), answered(None, "a silence"), answered(1.25, "a slow one"), answered(1.0)]
    table = rows("laptop", ours, ours)
    assert row(table, "questions answered later than 1.0 s")[2] == "50%"
    assert row(table, "questions answered later than 1.5 s")[2] == "25%"
    assert "questions answered later than 1.0 s: 50%, ≤ 0%: a silence: no answer; a slow one: 1250 ms" in notes(
        "laptop", ours, ours
    )


def test_scenes_on_a_busy_machine_are_named() -> None:
    busy = replace(answered(0.5), lag_secs=0.1)
    assert disturbances([answered(0.5)], [busy]) == ["ours, a question: event loop 100 ms late"]


def test_everything_measured_goes_into_json() -> None:
    result = as_json("laptop", [answered(1.0)], [answered(0.5)])
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["figures"][0] == {
        "label": "voice-to-voice, median",
        "unit": "secs",
        "stock": 1.0,
        "ours": 0.5,
        "target": "≤ 0.6 x stock",
        "met": True,
    }
    assert result["scenes"]["ours"][0]["voice_to_voice_secs"] == 0.5


def test_conversations_keep_hesitating_speakers_apart(items: list[Item]) -> None:
    kinds = [{item.kind for item in talk} for talk in chosen(items, "laptop", None, quick=False)]
    assert kinds == [{"question"}, {"hesitating"}, {"barge_in", "backchannel", "noise"}]
    assert [len(talk) for talk in chosen(items, "gpu", "noise", quick=True)] == [3]
