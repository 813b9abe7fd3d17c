"""Speech is made only some seconds ahead of the loudspeaker; a cut is instant, and nothing loses its place."""

import asyncio

import pytest

from processors.speech_ahead import MOST_SECS, SpeechAhead
from tests.support.house import hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import WORD_SECS, ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

SENTENCE = "one two three four five six seven eight. "
N_SENTENCES = 25  # of 2 s each


class WatchedSynthesizer(ScriptedSynthesizer):
    """Knows how much it has made, in seconds."""

    made_secs = 0.0

    def synthesize(self, text):  # type: ignore[no-untyped-def]
        for chunk in super().synthesize(text):
            self.made_secs += WORD_SECS
            yield chunk


def longest_secs(tts: ScriptedSynthesizer) -> float:
    """The longest text that it was given at once."""
    return max(len(text.split()) for text in tts.spoken) * WORD_SECS


@in_virtual_time
async def test_a_long_reply_is_made_some_seconds_ahead_and_heard_whole() -> None:
    stt, tts = ScriptedRecognizerEngine("count"), WatchedSynthesizer()
    ahead_secs: list[float] = []
    n_heard = 0

    def watch(event: dict) -> None:  # type: ignore[type-arg]
        nonlocal n_heard
        if event["event"] == "bot_word":
            n_heard += 1
            ahead_secs.append(tts.made_secs - n_heard * WORD_SECS)

    async with ScriptedLLM(Reply(*[SENTENCE] * N_SENTENCES)) as server, hosting(stt, options(server), tts) as host:
        held = await hold(host, [say("days_in_a_week.wav")], sinks=[watch])
    assert held.texts("bot_word") == (SENTENCE * N_SENTENCES).split()
    # One more text may have been begun when there was still room.
    assert MOST_SECS / 2 < max(ahead_secs) <= MOST_SECS + longest_secs(tts)
    assert held.named("error") == []


@in_virtual_time
async def test_a_cut_while_speech_waits_for_room_leaves_room_for_the_next_reply() -> None:
    stt, tts = ScriptedRecognizerEngine("count", "stop"), WatchedSynthesizer()
    script = (Reply(*[SENTENCE] * N_SENTENCES), Reply("Fine."))
    async with ScriptedLLM(*script) as server, hosting(stt, options(server), tts) as host:
        cut = say("stop.wav", after="bot_started_speaking", delay_secs=3.0)
        held = await hold(host, [say("days_in_a_week.wav", after="idle"), cut])
    [interruption] = held.named("interruption")
    assert held.texts("bot_word")[-1] == "Fine."
    assert interruption["heard"].split() == (SENTENCE * N_SENTENCES).split()[: len(interruption["heard"].split())]
    # What was made after the cut is the next reply.
    assert tts.spoken[-1] == "Fine."
    assert tts.made_secs < MOST_SECS + 2 * longest_secs(tts)
    assert tts.made_secs < N_SENTENCES * 2.0 / 2


@in_virtual_time
async def test_what_was_not_made_is_not_owed() -> None:
    ahead = SpeechAhead(1.0)
    ahead.play(5.0)
    ahead.make(0.75)
    assert ahead.secs == 0.75
    assert await ahead.has_room(0)
    ahead.make(0.5)
    assert not await ahead.has_room(0.01)
    waiting = asyncio.create_task(ahead.has_room(60))
    await asyncio.sleep(0)
    ahead.cut()
    assert await waiting
    assert ahead.secs == pytest.approx(0)
