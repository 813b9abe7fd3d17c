"""Whole conversations in a room with an open loudspeaker: the agent does not hear itself, and hears the user cut in."""

from collections.abc import Sequence

import pytest

from agent.commands.script import Step
from agent.conversation.event_log import Event
from agent.settings.load import Settings
from processors.tts.espeak import EspeakSynthesizer
from tests.support.eavesdropper import Eavesdropper
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.sounds import then, voice
from tests.support.virtual_time import in_virtual_time

STORY = (
    "Rivers carry water from the mountains toward the sea. Along their banks grow willows, reeds and tall grasses. "
    "Many animals drink there every morning before sunrise. Farmers built small villages close by long ago."
)
CUT = "no wait tell me about mountains instead"
ROOMS = ["rt60=0.4,echo_db=-10", "rt60=0.4,echo_db=0", "rt60=0.3,echo_db=10,delay_ms=120,drift_ppm=100"]


async def talk(room: str, steps: Sequence[Step] = (), *heard_as: str, mode: str = "auto") -> Held:
    """A question, its long answer by a real voice in that room, and what is said over it."""
    stt, tts = ScriptedRecognizerEngine("tell me about rivers", *heard_as), EspeakSynthesizer(voice="en-us+f3")
    settings = Settings.model_validate({"echo": {"mode": mode}})
    async with (
        ScriptedLLM(answers={"tell me about rivers": Reply(STORY)}) as server,
        hosting(stt, options(server), tts) as host,
    ):
        return await hold(host, [say("tell_me_a_story.wav"), *steps], room=room, settings=settings, end_secs=1.5)


@pytest.mark.long
@pytest.mark.parametrize("room", ROOMS)
@in_virtual_time
async def test_the_agent_does_not_answer_itself(room: str) -> None:
    # Whatever is heard of the agent is written down as a whole sentence: the worst that a recognizer could do.
    held = await talk(room, (), *["rivers carry water from the mountains"] * 9)
    assert held.named("interruption") == []
    assert held.texts("turn_ended") == ["tell me about rivers"]
    assert held.history[-1]["content"] == STORY
    assert held.named("echo_tier")[-1]["tier"] == "cancel"
    assert held.named("echo_tier")[-1]["warmed_up"] is True


class HearsAgentAndUser(Eavesdropper):
    """Hears the question, then the agent, as long as nobody cuts in, and then what the user says."""

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        # More than a second before the user cuts in.
        if event["event"] == "bot_word" and event["text"] == "sea.":
            self.asked = CUT


@pytest.mark.parametrize("room", ROOMS[:2])
@in_virtual_time
async def test_a_user_who_cuts_in_is_heard_over_the_loudspeaker(room: str) -> None:
    cut = then(voice("no wait, tell me about mountains instead"), after="bot_started_speaking", delay_secs=4.0)
    ears, tts = HearsAgentAndUser(), EspeakSynthesizer(voice="en-us+f3")
    ears.asked = "tell me about rivers"
    async with (
        ScriptedLLM(answers={"tell me about rivers": Reply(STORY)}) as server,
        hosting(ears, options(server), tts) as host,
    ):
        held = await hold(host, [say("tell_me_a_story.wav"), cut], room=room, sinks=[ears], end_secs=1.5)
    assert len(held.named("interruption")) == 1
    assert STORY.startswith(held.named("interruption")[0]["heard"])
    assert held.texts("turn_ended") == ["tell me about rivers", CUT]


@in_virtual_time
async def test_with_headphones_nothing_is_gated() -> None:
    held = await talk("echo_db=-60,noise_snr_db=60")
    assert held.named("interruption") == held.named("false_interruption") == []
    assert held.named("echo_tier")[-1]["tier"] == "none"


@in_virtual_time
async def test_half_duplex_does_not_listen_while_the_agent_speaks() -> None:
    cut = then(voice("no wait, tell me about mountains instead"), after="bot_started_speaking", delay_secs=4.0)
    held = await talk(ROOMS[1], [cut], "no wait tell me about mountains instead", mode="half_duplex")
    assert held.named("interruption") == []
    assert held.history[-1]["content"] == STORY
