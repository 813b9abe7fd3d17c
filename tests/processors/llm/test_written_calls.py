"""Tool calls that are written as text, in any of the usual shapes: none is heard, and what can be made of each."""

import itertools
import json
import random
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.llm import call_data
from processors.llm.call_data import read_data
from processors.llm.call_texts import MAX_CALLS, WrittenCall, calls_in
from processors.llm.placed_arguments import Parameters
from processors.llm.thinking import ThinkFilter
from processors.llm.written_calls import MAX_CALL_CHARS, MAX_KEPT_CHARS
from tests.support.counted_work import grows_linearly

TOOLS = frozenset(("set_timer", "set_alarm", "list_timers", "recall", "save"))
ARGUMENTS = '{"seconds": 605}'
CALL = f'{{"name": "set_timer", "arguments": {ARGUMENTS}}}'
MADE = [WrittenCall("set_timer", {"seconds": 605})]

# Each of them says MADE.
SHAPES = [
    *(CALL, f"[{CALL}]", f'{{"tool_calls": [{CALL}]}}', f'{{"set_timer": {ARGUMENTS}}}'),
    f'{{"type": "function", "function": {{"name": "set_timer", "arguments": {json.dumps(ARGUMENTS)}}}}}',
    "{'name': 'set_timer', 'arguments': {'seconds': 605}}",
    '{"name": "set_timer", "arguments": {"seconds": 605,},}',
    *(f"```json\n{CALL}\n```", f'```\n{{"set_timer": {ARGUMENTS}}}\n```', f"```tool_call\n{CALL}\n```"),
    "```tool_code\nprint(set_timer(seconds=605))\n```",
    *(f"[TOOL_CALLS]set_timer[ARGS]{ARGUMENTS}", f"[TOOL_CALLS] [{CALL}]", f"[TOOL_CALLS]\n[{CALL}]"),
    f"<|channel|>commentary to=functions.set_timer <|constrain|>json<|message|>{ARGUMENTS}<|call|>",
    f"<|channel|>commentary to=functions.set_timer<|channel|>commentary<|message|>{ARGUMENTS}<|call|>",
    f"<|start|>assistant to=functions.set_timer<|channel|>commentary json<|message|>{ARGUMENTS}<|call|>",
    *(f"commentary to=functions.set_timer json{ARGUMENTS}", f"to=functions.set_timer code{ARGUMENTS}"),
    *("<|python_tag|>set_timer(seconds=605)", "<|python_tag|>\nset_timer(seconds=605)"),
    f"<|python_tag|>{CALL}<|eom_id|>",
    *("<tool_code>set_timer(seconds=605)</tool_code>", "<tool_code>\nprint(set_timer(seconds=605))\n</tool_code>"),
    *(f"<function=set_timer>{ARGUMENTS}</function>", f"<function_call>{CALL}</function_call>"),
    "<function_call>set_timer(seconds=605)</function_call>",
    *(f"<tool_call>\n{CALL}\n</tool_call>", f"<tool>{CALL}</tool>", f"<tool_call>set_timer\n{ARGUMENTS}</tool_call>"),
    "<tool_call>set_timer\n<arg_key>seconds</arg_key>\n<arg_value>605</arg_value></tool_call>",
    "<tool_call><function=set_timer><parameter=seconds>\n605\n</parameter></function></tool_call>",
    '<function_calls><invoke name="set_timer"><parameter name="seconds">605</parameter></invoke></function_calls>',
    '<|tool_call>call:set_timer{seconds:605}<tool_call|>',
    "<|tool_call_start|>[set_timer(seconds=605)]<|tool_call_end|>",
    f"<|tool_call_begin|>functions.set_timer:0<|tool_call_argument_begin|>{ARGUMENTS}<|tool_call_end|>",
    f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>set_timer\n```json\n{ARGUMENTS}\n```<｜tool▁call▁end｜>",
    *("[set_timer(seconds=605)]", "set_timer(seconds=605)", "functions.set_timer(seconds=605)"),
    *('set_timer({"seconds": 605})', f"set_timer{ARGUMENTS}", f"set_timer[ARGS]{ARGUMENTS}", f"set_timer\n{ARGUMENTS}"),
    f"functools[{CALL}]",
    *(f">>>set_timer\n{ARGUMENTS}", f">>> set_timer\n{ARGUMENTS}"),
    f"Action: set_timer\nAction Input: {ARGUMENTS}",
    f"Action: set_timer\nAction Input: {ARGUMENTS}\nObservation: it is set\nFinal Answer: It is set.",
]  # fmt: skip
# Nothing but a name tells them.
BY_NAME = [shape for shape in SHAPES if re.match(r"\[?(?:functions\.)?set_timer|>>>|Action:", shape)]
WORDS = ["", "Fine. ", "Fine.", "Well, ", "One.\nTwo: ", "One.\n\n"]
IN_A_SENTENCE = "Well, "
# Ordinary text, with tools on offer.
NEAR = [
    "I recall (from 1999) that we save {much}, and recall\n(more) of it.",
    'Use save() to keep it, or image.save(path="x"); we save {"a": 1} as JSON.',
    "Use print(x) to show x, and timer(seconds=5) to wait.",
    "[1] see below, [2](http://example.com), [x(y)] and [a, b].",
    "Action: take an umbrella.\nAction: set off early.\nActions speak.",
    "Then call `set_timer(seconds=5)`.",
    "The function set_timer(seconds) sets a timer; set_timer is its name, and set_timers is none.",
    "reset_timer(seconds=5) and my_set_timer(seconds=5) are others.",
    'It is {"name": "Ada", "age": 36}, or {"set": {"seconds": 5}}.',
    "A set such as {'a', 'b'} or {'name': 'Ada'}.",
    '```json\n{"name": "Ada", "tools": ["set_timer"]}\n```\nThat is it.',
    "Here: ```json\n{\"a\": 1}\n``` and ```x``` so.",
    "```python\nset_timer(seconds=5)\n```\nThat sets it.",
    ">>> print(x)\n>>>set\n>>> 1 + 1",
    "It goes to=functions.other and commentary to= nobody.",
    "Write <tool_code> and </tool_code> around it, or [TOOL_CALLS] before.",
    "Use <function_call> tags (see there): they hold calls.",
    "A list: [{\"a\": 1}, {\"name\": \"Ada\"}] [",
    "The functools module: functools[0], functools[cache] and functools[\"name\"] are none; nor is functools",
    "See functools[set_timer] or functoolset.",
    "set_timer",
    "It goes to=functions.set",
    "Action: set_ti",
]  # fmt: skip


