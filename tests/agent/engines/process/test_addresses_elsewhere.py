"""Addresses that the engine process asks: whoever holds conversations is told what is gone, and what is back."""

import asyncio
from typing import Any, cast

import pytest

from agent.engines.process.addresses import keep_up, mirrors_of
from agent.settings.load import Settings
from processors.address import Change, Group
from processors.addresses import AddressGroup
from processors.errors import EngineUnavailableError
from tests.support.engines_elsewhere import engines_elsewhere
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM

TWO = "http://127.0.0.1:1/v1,http://127.0.0.1:2/v1"
SETTINGS = Settings.model_validate({"tools": {"choice": "off"}, "stt": {"base_url": TWO}})


class Ears(ScriptedRecognizerEngine):
    """Ears at several addresses."""

    name = "openai"

    def __init__(self, group: AddressGroup) -> None:
        super().__init__()
        self.addresses = group


async def test_what_the_engine_process_sees_is_told_where_conversations_are_held() -> None:
    group = AddressGroup(Group("stt", tuple(TWO.split(","))))
    first, second = group.addresses
    async with ScriptedLLM() as llm, hosting(Ears(group), options(llm), ScriptedSynthesizer()) as host:
        async with engines_elsewhere(host, SETTINGS) as remote:
            (mirror,) = remote.addresses()
            assert mirror is not group
            told: asyncio.Queue[Change] = asyncio.Queue()
            mirror.listeners.append(told.put_nowait)
            taken = group.take()
            group.failed(first, "HTTP 503")
            assert await asyncio.wait_for(told.get(), 60) == Change("stt", 1, 2, "gone", "HTTP 503", 1)
            assert [one.n_in_flight for one in mirror.addresses] == [1, 0]
            assert mirror.as_json() == group.as_json()
            group.give_back(taken)
            group.is_back(first)
            assert await asyncio.wait_for(told.get(), 60) == Change("stt", 1, 2, "back", "", 2)
        assert second.gone == ""


def test_only_what_is_named_and_used_is_followed() -> None:
    about = {"stt": {"engine": "openai"}, "tts": {"engine": "espeak"}}
    named = Settings.model_validate({"stt": {"base_url": TWO}, "tts": {"base_url": TWO}, "llm": {"base_url": TWO}})
    assert [one.stage for one in mirrors_of(named, about)] == ["stt"]
    assert mirrors_of(named, {"stt": {"engine": "whisper"}, "tts": {"engine": "espeak"}}) == ()
    assert mirrors_of(Settings(), about) == ()


@pytest.mark.parametrize(
    "answer",
    [EngineUnavailableError("it is not there"), {}, {"addresses": {"stt": {"asked": "many"}}}],
)
async def test_an_engine_process_that_is_away_or_tells_nonsense_is_asked_again(answer: Any) -> None:
    group = AddressGroup(Group("stt", tuple(TWO.split(","))))
    answers = [answer, {"addresses": {"stt": {**group.as_json(), "asked": 7}}}]
    seen = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Elsewhere:
        def ask(self, head: object) -> tuple[Any, bytes]:
            one = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(one, Exception):
                raise one
            if one is answers[0]:
                loop.call_soon_threadsafe(seen.set)
            return one, b""

    following = asyncio.create_task(keep_up([group], cast(Any, Elsewhere()), every_secs=0.0))
    await asyncio.wait_for(seen.wait(), 60)
    while group.n_asked != 7:
        await asyncio.sleep(0)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
