"""Marks as models really write them: nested, misspelt, of families that no table names, and merely spoken of."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.llm.thinking import ThinkFilter

CALL = '{"name": "get_weather", "arguments": {"city": "Paris"}}'


def spoken(*pieces: str, **how: Any) -> str:
    think = ThinkFilter(**how)
    return "".join([*(think.feed(piece) for piece in pieces), think.flush()])


NESTED = [
    ("<think>a<think>b</think>c</think>Paris.", "Paris."),
    ("<think>a<think>b</think>c<think>d</think>e</think>Paris.", "Paris."),
    ("<think>a <thinking>b</thinking> c</think>Paris.", "Paris."),
    ("<thinking>a<think>b</think>c</thinking>Paris.", "Paris."),
    ("<thinking>a<reflection>b</thinking>Paris.", "Paris."),
    ("<think>\na\n<think>\nb\n</think>\nc\n</think>\nParis.", "\nParis."),
    ("[THINK]a[THINK]b[/THINK]c[/THINK]Paris.", "Paris."),
    ("<think>\n<think>\na</think>Paris.", "Paris."),
    ("<think><think><think>a</think>Paris.", "Paris."),
    # One that was never closed may as well have been a mention: the answer is behind the last closing mark.
    ("<think>a<think>b</think>Paris.", "Paris."),
    ("<think>a<think>b</think>c<think>d", "c"),
    ("<think>a<think>b", ""),
]
SHAPES = [
    *((f"<{name}>hm</{name}>Paris.", "Paris.") for name in (
        "antThinking", "deepthink", "inner_thoughts", "thought_process", "planning", "mm:think", "self_reflection",
    )),
    *((f"<|{a}|>hm<|{b}|>Paris.", "Paris.") for a, b in (
        ("startofthink", "endofthink"), ("quick_think", "/quick_think"), ("start_think", "end_think"),
        ("thoughts", "/thoughts"), ("think_begin", "think_end"), ("thought", "endofthought"),
    )),
    ("<think>hm</Think >Paris.", "Paris."),
    ("<think>hm</ think>Paris.", "Paris."),
    ("<think >hm</think >Paris.", "Paris."),
    ("<think time='3'>hm</think>Paris.", "Paris."),
    ("<think/>Paris.", "Paris."),
    ("<think />Paris.", "Paris."),
    ("<|no_think|>Paris.", "Paris."),
    ("[Thought]hm[/Thought]Paris.", "Paris."),
    ("[Thinking] Well, I like it.", "[Thinking] Well, I like it."),
    ("\ufeff<think>hm</think>Paris.", "\ufeffParis."),
    ("```think\nhm\n```\nParis.", "\nParis."),
    ("Thinking...\nhm\n...done thinking.\n\nParis.", "\n\nParis."),
    ("<answer>Paris.</answer>", "Paris."),
    ("<think>hm</think><solution>Paris.</solution>", "Paris."),
    ("Paris.<|channel>thought\nhm<channel|>", "Paris."),
]  # fmt: skip
CONTROL = [
    ("Paris.<|im_end", "Paris."),
    ("Paris.<seed:eos>", "Paris."),
    ("[gMASK]<sop>Paris.", "Paris."),
    ("Paris.<｜User｜>And Rome?", "Paris."),
    ("Paris.[INST] And Rome? [/INST]", "Paris."),
    ("Paris.<|endoftext|>Human: And Rome?", "Paris."),
    ("Par<|xyz-9.q|>is.", "Paris."),
    ("f <| x |> g", "f <| x |> g"),
]
HARMONY = [
    ("<|channel|>analysis<|message|>hm<|end|>", ""),
    ("<|channel|>Analysis<|message|>hm<|end|><|start|>assistant<|channel|>Final<|message|>Paris.", "Paris."),
    ("<|channel|>commentary to=functions.x<|channel|>commentary<|constrain|>json<|message|>{}<|call|>", ""),
    ("<|start|>assistant to=functions.x<|channel|>commentary<|constrain|>json<|message|>{}<|call|>", ""),
    ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant to=functions.x<|channel|>commentary json"
     "<|message|>{}<|call|>", ""),
    ("assistantanalysisWe need.assistantfinalParis.", "Paris."),
    ("commentary to=functions.get_weather json{}", ""),
    ("<|channel|>final<|message|>Paris.<|end|><|start|>user<|message|>Rome?", "Paris."),
]  # fmt: skip
CALLS = [
    (f"<tool>{CALL}</tool>", ""),
    (f"<tools>{CALL}</tools>", ""),
    (f"<tool_request>{CALL}</tool_request>Fine.", "Fine."),
    ("<use_tool><name>x</name></use_tool>", ""),
    ('<xai:function_call name="x"><parameter name="y">1</parameter></xai:function_call>', ""),
    ("<|start_of_tool|>x<|end_of_tool|>Fine.", "Fine."),
    ("Fine.[TOOL_CALLS]get_weather[ARGS]{}", "Fine."),
    ("Fine.<tool_call>get_weather\n<arg_key>city</arg_key></tool_call>", "Fine."),
]
MENTIONS = [
    "<think> is a tag that models write.",
    "<think> and </think> are the marks.",
    "<thinking> tags hold thoughts.",
    "<answer> is an XML tag.",
    "[INST] is Llama's mark.",
    "Use [INST] and [/INST] around it.",
    "Use <eos> to end it.",
    "Use **<think>** here, *</think>* there.",
    "- <think>\n- </think>\nDone.",
    "| a | <think> |\n|---|---|\n| b | </think> |\nDone.",
    "Schreib „<think>“ zuerst. Fertig.",
    "「<think>」で始まる。終わり。",
    "思考は<think>で始まり</think>で終わる。",
    "The <tools> element lists <tool> elements.",
    "std::vector<int> v; see <https://example.com>.",
]


@pytest.mark.parametrize(("reply", "said"), [*NESTED, *SHAPES, *CONTROL, *HARMONY, *CALLS])
def test_a_mark_of_any_shape_is_taken_out_wherever_the_reply_is_cut(reply: str, said: str) -> None:
    assert spoken(*reply) == said
    for cut in range(len(reply) + 1):
        assert spoken(reply[:cut], reply[cut:]) == said


@pytest.mark.parametrize("reply", MENTIONS)
def test_a_mark_that_is_spoken_of_stays_wherever_the_reply_is_cut(reply: str) -> None:
    for cut in range(len(reply) + 1):
        assert spoken(reply[:cut], reply[cut:]) == reply


def test_a_closing_mark_in_backticks_ends_no_thought() -> None:
    assert spoken(*"<think>`</think>`</think>Paris.") == "Paris."


def test_a_nested_thought_of_a_reply_that_starts_inside_one_is_none_of_the_answer() -> None:
    assert spoken(*"hm <think>b</think> c</think>Paris.", starts_inside=True) == "Paris."
    assert spoken(*"hm <think>b</think>Paris.", starts_inside=True) == "Paris."
    assert spoken(*"The answer is <think>x", starts_inside=True).startswith("The answer is ")


PARTS = [
    *("<think>", "</think>", "<think/>", "</ think >", "<thinking>", "</thinking>", "[Thought]", "[/Thought]"),
    *("a", " ", "\n", "`", '"', " is ", "Paris.", "<|quick_think|>", "<|/quick_think|>", "<|start|>assistant"),
    *(" to=", "<|user|>", "<|channel|>", "Final", "<|message|>", "<|call|>", "[INST]", "<eos>", "<|endoftext|>"),
    *("<tool>", "{", "<|im", "\ufeff", "```think\n", "```", "Thinking...", "assistantanalysis", "to=functions."),
    *("<answer>", "</answer>", "[TOOL_CALLS]"),
]


@given(st.lists(st.sampled_from(PARTS), max_size=12), st.booleans(), st.booleans())
@settings(max_examples=1500, deadline=None)
def test_every_cut_of_a_reply_gives_what_the_whole_gives(parts: list[str], inside: bool, again: bool) -> None:
    how: dict[str, Any] = {"starts_inside": inside, "again": again, "tools": frozenset(("x",))}
    whole = spoken("".join(parts), **how)
    assert spoken(*parts, **how) == whole
    assert spoken(*"".join(parts), **how) == whole
