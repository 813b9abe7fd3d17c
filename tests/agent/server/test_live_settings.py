"""Settings that change while a call goes on: one line, one recording, one history; no second join.

Real route, transport and pipeline between a caller and scripted engines.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from agent.conversation.histories import Histories
from agent.engines.candidates import Candidate
from agent.engines.llm import LlmBackend
from agent.server.calls.sessions import LiveSessions
from agent.settings.load import load_settings
from processors.errors import EngineUnavailableError
from tests.support.house import SPEECH, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import WORD_SECS, ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time
from tests.support.websocket_caller import OUT_RATE_HZ, Caller, calling, serving_sessions
from transports.recording import load_recording

STORY = "One two three four five six seven eight. Nine ten eleven twelve."


class House:
    """What a test looks at."""

    def __init__(self, caller: Caller, sessions: LiveSessions, llm: ScriptedLLM, voice: ScriptedSynthesizer) -> None:
        self.caller, self.sessions, self.llm, self.voice = caller, sessions, llm, voice

    async def change(self, **wish: Any) -> dict[str, Any]:
        """Ask for settings, `tts__speed` for tts.speed; the event that answers."""
        before = len(self.answers())
        wanted = {key.replace("__", "."): value for key, value in wish.items()}
        await self.caller.tell({"type": "settings", "options": wanted})
        await self.caller.until(lambda: len(self.answers()) > before)
        return self.answers()[-1]

    def answers(self) -> list[dict[str, Any]]:
        return [event for event in self.caller.events if event["event"] in ("settings_changed", "settings_refused")]

    async def ask(self, text: str, n_answers: int) -> None:
        """Type something, and hear the answer to its end."""
        await self.caller.tell({"type": "text", "text": text})
        await self.caller.until_event("bot_stopped_speaking", count=n_answers)

    def system(self, n: int) -> str:
        return str(self.llm.requests[n].body["messages"][0]["content"])


@asynccontextmanager
async def in_call(*heard_as: str, replies: tuple[str, ...] = (), **settings: Any) -> AsyncIterator[House]:
    voice = ScriptedSynthesizer()
    async with (
        ScriptedLLM(*map(Reply, replies)) as llm,
        hosting(ScriptedRecognizerEngine(*heard_as), options(llm), voice) as host,
    ):
        sessions = LiveSessions(host, load_settings({"tools.reflexes": False, **settings}), Histories())
        async with serving_sessions(sessions) as url, calling(url) as caller:
            await caller.join()
            caller.begin_to_speak()
            yield House(caller, sessions, llm, voice)
            await sessions.close()


@in_virtual_time
async def test_a_voice_a_pace_and_a_persona_change_between_two_answers_of_one_call() -> None:
    async with in_call(replies=("Hello Ann.", "Guten Tag.")) as house:
        await house.ask("I am Ann", 1)
        changed = await house.change(
            tts__voice="ton", tts__language="de", tts__speed=1.5, llm__system_prompt="You are Bob."
        )
        assert changed["event"] == "settings_changed"
        assert changed["changed"] == ["llm.system_prompt", "tts.voice", "tts.language", "tts.speed"]
        await house.ask("and now?", 2)
        # Whose voice it is, and the prompt, are others; the history is the same.
        assert house.voice.said_in == [("Hello Ann.", "own"), ("Guten Tag.", "de")]
        assert house.voice.voices_taken[-1] == ("ton", "de", 1.5)
        assert house.system(1) == "You are Bob." != house.system(0)
        assert [one["content"] for one in house.llm.requests[1].body["messages"][1:]] == [
            *("I am Ann", "Hello Ann.", "and now?"),
        ]
        # Everything is told on the line that was joined once.
        assert [one["event"] for one in house.caller.events].count("session_started") == 1
        assert house.caller.named("session_ended") == []
        assert house.sessions.n_active == 1


@in_virtual_time
async def test_a_reply_that_is_being_spoken_is_finished_in_its_voice_and_the_next_one_has_the_new_one() -> None:
    async with in_call(replies=(STORY, "Fine.")) as house:
        await house.caller.tell({"type": "text", "text": "count"})
        await house.caller.until_event("bot_started_speaking")
        await house.change(tts__voice="ton", tts__language="de")
        await house.caller.until_event("bot_stopped_speaking")
        words = [event["text"] for event in house.caller.named("bot_word")]
        assert " ".join(words) == STORY
        await house.ask("thanks", 2)
        assert [language for _, language in house.voice.said_in] == ["own"] * (len(house.voice.said_in) - 1) + ["de"]
        assert house.caller.named("interruption") == []


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"tts__speed": 9}, "invalid option tts.speed = '9': Input should be less than or equal to 2"),
        ({"tts__language": "klingon"}, "'klingon' is no language that is known: give a code such as en, en-US or de"),
        ({"tts__language": "fr"}, "no voice speaks tts.language = 'fr'"),
        ({"tts__voice": "nobody"}, "does not know the voice 'nobody'"),
        ({"turn__pace": "hurried"}, "invalid option turn.pace = 'hurried'"),
        ({"persona__name": "nobody"}, "there is no persona 'nobody'"),
        ({"server__token": "mine"}, "'server.token' cannot be chosen for a conversation"),
        ({"stt__engine": "nemotron"}, "stt.engine = nemotron"),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_line_and_the_old_value_stays(wish: dict[str, Any], words: str) -> None:
    @in_virtual_time
    async def talk() -> None:
        async with in_call(replies=("Hello.",)) as house:
            assert (await house.change(tts__voice="ton", tts__language="de"))["event"] == "settings_changed"
            refused = await house.change(**wish)
            assert refused["event"] == "settings_refused"
            assert words in refused["message"]
            assert "\n" not in refused["message"]
            assert refused["needs_call"] is False
            await house.ask("hello", 1)
            assert house.voice.said_in == [("Hello.", "de")]

    talk()


@pytest.mark.parametrize("options_", [7, None, ["tts.speed"], {"tts.speed": {}}, {"tts.speed": None}, "x" * 9000])
def test_no_message_of_settings_ends_a_call(options_: object) -> None:
    @in_virtual_time
    async def talk() -> None:
        async with in_call(replies=("Hello.",)) as house:
            await house.caller.tell({"type": "settings", "options": options_})
            await house.caller.until(house.answers)
            await house.ask("hello", 1)
            assert house.caller.named("session_ended") == []

    talk()


@in_virtual_time
async def test_what_needs_a_new_call_says_so_and_changes_nothing_else() -> None:
    async with in_call(replies=("Hello.",)) as house:
        refused = await house.change(tools__clock="off", tts__voice="ton", tts__language="de")
        assert (refused["event"], refused["needs_call"]) == ("settings_refused", True)
        assert refused["message"] == "tools.clock can be changed by joining again only"
        await house.ask("hello", 1)
        assert house.voice.said_in == [("Hello.", "own")]


@in_virtual_time
async def test_other_ears_hear_the_next_utterance(monkeypatch: pytest.MonkeyPatch) -> None:
    ears = ScriptedRecognizerEngine("by other ears")
    monkeypatch.setattr(
        "agent.engines.session.stt_candidates",
        lambda _: [Candidate("moonshine", "base", lambda: ears, measurable=False)],
    )
    async with in_call("by the first ears", replies=("One.", "Two.")) as house:
        house.caller.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
        await house.caller.until_event("bot_stopped_speaking")
        changed = await house.change(stt__engine="moonshine")
        assert changed["engines"]["stt"]["engine"] == "moonshine"
        house.caller.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
        await house.caller.until_event("bot_stopped_speaking", count=2)
        assert [event["text"] for event in house.caller.named("turn_ended")] == ["by the first ears", "by other ears"]


@in_virtual_time
async def test_ears_that_change_within_an_utterance_hear_it_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    ears = ScriptedRecognizerEngine("by other ears")
    monkeypatch.setattr(
        "agent.engines.session.stt_candidates",
        lambda _: [Candidate("moonshine", "base", lambda: ears, measurable=False)],
    )
    async with in_call("by the first ears", replies=("One.", "Two.")) as house:
        house.caller.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
        await house.caller.until_event("user_started_speaking")
        await asyncio.sleep(0.5)
        await house.change(stt__engine="moonshine")
        await house.caller.until_event("bot_stopped_speaking")
        assert [event["text"] for event in house.caller.named("turn_ended")] == ["by the first ears"]
        assert ears.heard_bytes == []


@in_virtual_time
async def test_the_key_decides_from_the_moment_that_it_is_chosen_and_no_longer_when_it_is_not() -> None:
    async with in_call("by the key", "freely", replies=("One.", "Two.")) as house:
        assert (await house.change(turn__mode="push_to_talk"))["push_to_talk"] is True
        house.caller.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
        await asyncio.sleep(4)
        assert house.caller.named("turn_ended") == []
        await house.caller.tell({"type": "push_to_talk", "active": True})
        house.caller.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
        await asyncio.sleep(4)
        await house.caller.tell({"type": "push_to_talk", "active": False})
        await house.caller.until_event("bot_stopped_speaking")
        assert (await house.change())["push_to_talk"] is False
        house.caller.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
        await house.caller.until_event("bot_stopped_speaking", count=2)
        assert [event["text"] for event in house.caller.named("turn_ended")] == ["by the key", "freely"]


@in_virtual_time
async def test_a_turn_that_is_open_when_the_key_is_chosen_is_ended_and_answered() -> None:
    async with in_call("how many days", replies=("Seven.",)) as house:
        house.caller.say(load_recording(SPEECH / "days_in_a_week.wav").audio_s16)
        await house.caller.until_event("user_started_speaking")
        await asyncio.sleep(0.5)
        await house.change(turn__mode="push_to_talk")
        await house.caller.until_event("bot_stopped_speaking")
        assert [event["text"] for event in house.caller.named("turn_ended")] == ["how many days"]


@in_virtual_time
async def test_any_voice_stops_the_agent_once_that_is_chosen() -> None:
    async with in_call("mm-hm", "mm-hm", replies=(STORY, STORY)) as house:
        for n, wish in enumerate(({}, {"turn__barge_in": "voice"}), 1):
            await house.change(**wish)
            await house.caller.tell({"type": "text", "text": "count"})
            await house.caller.until_event("bot_started_speaking", count=n)
            await asyncio.sleep(2 * WORD_SECS)
            house.caller.say(load_recording(SPEECH / "stop.wav").audio_s16)
            await house.caller.until_event("bot_stopped_speaking", count=n)
            assert len(house.caller.named("interruption")) == n - 1


@in_virtual_time
async def test_of_several_wishes_at_once_the_newest_counts() -> None:
    async with in_call(replies=("Hello.",)) as house:
        for speed in (1.1, 1.2, 1.3, 1.4):
            await house.caller.tell({"type": "settings", "options": {"tts.speed": speed}})
        await house.caller.until(lambda: house.answers() and house.voice.voices_taken[-1:] == [(None, "en-us", 1.4)])
        await house.ask("hello", 1)
        assert house.voice.voices_taken[-1][2] == 1.4


@in_virtual_time
async def test_a_call_that_is_joined_again_goes_on_in_its_recording_even_with_a_voice_of_another_rate() -> None:
    voice = ScriptedSynthesizer()
    async with (
        ScriptedLLM(Reply("One two."), Reply("Three four.")) as llm,
        hosting(ScriptedRecognizerEngine(), options(llm), voice) as host,
    ):
        sessions = LiveSessions(host, load_settings({"tools.reflexes": False}), Histories())
        async with serving_sessions(sessions) as url:
            conversation = ""
            for n, text in enumerate(("first", "second")):
                async with calling(url) as caller:
                    joined = await caller.join(record=True, **({"conversation": conversation} if conversation else {}))
                    conversation = joined["conversation"]
                    assert joined["sample_rate_hz"] == 24_000
                    caller.begin_to_speak()
                    await asyncio.sleep(0.2)
                    await caller.tell({"type": "text", "text": text})
                    await caller.until_event("bot_stopped_speaking")
                while sessions.n_active:
                    await asyncio.sleep(0.05)
                await asyncio.sleep(2)
                # The second call has another one.
                voice.sample_rate_hz = 16_000 if n == 0 else voice.sample_rate_hz
            sound, events = (sessions.recordings.file(conversation, name) for name in ("recording.wav", "events.jsonl"))
            assert sound is not None
            assert events is not None
            stereo_s16, rate_hz = soundfile.read(sound, dtype="int16")
            lines = [json.loads(line) for line in events.read_text().splitlines()]
            await sessions.close()
    assert rate_hz == 24_000
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)
    assert [line["event"] for line in lines].count("session_started") == 2
    # What the agent says sounds where the log says so, in both parts.
    loud_secs = np.flatnonzero(np.abs(stereo_s16[:, 1].astype(int)) > 1000) / rate_hz
    for line in lines:
        if line["event"] == "bot_started_speaking":
            assert np.abs(loud_secs - line["t"]).min() < 0.06
    n_spans = 1 + (np.diff(loud_secs) > 1.0).sum()
    assert n_spans == 2


@in_virtual_time
async def test_an_engine_that_is_loaded_meanwhile_speaks_the_next_answer_at_the_rate_of_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Kokoro(ScriptedSynthesizer):
        name = "kokoro"
        # Its tones of a quarter of a second take half of one.
        sample_rate_hz = 12_000

    other = Kokoro()
    offered = [Candidate("kokoro", None, lambda: other, measurable=False)]
    monkeypatch.setattr("agent.engines.session.tts_candidates", lambda _: offered)
    async with in_call(replies=("One two.", "Three four.")) as house:
        await house.ask("count", 1)
        n_bytes = len(house.caller.heard)
        changed = await house.change(tts__engine="kokoro")
        assert changed["engines"]["tts"]["engine"] == "kokoro"
        await house.ask("go on", 2)
        await asyncio.sleep(0.5)
        assert (other.spoken, house.voice.spoken) == (["Three four."], ["One two."])
        heard_s16 = np.frombuffer(house.caller.heard[n_bytes:], "<i2").astype(int)
        assert (np.abs(heard_s16) > 1000).sum() / OUT_RATE_HZ == pytest.approx(2 * 2 * WORD_SECS, rel=0.1)


@in_virtual_time
async def test_another_language_model_answers_the_next_turn_and_knows_the_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with ScriptedLLM(Reply("From the other.")) as other, in_call(replies=("From the first.",)) as house:

        async def offered(_: object) -> list[Candidate[LlmBackend]]:
            return [Candidate("ollama", "big", lambda: LlmBackend(options(other, model="big")), measurable=False)]

        monkeypatch.setattr("agent.engines.session.llm_candidates", offered)
        await house.ask("hello", 1)
        changed = await house.change(llm__engine="ollama")
        assert changed["engines"]["llm"]["model"] == "big"
        await house.ask("who are you?", 2)
        assert [one["content"] for one in other.requests[0].body["messages"][1:]] == [
            *("hello", "From the first.", "who are you?"),
        ]
        assert len(house.llm.requests) == 1


@in_virtual_time
async def test_a_persona_brings_its_prompt_voice_and_pace_and_does_not_greet_who_is_there(tmp_path: Path) -> None:
    (tmp_path / "pirate.md").write_text(
        "---\nvoice: ton\npace: brisk\ngreeting: Ahoy!\n---\nYou are a pirate.", encoding="utf-8"
    )
    (tmp_path / "clerk.md").write_text("---\ntools: [clock]\n---\nYou are a clerk.", encoding="utf-8")
    async with in_call(replies=("Arr.",), **{"persona.folder": str(tmp_path)}) as house:
        changed = await house.change(persona__name="pirate")
        assert set(changed["changed"]) == {
            *("persona.name", "llm.system_prompt", "tts.voice", "turn.pace", "dialogue.greeting"),
        }
        await house.ask("hello", 1)
        assert house.voice.said_in == [("Arr.", "en-us")]
        assert house.system(0) == "You are a pirate."
        # One that may do less has other tools, which a running call cannot be given.
        refused = await house.change(persona__name="clerk")
        assert (refused["event"], refused["needs_call"]) == ("settings_refused", True)


@in_virtual_time
async def test_a_change_while_an_engine_is_loaded_does_not_hold_up_what_is_typed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loading = threading.Event()

    def load() -> ScriptedSynthesizer:
        assert loading.wait(60)
        raise EngineUnavailableError("its file is broken", "sotto models pull kokoro")

    offered = [Candidate("kokoro", None, load, measurable=False)]
    monkeypatch.setattr("agent.engines.session.tts_candidates", lambda _: offered)
    async with in_call(replies=("Hello.",)) as house:
        await house.caller.tell({"type": "settings", "options": {"tts.engine": "kokoro"}})
        await house.caller.tell({"type": "text", "text": "hello", "spoken": False})
        try:
            await house.caller.until_event("llm_done")
            assert house.answers() == []
        finally:
            loading.set()
        await house.caller.until(house.answers)
        assert house.answers()[0]["message"] == ("tts.engine = kokoro: its file is broken: sotto models pull kokoro")


@in_virtual_time
async def test_a_step_that_fails_at_a_change_is_told_and_the_next_wish_is_heard() -> None:
    async with in_call(replies=("Hello.",)) as house:
        [session] = house.sessions._running
        change = session.conversation.change

        async def fail(*_: Any, **__: Any) -> None:
            session.conversation.change = change
            await house.caller.tell({"type": "settings", "options": {"tts.speed": 1.5}})
            await asyncio.sleep(1)
            raise RuntimeError("no such step")

        session.conversation.change = fail
        refused = await house.change(tts__voice="ton", tts__language="de")
        assert refused["message"] == "the settings could not be changed; the server's log says why"
        await house.caller.until_event("settings_changed")
        assert house.answers()[-1]["changed"] == ["tts.speed"]
