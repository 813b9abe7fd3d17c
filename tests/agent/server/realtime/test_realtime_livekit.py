"""LiveKit's agent and its streaming ears before the Realtime door: the real application on scripted engines."""

import pytest

from tests.agent.server.realtime.stage import staged
from tests.agent.server.realtime.test_realtime_conversations import LONG_REPLY, QUESTION, STOP, weather_call
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.served import serving_page

# It takes its sound at the pace of real time.
pytestmark = [pytest.mark.realtime, pytest.mark.long]

HEARD = ("what is the capital of germany", "count please", "stop", "how is the weather in oslo", "are you there")


@pytest.mark.parametrize("sound", ["paced", "ahead"])
async def test_livekits_agent_talks_is_cut_off_calls_a_function_and_comes_back(sound: str) -> None:
    from tests.support.livekit_agent import livekit_talk

    replies: tuple[str | Reply, ...] = (
        "The capital is Berlin.",
        LONG_REPLY,
        "Fine.",
        weather_call(),
        "It snows.",
        "Yes.",
    )
    settings = {"server.realtime_sound": sound}
    async with staged(*HEARD, replies=replies, **settings) as stage, livekit_talk(stage.url) as talk:
        talk.microphone.say(QUESTION)
        await talk.until(lambda: ("assistant", "The capital is Berlin.") in talk.said)
        before = talk.loudspeaker.n_samples
        talk.microphone.say(QUESTION)
        # A second of it has been heard.
        await talk.until(lambda: talk.loudspeaker.n_samples > before + 24_000)
        talk.microphone.say(STOP)
        await talk.until(lambda: ("assistant", "Fine.") in talk.said)
        talk.microphone.say(QUESTION)
        await talk.until(lambda: ("assistant", "It snows.") in talk.said)
        [session] = stage.live._running
        await session.end("the test drops the line")
        await talk.until(lambda: len(stage.live._running) == 1 and session not in stage.live._running)
        talk.microphone.say(QUESTION)
        await talk.until(lambda: ("assistant", "Yes.") in talk.said)
        asked = stage.llm.requests
    assert talk.called == ["Oslo"]
    assert talk.loudspeaker.n_cut == 1
    user = [words for role, words in talk.said if role == "user"]
    assert user == list(HEARD)
    cut = next(words for role, words in talk.said if role == "assistant" and words.startswith("One"))
    assert 0 < len(cut.split()) < len(LONG_REPLY.split())
    assert LONG_REPLY.startswith(cut)
    # What was heard of it, and not more, is what the next request tells the model; the function's result, too.
    assert cut in str(asked[2].messages)
    assert LONG_REPLY not in str(asked[2].messages)
    assert "snow" in str(asked[4].messages)
    # It joined again, and put back in what had been said.
    assert "The capital is Berlin." in str(asked[5].messages)


async def test_livekits_agent_in_parts_talks_is_cut_off_calls_a_function_and_comes_back() -> None:
    """Ears by this door, mind and voice by those beside it: an AgentSession that knows nothing of them being one."""
    from tests.support.livekit_agent import livekit_talk_in_parts

    replies = ("The capital is Berlin.", LONG_REPLY, "Fine.", weather_call(), "It snows.", "Yes.")
    script = [Reply(reply) if isinstance(reply, str) else reply for reply in replies]
    settings = {"tools.reflexes": False, "turn.speculate": False}
    async with (
        ScriptedLLM(*script) as llm,
        serving_page(ScriptedRecognizerEngine(*HEARD), options(llm), settings=settings) as server,
        livekit_talk_in_parts(f"{server.url}/v1") as talk,
    ):
        running = server.state.sessions()._running
        talk.microphone.say(QUESTION)
        await talk.until(lambda: ("assistant", "The capital is Berlin.") in talk.said)
        before = talk.loudspeaker.n_samples
        talk.microphone.say(QUESTION)
        await talk.until(lambda: talk.loudspeaker.n_samples > before + 24_000)
        talk.microphone.say(STOP)
        await talk.until(lambda: ("assistant", "Fine.") in talk.said)
        talk.microphone.say(QUESTION)
        await talk.until(lambda: ("assistant", "It snows.") in talk.said)
        [session] = running
        await session.end("the test drops the line")
        # Its ears join again with the next sound.
        await talk.until(lambda: len(running) == 1 and session not in running)
        talk.microphone.say(QUESTION)
        await talk.until(lambda: ("assistant", "Yes.") in talk.said)
        asked = llm.requests
    assert talk.called == ["Oslo"]
    # What was heard of it, LiveKit has to find out by itself: its voice comes without its words' times.
    assert talk.loudspeaker.n_cut == 1
    assert [words for role, words in talk.said if role == "user"] == list(HEARD)
    said = [words for role, words in talk.said if role == "assistant"]
    assert [*said[:1], *said[2:]] == ["The capital is Berlin.", "Fine.", "It snows.", "Yes."]
    assert LONG_REPLY.startswith(said[1])
    assert "snow" in str(asked[4].messages)


async def test_livekits_streaming_ears_hear_words_on_the_way_and_every_turn() -> None:
    from tests.support.livekit_agent import livekit_hears

    async with staged(*HEARD[:2]) as stage:
        stage.stt.word_secs, stage.stt.shows_partials = 0.25, True
        partials, finals = await livekit_hears(stage.url, [QUESTION, QUESTION])
    assert finals == list(HEARD[:2])
    assert any(HEARD[0].startswith(words) and words != HEARD[0] for words in partials)
    assert stage.n_active() == 0
