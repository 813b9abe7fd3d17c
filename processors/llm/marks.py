"""The marks that families of language models write around thoughts, tool calls and turns: a table, and what each means.

A mark is a token in brackets, such as `<think>`, `[THINK]`, `◁think▷` or `<|im_end|>`. Sources: the chat templates of
the models and the reasoning parsers of vLLM and llama.cpp. What the table does not name is judged by its shape: a name
with "think" in it opens a thought, and whatever stands in `<|...|>` is a control mark.
"""

import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Literal

Kind = Literal["thought", "closing", "empty", "call", "answer", "turn", "speaker", "channel", "control", "text"]

_REASON = (
    r"[a-z]*think(?:ing)?|[a-z]*thoughts?|reason(?:ing)?|(?:self_?)?reflect(?:ion)?|scratch_?pad"
    r"|(?:inner_?)?monologue|analysis|planning|deliberation|cot"
)
# `<|no_think|>` and its like switch thoughts off.
_NO_THOUGHT = r"(?!/|end|no_?|skip|without|disable)"
# One mark from its first character to its last; only tags of calls and thoughts may have attributes.
MARK = re.compile(
    r"<(?:/?[|｜](?:DSML[|｜])?[^\s<>|｜]{1,64}[|｜]?|[|｜]\"[|｜]"
    r"|(?:/ ?)?[A-Za-z_][\w:.=/▁-]{0,63}[|｜]? ?"
    r"|/?(?:\w{1,16}[:_])?(?:think|thought|reason|invoke|tool|function|parameter)\w{0,24} [^<>\n]{0,100})>"
    r"|\[/?(?:THINK(?:ING)?|THOUGHTS?|REASONING|REFLECTION|GMASK|INST|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS"
    r"|BEGIN FINAL RESPONSE|END FINAL RESPONSE|ARGS|CALL_ID|EOS)\]"
    r"|◁/?\w{1,32}▷",
    re.IGNORECASE,
)
# What may still become one when more text comes.
_BRACKETED = (
    *(
        "think",
        "thinking",
        "thought",
        "thoughts",
        "reasoning",
        "reflection",
        "gmask",
        "inst",
        "tool_calls",
        "tool_results",
        "available_tools",
    ),
    *("begin final response", "end final response", "args", "call_id", "eos"),
)
_HALF = re.compile(
    r"<(?:/?[|｜](?:DSML[|｜])?[^\s<>|｜]{0,64}[|｜]?|[|｜]\"[|｜]?"
    r"|(?:/ ?)?(?:[A-Za-z_][\w:.=/▁-]{0,63}[|｜]? ?)?"
    r"|/?(?:\w{1,16}[:_])?(?:think|thought|reason|invoke|tool|function|parameter)\w{0,24} [^<>\n]{0,100})"
    r"|◁/?\w{0,32}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Family:
    """Thoughts as one family of models writes them.

    Attributes:
        name: A model that does.
        opens: The opening mark, lower case.
        closes: The closing marks.
        again: Whether its template allows a thought in the middle of a reply.
    """

    name: str
    opens: str
    closes: tuple[str, ...]
    again: bool = False


FAMILIES = (
    Family("DeepSeek-R1, Qwen3, GLM, SmolLM3", "<think>", ("</think>", "</thinking>")),
    Family("Claude, Reflection", "<thinking>", ("</thinking>", "</think>")),
    Family("EXAONE Deep", "<thought>", ("</thought>",)),
    Family("Reflection", "<reflection>", ("</reflection>",)),
    Family("Seed-OSS", "<seed:think>", ("</seed:think>",), again=True),
    Family("LongCat", "<longcat_think>", ("</longcat_think>",)),
    Family("Magistral", "[think]", ("[/think]",), again=True),
    Family("Kimi-VL", "◁think▷", ("◁/think▷",)),
    Family("Gemma 4", "<|channel>", ("<channel|>",), again=True),
    Family("MedGemma", "<unused94>", ("<unused95>",)),
    Family("Command A", "<|start_thinking|>", ("<|end_thinking|>",), again=True),
    Family("Open Thoughts", "<|begin_of_thought|>", ("<|end_of_thought|>",)),
    Family("Apertus", "<|inner_prefix|>", ("<|inner_suffix|>",), again=True),
)
_BY_OPENING = {family.opens: family for family in FAMILIES}
_CLOSING = frozenset(mark for family in FAMILIES for mark in family.closes)

# Thoughts without marks, told by the words that open the reply and the words in which the answer begins.
PHRASES = (
    ("Here is my thought process:", ("Here is my response:", "Here's my response:")),
    ("Here's my thought process:", ("Here is my response:", "Here's my response:")),
    ("Here are my reasoning steps:", ("[BEGIN FINAL RESPONSE]",)),
    ("Thinking...", ("...done thinking.",)),
)
# Harmony whose special tokens a server has thrown away: "analysisWe need ... assistantfinalHello."
BARE_HARMONY = re.compile(r"analysis(?=[A-Z\"])")
BARE_HARMONY_CLOSES = ("assistantfinal",)
BARE_CALLS = ("commentary to=functions.", "assistantcommentary to=functions.", "to=functions.")

_CALL = re.compile(
    r"<(?:[\w-]+[:_])?(?:tool|function)s?_?(?:call|code|use|response|result|output|request)s?(?: [^>]*)?>"
    r"|<(?:use_)?tools?>"
    r"|<(?:function=[^>]*|invoke(?: [^>]*)?|function [^>]*)>"
)
_SPECIAL_CALL = re.compile(
    r"<\|(?:\w*tools?_?(?:call|response|result|output)\w*|start_of_tool|\w*function_calls?\w*|python_tag|action_start|start_action"
    r"|start_tool_result|dsml\|\w+)\|?>"
)
_ANSWER = frozenset(
    f"<{slash}{name}>"
    for slash in ("", "/")
    for name in ("answer", "output", "response", "solution", "final", "final_answer")
) | {"[begin final response]", "[end final response]"}
_CALL_ENDS = re.compile(
    r"</\|[^>]*>|<\|[^>]*end[^>]*\|>|<\|/[^>]*\|>|<[^>|]*\|>|<\|(?:eom_id|eot_id|return|call)\|>|</s>|\[eos\]"
)
_RESULT = re.compile(r"respon[sc]e|result|output")
# Behind the mark of a call: a name, and what its arguments begin with.
_CONTENT = re.compile(r"\n?[\w.-]{1,80}(?:[(\[:{<]|\n\s{0,3}[{<])")
_CONTENT_HALF = re.compile(r"\s{0,3}(?P<name>[\w.-]{0,80})\s{0,4}")
# Marks behind which the name of a speaker stands, and marks that are the name of one.
_TURN = frozenset(
    ("<|im_start|>", "<|start_header_id|>", "<start_of_turn>", "<|turn>", "<|start|>", "<|start_of_role|>")
)
SPEAKERS = ("assistant", "model", "user", "human", "system", "developer", "tool", "ipython", "observation")
OWN_SPEAKERS = ("assistant", "model")
_SPEAKER = re.compile(r"<\|(?:user|human|system|observation)\|>")
_CONTROL = re.compile(
    r"</?\|.*>|<.*\|>|<(?:\w+:)?(?:eos|sop|special_\d+|bos|pad|unk|s|/s|eot|eom|start_of_turn|end_of_turn|end_of_utterance|endoftext"
    r"|unused\d+|extra_id_\d+)>|\[/?(?:gmask|inst|eos|args|call_id)\]"
)
# Behind them nothing more is meant for the reader.
_TEXT_ENDS = re.compile(r"<\|end_?of_?(?:text|sentence)\|>|<eos>")
# Tools between them may as well be meant for the reader.
_BARE_CALL = re.compile(r"<(?:use_)?tools?>")


def _plain(mark: str) -> str:
    """In small letters, with the bar and the blank that DeepSeek's marks lack, and without blanks at the edges."""
    mark = mark.lower().replace("｜", "|").replace("▁", "_")
    return re.sub(r"(?<=^</) | (?=/?>$)", "", mark)


def may_become_mark(text: str) -> bool:
    """Whether `text`, which begins with the first character of a mark, is the beginning of one."""
    if text.startswith("["):
        name = text[1:].lstrip("/").lower()
        return "]" not in name and any(known.startswith(name) or known + "]" == name for known in _BRACKETED)
    return _HALF.fullmatch(text) is not None


def kind_of(mark: str) -> Kind:
    """What a whole mark means where nothing speaks against it."""
    mark = _plain(mark)
    if mark.endswith("/>"):
        return "empty" if opened(f"{mark[:-2]}>") is not None else "text"
    if opened(mark) is not None:
        return "thought"
    if _is_closing(mark):
        return "closing"
    if _CALL.fullmatch(mark) or mark == "[tool_calls]" or _SPECIAL_CALL.fullmatch(mark):
        return "control" if re.match(r"<\|(?:end_|\w+_end\|)", mark) else "call"
    if mark in _ANSWER:
        return "answer"
    if mark in _TURN:
        return "turn"
    if _SPEAKER.fullmatch(mark) or mark == "[inst]":
        return "speaker"
    if mark == "<|channel|>":
        return "channel"
    return "control" if _CONTROL.fullmatch(mark) else "text"


def opened(mark: str) -> "Closes | None":
    """What closes the thought that a mark opens, or None where it opens none."""
    mark = _plain(mark)
    if family := _BY_OPENING.get(mark):
        return Closes(frozenset(family.closes))
    special = re.fullmatch(
        rf"<\|{_NO_THOUGHT}(?:(?:start|begin)_?(?:of_?)?|\w+_)?(?:{_REASON})(?:_start|_begin)?\|>", mark
    )
    if special:
        return Closes(pattern=re.compile(rf"<\|[^>]*(?:{_REASON}|response|answer|solution|final)[^>]*\|>"))
    shaped = re.fullmatch(
        rf"(?P<left>[<\[◁]){_NO_THOUGHT}(?P<name>(?:[\w-]+[:_])?(?:{_REASON})(?:_\w+)?)(?: [^>]*)?[>\]▷]", mark
    )
    if shaped:
        right = {"<": ">", "[": "]", "◁": "▷"}[shaped["left"]]
        return Closes(frozenset((f"{shaped['left']}/{shaped['name']}{right}",)))
    return None


def _is_closing(mark: str) -> bool:
    if mark in _CLOSING:
        return True
    if mark.startswith(("</", "[/", "◁/")):
        return opened(mark[0] + mark[2:]) is not None
    special = rf"<\|(?:/|end_?(?:of_?)?)(?:\w+_)?(?:{_REASON})\|>|<\|(?:{_REASON})_end\|>"
    return re.fullmatch(special, mark) is not None


def is_special(mark: str) -> bool:
    """Whether a mark is a token of its own, which nobody writes by chance."""
    return "|" in mark or "｜" in mark


def is_thought_name(name: str) -> bool:
    """Whether a fenced block of this name holds a thought."""
    return re.fullmatch(rf"{_NO_THOUGHT}(?:{_REASON})", name) is not None and name not in ("analysis", "planning")


def is_doubtful(mark: str) -> bool:
    """Whether a thought that this mark opens is one only if it is closed: `[Thinking] Well, ...` may be a manner."""
    return mark.startswith("[") and _plain(mark) not in _BY_OPENING


def ends_text(mark: str) -> bool:
    """Whether nothing that a model writes behind this mark belongs to its reply."""
    return _TEXT_ENDS.fullmatch(_plain(mark)) is not None


def is_bare_call(mark: str) -> bool:
    """Whether a mark opens a call only where data follow."""
    return _BARE_CALL.fullmatch(_plain(mark)) is not None


def is_result(mark: str) -> bool:
    """Whether a mark opens what a tool answers, which a model can only have made up."""
    return _RESULT.search(_plain(mark)) is not None


def opens_content(text: str, end: int, tools: Set[str]) -> bool:
    """Whether what stands behind the mark of a call is one, and no sentence about the mark.

    Args:
        text: Of the reply.
        end: Of the mark.
        tools: Those that were offered.
    """
    return _CONTENT.match(text, end) is not None or _CONTENT_HALF.match(text, end)["name"] in tools  # pyright: ignore[reportOptionalSubscript]


def may_open_content(text: str, end: int) -> bool:
    """Whether more text is needed to know what stands behind the mark of a call."""
    return _CONTENT_HALF.fullmatch(text, end) is not None


@dataclass(frozen=True)
class Closes:
    """What ends a thought or a call.

    Attributes:
        marks: The marks, lower case.
        pattern: Marks by their shape.
    """

    marks: frozenset[str] = frozenset()
    pattern: re.Pattern[str] | None = None

    def by(self, mark: str) -> bool:
        """Whether this mark does."""
        mark = _plain(mark)
        return mark in self.marks or (self.pattern is not None and self.pattern.fullmatch(mark) is not None)


ANY_CLOSING = Closes(_CLOSING | {"</thought>", "</thoughts>", "</reasoning>", "</analysis>"})


def call_closes(mark: str) -> Closes:
    """What ends a tool call that a mark opened; a call whose end never comes goes on to the end of the reply."""
    mark = _plain(mark)
    if mark.startswith("<|") or mark == "[tool_calls]":
        return Closes(pattern=_CALL_ENDS)
    name = re.split(r"[= >]", mark[1:], maxsplit=1)[0]
    return Closes(frozenset((f"</{name}>",)))
