"""What of a model's reply is meant for the listener: no thoughts, no marks, no tool calls, and everything else."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.llm.thinking import ThinkFilter
from tests.support.counted_work import grows_linearly
from tests.support.cpu_time import MOST, growth


def spoken(*pieces: str, **how: Any) -> str:
    think = ThinkFilter(**how)
    return "".join([*(think.feed(piece) for piece in pieces), think.flush()])


def pieces_of(reply: str, seed: int) -> list[str]:
    cuts = sorted(random.Random(seed).choices(range(len(reply) + 1), k=4))
    return [reply[a:b] for a, b in zip([0, *cuts], [*cuts, len(reply)], strict=True)]


CALL = '{"name": "get_weather", "arguments": {"city": "Paris"}}'

THOUGHTS = [
    ("Hello there.", "Hello there."),
    ("", ""),
    ("<think>hm</think>Paris.", "Paris."),
    ("<think>\n\n</think>\n\nParis.", "\n\nParis."),
    ("<thinking>hm</thinking>Paris.", "Paris."),
    ("<THINK>hm</Think>Paris.", "Paris."),
    ("<think>a</think><think>b</think>c", "c"),
    ("<think>a < b and <b>bold</b></think>yes", "yes"),
    ("<think>a <think> b</think>yes", "yes"),
    ("<think>never closed", ""),
    ("a < b and b > c", "a < b and b > c"),
    ("a <b", "a <b"),
    ("ends with <", "ends with <"),
    ("ends with <thin", "ends with <thin"),
    ("<thinker> is no tag", "<thinker> is no tag"),
    ("</think>Paris.", "Paris."),
    ("[THINK]hm[/THINK]Paris.", "Paris."),
    ("<thought>hm</thought>Paris.", "Paris."),
    ("<thoughts>hm</thoughts>Paris.", "Paris."),
    ("<reasoning>hm</reasoning>Paris.", "Paris."),
    ("<reflection>hm</reflection>Paris.", "Paris."),
    ("<scratchpad>hm</scratchpad>Paris.", "Paris."),
    ("<think_faster>hm</think_faster>Paris.", "Paris."),
    ('<thinking effort="low">hm</thinking>Paris.', "Paris."),
    ("<seed:think>hm<seed:cot_budget_reflect>3</seed:cot_budget_reflect></seed:think>Paris.", "Paris."),
    ("<longcat_think>hm</longcat_think>Paris.", "Paris."),
    ("◁think▷hm◁/think▷Paris.", "Paris."),
    ("<|channel>thought\nhm<channel|>Paris.", "Paris."),
    ("<|channel>thought\n<channel|>Paris.<turn|>", "Paris."),
    ("<unused94>thought\nhm<unused95>Paris.", "Paris."),
    ("<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>Paris.<|END_RESPONSE|>", "Paris."),
    ("<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>Paris.<|end_of_solution|>", "Paris."),
    ("<|inner_prefix|>hm<|inner_suffix|>Paris.", "Paris."),
    ("<|think|>hm<|/think|>Paris.", "Paris."),
    ("<think>hm</think><answer>Paris.</answer>", "Paris."),
    ("<thinking>a<reflection>b</reflection>c</thinking><output>Paris.</output>", "Paris."),
    ("Here is my thought process:\nhm\nHere is my response:\nParis.", "\nParis."),
    ("Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\nParis.\n[END FINAL RESPONSE]", "\nParis.\n"),
    ("Here is my thought process: I walk a lot.", "Here is my thought process: I walk a lot."),
    ("<think>They ask about `</think>` and `<think>`.</think>Paris.", "Paris."),
]
HARMONY = [
    ("<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Paris.<|return|>", "Paris."),
    ("<|channel|>analysis hm<|end|><|start|>assistant<|channel|>final<|message|>Paris.", "Paris."),
    ("<|channel|>analysisWe need to answer.<|end|><|start|>assistant<|channel|>finalParis.", "Paris."),
    ("<|start|>assistant<|channel|>final<|message|>Paris.<|return|>", "Paris."),
    ("<|channel|>final<|message|>Paris.", "Paris."),
    ("<|channel|>analysis<|message|>hm", ""),
    ("<|channel|>commentary<|message|>Let me see.<|end|><|start|>assistant<|channel|>final<|message|>Paris.", None),
    ("<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{}<|call|>", ""),
    ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|>"
     "<|start|>assistant<|channel|>final<|message|>Paris.", "Paris."),
    ("analysisWe need to say Paris.assistantfinalParis.", "Paris."),
    ("analysis of the data is hard", "analysis of the data is hard"),
]  # fmt: skip
CONTROL = [
    ("Paris.<|im_end|>", "Paris."),
    ("<|im_start|>assistant\nParis.<|im_end|>", "\nParis."),
    ("<|start_header_id|>assistant<|end_header_id|>\n\nParis.<|eot_id|>", "\n\nParis."),
    ("<start_of_turn>model\nParis.<end_of_turn>", "\nParis."),
    ("Paris.</s>", "Paris."),
    ("<s>Paris.</s>", "Paris."),
    ("Paris.<｜end▁of▁sentence｜>", "Paris."),
    ("Paris.<|endoftext|>", "Paris."),
    ("Par<|never_seen_before_7|>is.", "Paris."),
    ("Paris.<|im_start|>user\nAnd Rome?<|im_end|>", "Paris."),
    ("Paris.<|im_end|>\n<|im_start|>user\nAnd Rome?<|im_end|>", "Paris.\n"),
    ("Paris.\n<|user|>\nAnd Rome?", "Paris.\n"),
    ("It was <s>ten</s> nine.", "It was <s>ten</s> nine."),
    ("a <| b |> c", "a <| b |> c"),
    ("```\nx\n<|im_end|>", "```\nx\n"),
]
CALLS = [
    (f"<tool_call>{CALL}</tool_call>", ""),
    (f"Let me see. <tool_call>\n{CALL}\n</tool_call>", "Let me see. "),
    ("<tool_call>get_weather\n<arg_key>city</arg_key><arg_value>Paris</arg_value></tool_call>", ""),
    ("<tool_call><function=send_mail><parameter=to>me</parameter></function></tool_call>Done.", "Done."),
    ('<function=get_weather>{"city": "Paris"}</function>', ""),
    ('<function_calls><invoke name="x"><parameter name="y">1</parameter></invoke></function_calls>', ""),
    ('<minimax:tool_call><invoke name="x"></invoke></minimax:tool_call>', ""),
    (f"[TOOL_CALLS][{CALL}]", ""),
    ('[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}', ""),
    (f"<|python_tag|>{CALL}<|eom_id|>", ""),
    ("<|tool_call>call:get_weather{city:<|\"|>Paris<|\"|>}<tool_call|>Fine.", "Fine."),
    ('<|tool_calls_section_begin|><|tool_call_begin|>functions.x:0<|tool_call_argument_begin|>{}<|tool_call_end|>'
     "<|tool_calls_section_end|>", ""),
    ("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>x\n```json\n{}\n```<｜tool▁call▁end｜>"
     "<｜tool▁calls▁end｜>", ""),
    ("<|tool_call_start|>[get_weather(city='Paris')]<|tool_call_end|>Fine.", "Fine."),
    (f"<|START_ACTION|>[{CALL}]<|END_ACTION|>", ""),
    (CALL, ""),
    (f"[{CALL}]", ""),
    (f"```json\n{CALL}\n```", ""),
    ("```tool_code\nprint(get_weather('Paris'))\n```", ""),
    ('[get_weather(city="Paris")]', ""),
    (f"functools[{CALL}]", ""),
    ('{"type": "function", "function": {"name": "x", "arguments": "{}"}}', ""),
    (CALL + "\nFine.", "\nFine."),
    ('{"name": "Ada", "age": 36}', '{"name": "Ada", "age": 36}'),
    ('```json\n{"name": "Ada", "age": 36}\n```\nDone.', '```json\n{"name": "Ada", "age": 36}\n```\nDone.'),
    ("[Paris](http://example.com) is nice.", "[Paris](http://example.com) is nice."),
    (f"A call looks like this:\n```json\n{CALL}\n```\nSee?", f"A call looks like this:\n```json\n{CALL}\n```\nSee?"),
]  # fmt: skip
MENTIONS = [
    "Models write <think> before they reason and </think> after it. Paris.",
    "The `<think>` tag opens a thought. Nothing else does.",
    "`<think>` opens a thought.",
    '"<think>" opens a thought.',
    "```xml\n<think>hm</think>\n```\nThat was it.",
    "~~~\n<think>\n~~~\nThat was it.",
    "Use `<|im_end|>` to end a turn, and ``<|im_start|>`` to begin it.",
    "```python\nSTOP = ['<|im_end|>', '</s>']\n```\nDone.",
    "Wrap it in <tool_call> tags. Then it is parsed.",
    "`<tool_call>` tags hold calls.",
    "Write [THINK] and [/THINK] around it. Good.",
    "Mark it with <thought> or <reasoning>, then go on.",
    "Close it with </think>.",
    "Answer in <answer> tags </answer> please.",
    "if a<b and c>d: print('<b>')",
    "an <em>important</em> thing",
]


@pytest.mark.parametrize(
    ("reply", "said"), [case for case in (*THOUGHTS, *HARMONY, *CONTROL, *CALLS) if case[1] is not None]
)
def test_only_the_answer_is_spoken_however_its_marks_are_split(reply: str, said: str) -> None:
    assert spoken(reply) == said
    assert spoken(*reply) == said
    for seed in range(10):
        assert spoken(*pieces_of(reply, seed)) == said


@pytest.mark.parametrize("reply", MENTIONS)
@pytest.mark.parametrize("before", ["", "<think>hm</think>"])
def test_a_reply_that_mentions_a_mark_loses_nothing(reply: str, before: str) -> None:
    assert spoken(*(before + reply)) == reply


def test_a_later_thought_is_one_only_where_the_template_allows_it() -> None:
    reply = "<think>a</think>One.\n<think>b</think>\nTwo, with <think> in it."
    assert spoken(*reply, again=True) == "One.\n\nTwo, with <think> in it."
    assert spoken(*reply) == "One.\n<think>b</think>\nTwo, with <think> in it."


def test_harmony_keeps_what_is_said_before_a_call() -> None:
    reply = "<|channel|>commentary<|message|>Let me see.<|end|><|start|>assistant<|channel|>final<|message|>Paris."
    assert spoken(*reply) == "Let me see.\nParis."


def test_json_in_the_middle_of_a_reply_is_a_call_only_of_a_tool_that_was_offered() -> None:
    reply = f"Let me see.\n```json\n{CALL}\n```"
    assert spoken(*reply) == reply
    assert spoken(*reply, tools=frozenset(("clock",))) == reply
    assert spoken(*reply, tools=frozenset(("get_weather",))) == "Let me see.\n"


@pytest.mark.parametrize("before", ["Well: ", "One.\nTwo ", "So [", "{} { "])
def test_json_behind_words_is_a_call_only_of_a_tool_that_was_offered(before: str) -> None:
    reply = f"{before}{CALL} Done."
    for pieces in ((reply,), tuple(reply)):
        assert spoken(*pieces) == reply
        assert spoken(*pieces, tools=frozenset(("clock",))) == reply
        assert spoken(*pieces, tools=frozenset(("get_weather",))) == f"{before} Done."
    written = f"{before}`{CALL}` is JSON, and so is {{{' ' * 300}}}."
    assert spoken(*written, tools=frozenset(("get_weather",))) == written


FRAGMENTS = [
    *("<think>", "</think>", "<|channel|>", "analysis", "final", "<|message|>", "<|end|>", "<|start|>assistant", "`"),
    *("```", "\n", "```json\n", "{", "}", '"name": ', '"x"', '"arguments": {}', "[THINK]", "[/THINK]", "[", "]", "<"),
    *("◁think▷", "◁/think▷", "<|im_end|>", "<|im_start|>user", "<tool_call>", "</tool_call>", " ", "a", "Paris. "),
    *("analysisWe", "assistantfinal", "<s>", "</s>", "<|", "|>", "<channel|>", "<|channel>", "~~~", '"', CALL, ">"),
    *("Here is my thought process:", "Here is my response:", "[f(x=1)]", "</answer>", "<answer>", "      "),
]


@given(
    st.lists(st.sampled_from(FRAGMENTS), max_size=14), st.randoms(use_true_random=False), st.booleans(), st.booleans()
)
@settings(max_examples=600, deadline=None)
def test_any_split_of_a_reply_gives_the_same_text(
    fragments: list[str], chance: random.Random, inside: bool, again: bool
) -> None:
    reply = "".join(fragments)
    how: dict[str, Any] = {"starts_inside": inside, "again": again, "tools": frozenset(("x",))}
    whole = spoken(reply, **how)
    assert spoken(*reply, **how) == whole
    assert spoken(*pieces_of(reply, chance.randrange(1 << 30)), **how) == whole


@given(st.text(alphabet="ab .,\n`#*", max_size=60))
def test_plain_text_comes_out_as_it_is(text: str) -> None:
    assert spoken(*text) == text


def test_text_that_cannot_be_a_tag_is_passed_on_at_once() -> None:
    think = ThinkFilter()
    assert [think.feed(piece) for piece in ("Two ", "< ", "three", " <th", "e end")] == [
        "Two ",
        "< ",
        "three",
        " ",
        "<the end",
    ]


def test_a_reply_that_starts_inside_a_thought_is_silent_until_the_closing_tag() -> None:
    think = ThinkFilter(starts_inside=True)
    assert [think.feed(piece) for piece in ("The user asks ", "a < b </th", "ink>", "Yes.")] == ["", "", "", "Yes."]
    assert think.closed_unopened


@pytest.mark.parametrize("closing", ["</think>", "[/THINK]", "◁/think▷", "</seed:think>", "<channel|>"])
def test_whichever_mark_closes_it(closing: str) -> None:
    assert spoken(*f"The user asks.{closing}Yes.", starts_inside=True) == "Yes."


def test_a_reply_that_was_wrongly_taken_for_a_thought_is_not_lost() -> None:
    assert spoken("The answer ", "is 4 <", starts_inside=True) == "The answer is 4 <"
    assert spoken("The answer is 4.<|im_end|>", starts_inside=True) == "The answer is 4."


def test_an_opening_tag_after_all_makes_an_unclosed_thought_a_thought() -> None:
    assert spoken("<think>", "hm", starts_inside=True) == ""


def test_a_closing_tag_without_an_opening_one_is_reported() -> None:
    think = ThinkFilter()
    assert think.feed("The user wants Paris.</think>Paris.") == "The user wants Paris.Paris."
    assert think.closed_unopened


@pytest.mark.parametrize(
    "reply", ["<think>hm</think>yes", "Close it with </think> and go on.", "<think></think></think>a"]
)
def test_a_tag_that_was_opened_or_mentioned_is_not_reported(reply: str) -> None:
    think = ThinkFilter()
    think.feed(reply)
    assert not think.closed_unopened


def test_the_filter_holds_no_more_than_one_half_tag_of_a_long_reply() -> None:
    think = ThinkFilter()
    n_out = 0
    for n_in in range(1, 50_001):
        n_out += len(think.feed("<" if n_in % 2 else "a"))
        assert n_in - n_out <= 2
    assert think.flush() == "<a"


@pytest.mark.parametrize(
    "unit", ["<", "<a", "`", "[{", '{"name":\n', "```json\n{", "<think>", "\n{\n", " ", "<|a", "</s> "]
)
def test_a_hostile_reply_takes_work_in_proportion_to_its_length(unit: str) -> None:
    def read(reply: str) -> None:
        think = ThinkFilter(tools=frozenset(("x",)))
        for at in range(0, len(reply), len(unit)):
            think.feed(reply[at : at + len(unit)])
        think.flush()

    # How much of a reply is copied is counted in test_linear_reading.py, too.
    assert grows_linearly(lambda n_units: lambda: read(unit * n_units), 200)
    assert growth(read, unit, 4_000 * len(unit)) < MOST


def test_a_call_that_was_taken_out_is_told() -> None:
    think = ThinkFilter()
    assert think.feed(json.dumps(json.loads(CALL), indent=2)) == ""
    assert think.called