def read(*pieces: str, tools: frozenset[str] = TOOLS) -> tuple[str, list[WrittenCall]]:
    """What is spoken of a reply, and the calls that it holds as text."""
    think = ThinkFilter(tools=tools)
    spoken = "".join([*(think.feed(piece) for piece in pieces), think.flush()])
    return spoken, [call for text in think.call_texts for call in calls_in(text, tools)]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_written_call_of_any_shape_is_never_spoken_and_can_be_made(shape: str) -> None:
    for before in WORDS:
        reply = before + shape
        for pieces in (tuple(reply), *((reply[:cut], reply[cut:]) for cut in range(len(reply)))):
            spoken, calls = read(*pieces)
            made = [] if shape in BY_NAME and before == IN_A_SENTENCE else MADE
            assert (spoken.strip(), calls) == (before.strip(), made), pieces


@pytest.mark.parametrize("reply", NEAR)
def test_ordinary_text_that_looks_a_little_like_a_call_is_spoken_whole(reply: str) -> None:
    for before in ("", "Well. "):
        text = before + reply
        for pieces in (tuple(text), *((text[:cut], text[cut:]) for cut in range(len(text)))):
            assert read(*pieces) == (text, []), pieces


NAMED_ONLY = [
    *("set_timer(seconds=605)", f"Action: set_timer\nAction Input: {ARGUMENTS}", f">>>set_timer\n{ARGUMENTS}"),
    *(f'{{"set_timer": {ARGUMENTS}}}', "[set_timer(seconds=605)]", CALL, "{'name': 'set_timer', 'arguments': {}}"),
]


