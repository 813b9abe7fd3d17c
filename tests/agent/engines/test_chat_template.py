"""What a server tells of its model's chat template, and what that says about thoughts."""

import pytest

from agent.engines.chat_template import template_marks
from agent.engines.llm_servers import check_endpoint
from agent.engines.look_ups import LookUps
from processors.errors import EngineUnavailableError
from processors.llm.templates import UNKNOWN_TEMPLATE, TemplateMarks, read_template
from tests.support.scripted_llm import Answer, Failure, ScriptedLLM

R1 = (
    "{% for m in messages %}{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\\n' }}{% endif %}"
)
QWEN3 = (
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}"
    "{%- endif %}{%- endif %}"
)
QWEN35 = (
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and "
    "enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- else %}{{- '<think>\\n' }}"
    "{%- endif %}{%- endif %}"
)
OLLAMA_R1 = "{{ if .System }}{{ .System }}{{ end }}<｜User｜>{{ .Prompt }}<｜Assistant｜><think>\n"
GPT_OSS = "{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}{# <|channel|>analysis<|message|> #}"
MAGISTRAL = "{{ '[THINK]' + block.thinking + '[/THINK]' }}{% if add_generation_prompt %}{% endif %}"
PLAIN = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


@pytest.mark.parametrize(
    ("template", "thinking", "marks"),
    [
        ("", True, UNKNOWN_TEMPLATE),
        (R1, True, TemplateMarks(starts_inside=True)),
        (R1, False, TemplateMarks(starts_inside=True)),
        (QWEN3, True, TemplateMarks(starts_inside=False)),
        (QWEN3, False, TemplateMarks(starts_inside=False)),
        (QWEN35, True, TemplateMarks(starts_inside=True)),
        (QWEN35, False, TemplateMarks(starts_inside=False)),
        (OLLAMA_R1, True, TemplateMarks(starts_inside=True)),
        (GPT_OSS, True, TemplateMarks(starts_inside=False, again=True)),
        (MAGISTRAL, True, TemplateMarks(starts_inside=False, again=True)),
        (PLAIN, True, TemplateMarks(starts_inside=False)),
    ],
)
def test_the_thinking_of_a_template_is_read_from_its_prompt(
    template: str, thinking: bool, marks: TemplateMarks
) -> None:
    assert read_template(template, thinking=thinking) == marks


@pytest.mark.parametrize(
    ("engine", "answer", "marks"),
    [
        ("llamacpp", Failure(200, {"chat_template": R1}), TemplateMarks(starts_inside=True)),
        (
            "llamacpp",
            Failure(
                200,
                {"chat_template": R1, "default_generation_settings": {"params": {"reasoning_format": "deepseek"}}},
            ),
            TemplateMarks(starts_inside=False),
        ),
        ("endpoint", Failure(200, {"chat_template": PLAIN}), TemplateMarks(starts_inside=False)),
        ("llamacpp", Failure(404, ""), UNKNOWN_TEMPLATE),
        ("llamacpp", Failure(200, "[1]"), UNKNOWN_TEMPLATE),
        ("llamacpp", Failure(200, {"chat_template": 5}), UNKNOWN_TEMPLATE),
        ("llamacpp", Failure(200, "{"), UNKNOWN_TEMPLATE),
        ("lmstudio", Failure(200, {"chat_template": R1}), UNKNOWN_TEMPLATE),
    ],
)
async def test_llama_cpp_tells_the_thinking_of_its_template(engine: str, answer: Answer, marks: TemplateMarks) -> None:
    async with ScriptedLLM(models_answer=answer) as server:
        told = await template_marks(LookUps(server.base_url, None), engine, "m", thinking=True)
        assert [request.path for request in server.all_requests] == ([] if engine == "lmstudio" else ["/props"])
    assert told == marks


async def test_ollama_tells_the_thinking_of_its_template() -> None:
    shown = {"template": OLLAMA_R1, "capabilities": ["completion"]}
    apart = {"template": OLLAMA_R1, "capabilities": ["completion", "thinking"]}
    async with ScriptedLLM() as server:
        server.answer_to_show = shown
        first = await template_marks(LookUps(server.base_url, None), "ollama", "m", thinking=True)
        server.answer_to_show = apart
        second = await template_marks(LookUps(server.base_url, None), "ollama", "m", thinking=True)
    assert [(request.path, request.body) for request in server.all_requests] == [("/api/show", {"model": "m"})] * 2
    assert (first, second) == (TemplateMarks(starts_inside=True), TemplateMarks(starts_inside=False))


async def test_an_address_without_v1_is_tried_with_it() -> None:
    async with ScriptedLLM(models=["a"]) as server:
        server.only_v1 = True
        found = await check_endpoint(server.base_url.removesuffix("/v1"))
        assert (found.base_url, found.models) == (server.base_url, ("a",))


async def test_an_address_that_has_no_v1_either_is_told_with_it() -> None:
    async with ScriptedLLM(models_answer=Failure(404, "")) as server:
        plain = server.base_url.removesuffix("/v1")
        with pytest.raises(EngineUnavailableError) as failure:
            await check_endpoint(plain)
    assert str(failure.value) == (
        f"no language model at {plain} (HTTP 404), nor at {plain}/v1 (HTTP 404): "
        f"give the whole address, usually llm.base_url={plain}/v1"
    )
