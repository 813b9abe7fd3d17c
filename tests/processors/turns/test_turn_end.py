"""The end of a turn, frame by frame: what decides, what is asked for, and what happens when nobody answers."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from pipecat.audio.turn.smart_turn.base_smart_turn import SmartTurnParams
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    LLMContextFrame,
    TranscriptionFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.metrics.metrics import MetricsData
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from processors.frames import (
    HistorySettledFrame,
    NoWordsFrame,
    PauseTranscriptFrame,
    TurnDecidedFrame,
    VoiceEdge,
    VoiceEdgeFrame,
)
from processors.turns import turn
from processors.turns.heard_speech import HeardSpeech
from processors.turns.interruption import BargeInStrategy
from processors.turns.pause import Patience
from processors.turns.smart_turn import SharedSmartTurnAnalyzer
from processors.turns.speculation import Speculation
from processors.turns.turn import TurnEndStrategy
from tests.support.house import smart_turn_session
from tests.support.virtual_time import in_virtual_time

SPOKE = (VADUserStartedSpeakingFrame(start_secs=0.2), HistorySettledFrame(), VADUserStoppedSpeakingFrame(stop_secs=0.2))


class ScriptedAnalyzer(SharedSmartTurnAnalyzer):
    """Gives one probability, whatever was said: smart-turn is the edge of these tests."""

    given: float | None = 0.95

    async def probability(
        self, silence_secs: float = 0.2, *, wanted: Callable[[], bool] = lambda: True
    ) -> tuple[float | None, MetricsData | None]:
        return self.given, None


def silence(duration_secs: float) -> list[Frame]:
    return [InputAudioRawFrame(bytes(640), 16_000, 1) for _ in range(round(duration_secs / 0.02))]


def final(text: str) -> TranscriptionFrame:
    frame = TranscriptionFrame(text, "", "")
    frame.finalized = True
    return frame


async def run(frames: Sequence[Frame], patience: Patience | None = None) -> tuple[list[type], list[type]]:
    """The kinds of frames that went down and up, of those that matter here."""
    with ThreadPoolExecutor(1) as threads:
        analyzer = ScriptedAnalyzer(smart_turn_session(), threads, SmartTurnParams(stop_secs=1.6))
        strategies = UserTurnStrategies(
            start=[BargeInStrategy(HeardSpeech(), language="en", shows_partials=True)],
            stop=[TurnEndStrategy(analyzer, patience or Patience(), "en", Speculation(0))],
        )
        pair = LLMContextAggregatorPair(
            LLMContext(), user_params=LLMUserAggregatorParams(user_turn_strategies=strategies, empty_user_turn=None)
        )
        down, up = await run_test(pair.user(), frames_to_send=frames)
    kinds = (LLMContextFrame, UserStoppedSpeakingFrame, TurnDecidedFrame)
    return [type(frame) for frame in down if isinstance(frame, kinds)], [
        type(frame) for frame in up if isinstance(frame, TurnDecidedFrame)
    ]


@in_virtual_time
async def test_nothing_is_decided_before_the_words_of_the_pause_are_known() -> None:
    assert await run([*SPOKE, *silence(1.0), SleepFrame(0.1)]) == ([], [])


@in_virtual_time
async def test_a_decision_asks_for_the_words_and_the_words_end_the_turn() -> None:
    known = [*SPOKE, PauseTranscriptFrame("stop"), *silence(0.1), SleepFrame(0.2)]
    assert await run(known) == ([], [TurnDecidedFrame])
    down, _ = await run([*known, final("stop"), SleepFrame(0.2)])
    assert sorted(kind.__name__ for kind in down) == ["LLMContextFrame", "UserStoppedSpeakingFrame"]


@in_virtual_time
async def test_without_words_the_turn_ends_and_nothing_is_asked_of_the_model() -> None:
    frames = [*SPOKE, PauseTranscriptFrame(""), *silence(0.4), SleepFrame(0.1), NoWordsFrame(), SleepFrame(0.1)]
    assert await run(frames) == ([UserStoppedSpeakingFrame], [TurnDecidedFrame])


@in_virtual_time
async def test_silence_is_counted_in_samples() -> None:
    # "the" holds the turn for the longest pause, 1.6 s: 0.2 s until silence was noticed, and 1.4 s of samples.
    held = [*SPOKE, PauseTranscriptFrame("turn on the"), *silence(1.36), SleepFrame(0.1)]
    assert await run(held) == ([], [])
    assert await run([*held, *silence(0.06), SleepFrame(0.1)]) == ([], [TurnDecidedFrame])


@in_virtual_time
async def test_an_uh_within_a_sentence_begins_the_pause_anew() -> None:
    def pause_with(sound_secs: float, text: str) -> list[Frame]:
        # 0.2 + 1.0 s of silence, then a sound that ended 0.1 s ago, then 1.0 s more.
        dismissed = VoiceEdgeFrame(VoiceEdge.DISMISSED, sound_secs, 0.1)
        before = [*SPOKE, PauseTranscriptFrame(text), *silence(1.0), VoiceEdgeFrame(VoiceEdge.SUSPECTED), dismissed]
        return [*before, *silence(1.0), SleepFrame(0.1)]

    # "the" holds the turn for 1.6 s.
    assert await run(pause_with(0.15, "turn on the")) == ([], [])
    assert await run([*pause_with(0.15, "turn on the"), *silence(0.6), SleepFrame(0.1)]) == ([], [TurnDecidedFrame])
    # A click is none, and after a whole sentence nobody hesitates.
    assert await run(pause_with(0.05, "turn on the")) == ([], [TurnDecidedFrame])
    assert await run(pause_with(0.15, "turn it off")) == ([], [TurnDecidedFrame])


@in_virtual_time
async def test_a_voice_that_begins_just_before_the_longest_pause_is_over_is_waited_for() -> None:
    suspected = VoiceEdgeFrame(VoiceEdge.SUSPECTED)
    # 0.2 + 1.3 s; without the sound the turn would end at 1.6 s, with it at 1.9 s.
    frames = [*SPOKE, PauseTranscriptFrame("turn on the"), *silence(1.3), suspected, *silence(0.3), SleepFrame(0.1)]
    assert await run(frames) == ([], [])
    assert await run([*frames, *silence(0.14), SleepFrame(0.1)]) == ([], [TurnDecidedFrame])


@in_virtual_time
async def test_sounds_that_go_on_and_on_do_not_hold_the_turn_open() -> None:
    hums = [VoiceEdgeFrame(VoiceEdge.DISMISSED, 0.15, 0.1), *silence(0.5)] * 5
    # 0.2 + 0.5 s, anew from 0.1 s twice: 0.6, then 0.6, 1.1 and 1.6 s.
    frames = [*SPOKE, PauseTranscriptFrame("turn on the"), *silence(0.5), *hums, SleepFrame(0.1)]
    assert await run(frames) == ([], [TurnDecidedFrame])


@in_virtual_time
async def test_speech_in_the_pause_takes_the_decision_back() -> None:
    frames = [*SPOKE, PauseTranscriptFrame("stop"), *silence(0.1), SleepFrame(0.1), VADUserStartedSpeakingFrame()]
    down, up = await run([*frames, final("stop"), SleepFrame(0.2)])
    # The end of the session writes down what is open; the turn was not ended.
    assert (down, up) == ([LLMContextFrame], [TurnDecidedFrame])


@in_virtual_time
async def test_a_microphone_that_falls_silent_in_a_pause_ends_the_turn_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turn, "SILENT_MICROPHONE_SECS", 0.1)
    frames = [*SPOKE, InterimTranscriptionFrame("turn on the", "", ""), PauseTranscriptFrame("turn on the")]
    assert await run([*frames, SleepFrame(0.8)], Patience(max_secs=0.3)) == ([], [TurnDecidedFrame])


@in_virtual_time
async def test_a_recognizer_that_never_answers_ends_the_turn_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "MIN_TIMEOUT_SECS", 0.2)
    monkeypatch.setattr(turn, "TIMEOUT_FACTOR", 0.0)
    down, _ = await run([*SPOKE, PauseTranscriptFrame("stop"), *silence(0.1), SleepFrame(0.8)])
    assert down == [UserStoppedSpeakingFrame]