@pytest.mark.parametrize("shape", NAMED_ONLY)
def test_what_only_a_name_makes_a_call_is_text_where_nobody_offers_that_name(shape: str) -> None:
    reply = f"Fine. {shape}"
    for tools in (frozenset[str](), frozenset(("clock",))):
        assert read(*reply, tools=tools) == (reply, [])
        assert read(reply, tools=tools) == (reply, [])


@pytest.mark.parametrize(
    "reply",
    [
        *(shape for shape in SHAPES if shape.startswith(("<", "[TOOL_CALLS]"))),
        f"<tool_response>{CALL}</tool_response>",
    ],
)
def test_marks_of_calls_count_whatever_they_name(reply: str) -> None:
    named = reply.replace("set_timer", "unknown")
    spoken, calls = read(*f"Fine. {named}", tools=frozenset(("clock",)))
    assert (spoken.strip(), calls) == ("Fine.", [])


@pytest.mark.parametrize(
    "reply",
    [
        *("set_timer(seconds=6", "set_timer(5 minutes)", "set_timer(5)", '{"name": "set_timer", "arguments": {"seco'),
        *(f"<tool_call>{CALL[:-1]}", f"[TOOL_CALLS]set_timer[ARGS]{ARGUMENTS[:-1]}", '{"set_timer": {"seconds": 6'),
        *("<tool_call>set_timer now</tool_call>", '<tool_call>set_timer, {"seconds": NaN}</tool_call>'),
        f"<tool_response>{CALL}</tool_response>",
        '<tools>{"name": "set_timer", "parameters": {"type": "object", "properties": {}}}</tools>',
        "<function=set_timer><parameter=seconds>6</parameter><parameter=label>a<b</parameter></function>",
    ],
)
def test_what_broke_off_or_cannot_be_read_is_neither_spoken_nor_made(reply: str) -> None:
    spoken, calls = read(*f"Fine. {reply}")
    assert (spoken.strip(), calls) == ("Fine.", [])


