"""A call that goes on with another language model: what that is told of, and what becomes of the one before."""

import asyncio

import pytest

from agent.conversation.speaking_up import QUIET_SECS
from agent.engines.candidates import Candidate
from agent.engines.llm import LlmBackend
from tests.agent.server.test_live_settings import in_call
from tests.support.llm_session import options
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_model_that_sees_is_told_of_the_camera_and_one_that_does_not_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told(llm: ScriptedLLM, n: int) -> bool:
        return any(one["function"]["name"] == "look_through_camera" for one in llm.requests[n].body.get("tools", []))

    async with (
        ScriptedLLM(Reply("I see."), Reply("I do.")) as other,
        in_call(replies=("From the first.", "Blind again.")) as house,
    ):

        async def offered(_: object) -> list[Candidate[LlmBackend]]:
            sees = options(other, model="eyes", takes_images=True)
            return [Candidate("ollama", "eyes", lambda: LlmBackend(sees), measurable=False)]

        monkeypatch.setattr("agent.engines.session.llm_candidates", offered)
        await house.ask("hello", 1)
        assert not told(house.llm, 0)
        changed = await house.change(llm__engine="ollama")
        assert changed.get("sees") is True, changed
        await house.ask("and now?", 2)
        assert told(other, 0)
        await house.change()
        await house.ask("and without?", 3)
        assert not told(house.llm, 1)


@in_virtual_time
async def test_the_model_before_is_let_go_once_nothing_is_under_way_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptedLLM(Reply("Here I am.")) as other, in_call(replies=("One two three four five six.",)) as house:

        async def offered(_: object) -> list[Candidate[LlmBackend]]:
            return [Candidate("ollama", "big", lambda: LlmBackend(options(other, model="big")), measurable=False)]

        monkeypatch.setattr("agent.engines.session.llm_candidates", offered)
        in_use = house.sessions.engines.in_use
        await house.caller.tell({"type": "text", "text": "hello"})
        await house.caller.until_event("bot_started_speaking")
        await house.change(llm__engine="ollama")
        # What is being said is finished on the one before.
        assert [host.llm_options.model for host in in_use] == ["scripted", "big"]
        await house.caller.until_event("bot_stopped_speaking")
        await asyncio.sleep(2 * QUIET_SECS)
        assert [host.llm_options.model for host in in_use] == ["big"]
        await house.ask("and now?", 2)
        assert len(other.requests) == 1
