"""What was taken out of a reply as tool calls, and the calls that can be made of it.

In:  the texts of calls, with their marks.   Out: names of offered tools, with their arguments.
"""

import json
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from pipecat.processors.aggregators.llm_context import LLMContextMessage

from processors.llm.call_data import calls_of, read_data, read_python
from processors.llm.nesting import end_of

MAX_KEPT_CHARS = 20_000
MAX_CALLS = 16
_PARAMETER = re.compile(
    r"<parameter(?:=| name=\")(?P<key>[\w-]{1,64})\"?[^>\n]{0,80}>(?P<value>[^<]*)</parameter>"
    r"|<arg_key>(?P<key2>[^<]{1,64})</arg_key>\s*<arg_value>(?P<value2>[^<]*)</arg_value>"
)
_PARAMETER_BEGINS = re.compile(r"<parameter\b|<arg_key>")
_TAGS_FOLLOW = re.compile(r"[\"\s>]*(?:<|\Z)")
_CALL_ENDS = re.compile(r"</(?:function|invoke|tool_call)\b|<tool_call>|\Z")
_TAG = re.compile(r"<[^<>]{0,100}>")
# Gemma's string quote.
_QUOTE = '<|"|>'


@dataclass(frozen=True)
class WrittenCall:
    """A call that can be made.

    Attributes:
        name: Of the tool.
        arguments: What JSON can hold; unchecked beyond that.
    """

    name: str
    arguments: Mapping[str, Any]


class CallTexts:
    """The texts of the calls of one reply, up to a bounded length in all: what is cut there has no end."""

    def __init__(self) -> None:
        self._texts: list[list[str]] = []
        self._n_chars = 0
        self._is_open = False

    def begin(self, text: str) -> None:
        """Another call begins."""
        self._is_open = len(self._texts) < MAX_CALLS
        if self._is_open:
            self._texts.append([])
            self.add(text)

    def add(self, text: str) -> None:
        """It goes on."""
        if self._is_open:
            self._texts[-1].append(text[: MAX_KEPT_CHARS - self._n_chars])
            self._n_chars += len(self._texts[-1][-1])

    def end(self) -> None:
        """What is left out from here on is no call."""
        self._is_open = False

    @property
    def texts(self) -> list[str]:
        """Of the calls, in order."""
        return ["".join(pieces) for pieces in self._texts]


def calls_in(text: str, tools: Set[str]) -> list[WrittenCall]:
    """The calls of offered tools that a text holds, each once; one that broke off is none.

    Args:
        text: Of one call, or of several in one wrapping.
        tools: Those that are offered.
    """
    if not tools:
        return []
    text = text.replace(_QUOTE, '"')
    longest_first = sorted(map(re.escape, tools), key=len, reverse=True)
    place = re.compile(rf"(?<![\w-])(?P<name>{'|'.join(longest_first)})(?![\w-])|\{{")
    calls: list[WrittenCall] = []
    name, at = "", 0
    while len(calls) < MAX_CALLS and (found := place.search(text, at)):
        at = found.end()
        if found["name"]:
            made, at = _by_name(found["name"], text, at)
            name = "" if made else found["name"]
        else:
            end = end_of(text, found.start())
            if end is None:
                break
            made, at = _by_data(name, text[found.start() : end], tools), end
            name = ""
        calls += [call for call in made if call not in calls]
    return calls


def is_quoted(call: WrittenCall, messages: Sequence[LLMContextMessage]) -> bool:
    """Whether a call may be no wish of the model's, but what it reads out of a file, a page or a tool's answer.

    Args:
        call: As it was written.
        messages: The history.

    Returns:
        True where one result of a tool, or one note, has the tool's name and all that is given to it; or where one
        thing that the user said has them as data.
    """
    given = [_bare(str(value)) for value in call.arguments.values() if isinstance(value, (str, int, float))]
    data = _bare(json.dumps(call.arguments, ensure_ascii=False))
    name = re.compile(rf"(?<![\w-]){re.escape(call.name)}(?![\w-])")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") == "assistant":
            continue
        text = str(message.get("content"))
        if not name.search(text):
            continue
        bare = _bare(text)
        if message.get("role") == "user":
            if data != "{}" and data in bare:
                return True
        elif all(value in bare for value in given):
            return True
    return False


def _bare(text: str) -> str:
    """Without white space, with one kind of quotes, and however often it stands in JSON."""
    return re.sub(r"\\+[nrt]|[\s\\]+", "", text).replace("'", '"')


def _by_name(name: str, text: str, at: int) -> tuple[list[WrittenCall], int]:
    """A call whose arguments are tags or stand in parentheses behind the name, and where it ends."""
    if text[at : at + 1] == "(":
        end = end_of(text, at)
        given = read_python(f"f{text[at:end]}") if end else False
        return ([] if isinstance(given, bool) else _made(name, given)), end or len(text)
    if not _TAGS_FOLLOW.match(text, at):
        return [], at
    ends = _CALL_ENDS.search(text, at)
    inside = text[at : ends.start() if ends else len(text)]
    given = {(one["key"] or one["key2"]).strip(): _value(one) for one in _PARAMETER.finditer(inside)}
    # Without a word between its tags it has no arguments.
    bare = not _TAG.sub("", inside).strip(' \n\t">')
    if len(given) < len(_PARAMETER_BEGINS.findall(inside)) or not (given or bare):
        return [], at if "{" in inside else at + len(inside)
    return _made(name, given), at + len(inside)


def _value(found: re.Match[str]) -> Any:
    text = (found["value"] or found["value2"] or "").strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _by_data(name: str, text: str, tools: Set[str]) -> list[WrittenCall]:
    value = read_data(text)
    calls = calls_of(value, tools)
    if calls:
        offered = [(call.name, call.arguments) for call in calls if call.name in tools]
        return [made for called, given in offered if given is not None for made in _made(called, given)]
    return _made(name, value) if name and isinstance(value, dict) else []


def _made(name: str, arguments: Mapping[str, Any]) -> list[WrittenCall]:
    """The call, if its arguments are what JSON can hold."""
    try:
        json.dumps(arguments, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return []
    return [WrittenCall(name, arguments)]