TAKES = {
    "set_timer": Parameters({"seconds": {"type": "number"}, "label": {"type": "string"}}, frozenset({"seconds"})),
    "set_alarm": Parameters(
        {"time": {"type": "string"}, "label": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, frozenset({"time"})
    ),
    "save": Parameters({"text": {"type": "string"}}, frozenset({"text"})),
    "recall": Parameters({"about": {"type": "string"}}),
    "write_file": Parameters({"text": {"type": "string"}, "name": {"type": "string"}}, frozenset({"text", "name"})),
    "move_by": Parameters({"x": {"type": "integer"}, "y": {"type": "number"}, "to": {"type": ["string", "null"]}}),
}


@pytest.mark.parametrize(
    ("reply", "made"),
    [
        ("set_timer(605)", {"seconds": 605}),
        ('set_timer(605, "tea")', {"seconds": 605, "label": "tea"}),
        ('set_timer(605, label="tea")', {"seconds": 605, "label": "tea"}),
        ("[set_timer(605)]", {"seconds": 605}),
        ("<tool_code>print(set_timer(605))</tool_code>", {"seconds": 605}),
        ('set_alarm("7:30", None)', {"time": "7:30", "label": None}),
        ("<tool_code>save('milk')</tool_code>", {"text": "milk"}),
        # Nothing tells which is which, something is missing, or too much is there.
        *(('set_timer("tea", 605)', None), ('set_timer(label="tea")', {"label": "tea"}), ("set_timer(True)", None)),
        *(('set_timer(605, "tea", 1)', None), ("set_timer(605, seconds=5)", None), ("set_timer(605, x=1)", None)),
        *(("set_timer(seconds)", None), ("set_timer(5 minutes)", None), ("list_timers(5)", None)),
        # Any order of them would do; where one has its name, or its type, there is but one.
        *(('write_file("notes.txt", "buy milk")', None), ("move_by(1, 2)", None), ('set_alarm("7:30", "tea")', None)),
        ('write_file("buy milk", name="notes.txt")', {"text": "buy milk", "name": "notes.txt"}),
        ('set_alarm("7:30", label="tea")', {"time": "7:30", "label": "tea"}),
        *(("move_by(1, 2.5)", {"x": 1, "y": 2.5}), ("move_by(1, y=2, to=None)", {"x": 1, "y": 2, "to": None})),
        # A word of the language.
        *(('save("milk")', None), ('recall("1999")', None)),
    ],
)
def test_arguments_without_names_are_what_the_tool_takes_in_that_order(reply: str, made: dict[str, object]) -> None:
    think = ThinkFilter(tools=TAKES.keys() | TOOLS)
    spoken = "".join([*map(think.feed, f"Fine. {reply}"), think.flush()])
    calls = [call for text in think.call_texts for call in calls_in(text, TAKES.keys() | TOOLS, TAKES)]
    assert spoken.strip() in ("Fine.", f"Fine. {reply}")
    assert [call.arguments for call in calls] == ([] if made is None else [made])
    if "set_timer" in reply:
        assert spoken.strip() == ("Fine." if made is not None or "5" in reply or "True" in reply else f"Fine. {reply}")


@pytest.mark.parametrize("before", ["", "Fine. "])
@pytest.mark.parametrize("n_chars", [MAX_CALL_CHARS + 2_000, MAX_KEPT_CHARS + 10_000])
@pytest.mark.parametrize(
    "shape",
    [
        '{{"name": "save", "arguments": {{"text": "{long}"}}}}',
        '[{{"name": "save", "arguments": {{"text": "{long}"}}}}]',
        *(
            '{{"save": {{"text": "{long}"}}}}',
            'save(text="{long}")',
            '[save(text="{long}")]',
            'save{{"text": "{long}"}}',
        ),
        '```json\n{{"name": "save", "arguments": {{"text": "{long}"}}}}\n```',
        'functools[{{"name": "save", "arguments": {{"text": "{long}"}}}}]',
    ],
)
def test_a_call_of_any_length_is_not_spoken_and_what_follows_it_is(shape: str, n_chars: int, before: str) -> None:
    reply = f"{before}{shape.format(long='x' * n_chars)}\nSo be it."
    pieces = [reply[at : at + 997] for at in range(0, len(reply), 997)]
    for read_as in ([reply], pieces):
        spoken, calls = read(*read_as)
        assert " ".join(spoken.split()) == f"{before}So be it."
        # JSON is read at any length; one that is not kept whole cannot be.
        assert [call.arguments for call in calls] in ([], [{"text": "x" * n_chars}])
    if shape.startswith("{{") and n_chars < MAX_KEPT_CHARS:
        assert calls == [WrittenCall("save", {"text": "x" * n_chars})]


@pytest.mark.parametrize(
    "begun", ["set_timer(seconds and so on ", 'See {"name": "Ada", "text": "', "It is [set_timers, ", 'Or {"x": "']
)
def test_ordinary_text_that_opens_a_bracket_and_goes_on_and_on_is_spoken_whole(begun: str) -> None:
    reply = begun + "word " * (MAX_CALL_CHARS // 4)
    assert read(*[reply[at : at + 997] for at in range(0, len(reply), 997)]) == (reply, [])


def test_several_calls_are_made_in_order_and_each_once() -> None:
    timers = '{"name": "list_timers", "arguments": {}}'
    text = f"<tool_call>{CALL}</tool_call>\n<tool_call>{timers}</tool_call>"
    assert read(*text) == ("\n", [*MADE, WrittenCall("list_timers", {})])
    assert calls_in(f"[{CALL}, {timers}, {CALL}]", TOOLS) == [*MADE, WrittenCall("list_timers", {})]
    assert calls_in("<function=list_timers></function>", TOOLS) == [WrittenCall("list_timers", {})]
    assert len(read(*[f"<tool_call>{CALL}</tool_call>"] * 100)[1]) == MAX_CALLS


PROSE = [
    "Fine. ",
    "Sure, ",
    "the timer is on.",
    "\n",
    "One moment: ",
    "\n\n",
    "Well, ",
    " ",
    "It is 5 < 6. ",
    "(so) ",
    "- ",
]


@given(
    st.lists(st.tuples(st.sampled_from(PROSE), st.sampled_from(SHAPES)), min_size=1, max_size=4),
    st.lists(st.integers(0, 600), max_size=12),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_piece_of_a_call_is_spoken_in_200_fuzzed_streams(parts: Sequence[tuple[str, str]], cuts: list[int]) -> None:
    reply = "".join(before + shape + "\n" for before, shape in parts)
    ends = [0, *sorted(min(cut, len(reply)) for cut in cuts), len(reply)]
    spoken, _ = read(*(reply[a:b] for a, b in itertools.pairwise(ends)))
    for piece in ("set_timer", "605", "seconds", "Action", "TOOL", "tool", "functions", "{", "[", "json", "commentary"):
        assert piece not in spoken
    assert spoken.strip().startswith(parts[0][0].strip())


PARTS = [
    *(
        "set_timer",
        "set_",
        "list_timers",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        ":",
        "seconds=5",
        ARGUMENTS,
        "\n",
        " ",
    ),
    *(
        "Action:",
        " Input",
        ">>>",
        "to=functions.",
        "commentary ",
        "[ARGS]",
        "[TOOL_CALLS]",
        "<|python_tag|>",
        "`",
        "```",
    ),
    *(
        "<tool_code>",
        "</tool_code>",
        "<|channel|>",
        "<|message|>",
        "<|call|>",
        "Fine.",
        "x",
        CALL,
        "json",
        "functions.",
    ),
]


@given(st.lists(st.sampled_from(PARTS), max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=600, deadline=None, derandomize=True)
def test_what_is_a_call_does_not_depend_on_where_the_stream_is_cut(parts: list[str], chance: random.Random) -> None:
    reply = "".join(parts)
    whole = read(reply)
    assert read(*reply) == whole
    cut = chance.randrange(len(reply) + 1)
    assert read(reply[:cut], reply[cut:]) == whole


# Long enough that what is held back at most is a part of it.
@pytest.mark.parametrize("unit", ["set_timer(", "[set_timer(", '{"set_timer":', "set_timer ", "s ("])
def test_what_looks_like_calls_takes_work_in_proportion_to_its_length(unit: str) -> None:
    def work(n_units: int) -> None:
        think = ThinkFilter(tools=TOOLS)
        for _ in range(n_units):
            think.feed(unit)
        think.flush()
        for text in think.call_texts:
            calls_in(text, TOOLS)

    assert grows_linearly(lambda n_units: lambda: work(n_units), 2_400)


def test_what_would_take_long_to_repair_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    repaired: list[str] = []

    def note(text: str, **_: object) -> dict[str, str]:
        repaired.append(text)
        return {}

    monkeypatch.setattr(call_data.json_repair, "loads", note)
    few, many, long = '{"a": [1, 2', "{" * 65, '{"a": "' + "x" * 2_000
    assert [read_data(text) for text in (few, many, long)] == [{}, None, None]
    assert repaired == [few]
