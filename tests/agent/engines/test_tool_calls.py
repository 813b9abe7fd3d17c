"""Whether a model calls tools, as its server tells."""

from typing import Any

import pytest

from agent.engines.look_ups import LookUps
from agent.engines.tool_calls import calls_tools, told
from tests.support.scripted_llm import Failure, ScriptedLLM

WITH = "{%- if tools %}{{ tools | tojson }}{% endif %}"
WITHOUT = "{% for m in messages %}{{ m.content }}{% endfor %}"


@pytest.mark.parametrize(
    ("make", "answer", "calls"),
    [
        ("llamacpp", {"chat_template": WITH}, True),
        ("llamacpp", {"chat_template": WITHOUT}, False),
        ("endpoint", {"chat_template": WITHOUT, "chat_template_caps": {"supports_tools": True}}, True),
        ("embedded", {"chat_template": WITH, "chat_template_caps": {"supports_tools": False}}, False),
        ("embedded", {"chat_template_caps": "none", "chat_template": 7}, None),
        ("lmstudio", {"data": [{"id": "scripted", "capabilities": ["tool_use"]}]}, True),
        ("lmstudio", {"data": [{"id": "scripted", "capabilities": []}]}, False),
        ("lmstudio", {"data": [{"id": "scripted"}, None, "x"]}, None),
        ("lmstudio", {"data": 3}, None),
        ("vllm", {"chat_template": WITH}, None),
        ("endpoint", {}, None),
    ],
)
async def test_each_make_of_server_tells_it_in_its_own_way(
    make: str, answer: dict[str, Any], calls: bool | None
) -> None:
    async with ScriptedLLM(models_answer=Failure(200, answer)) as server:
        assert await calls_tools(LookUps(server.base_url, None), make, "scripted") is calls


@pytest.mark.parametrize(
    ("capabilities", "calls"),
    [({"capabilities": ["completion", "tools"]}, True), ({"capabilities": ["completion"]}, False), ({}, None)],
)
async def test_ollama_tells_it_among_capabilities(capabilities: dict[str, Any], calls: bool | None) -> None:
    async with ScriptedLLM() as server:
        server.answer_to_show = capabilities
        assert await calls_tools(LookUps(server.base_url, None), "ollama", "scripted") is calls


def test_the_user_is_told_in_words() -> None:
    assert [told(calls, chooses=True) for calls in (True, None, False)] == [
        "calls tools: yes",
        "calls tools: tried when asked",
        "calls tools: by constrained choice",
    ]
    assert told(False, chooses=False) == "calls tools: no"
