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
from processors.llm.placed_arguments import Parameters, named
from processors.llm.written_calls import MAX_KEPT_CHARS

MAX_CALLS = 16
_PARAMETER = re.compile(
    r"<parameter(?:=| name=\")(?P<key>[\w-]{1,64})\"?[^>\n]{0,80}>(?P<value>[^<]*)</parameter>"
    r"|<arg_key>(?P<key2>[^<]{1,64})</arg_key>\s*<arg_value>(?P<value2>[^<]*)</arg_value>"
)
_PARAMETER_BEGINS = re.compile(r"<parameter\b|<arg_key>")
_TAGS_FOLLOW = re.compile(r"[\"\s>]*(?:<|\Z)")
_CALL_ENDS = re.compile(r"</(?:function|invoke|tool_call)\b|<tool_call>|\Z")
_TAG = re.compile(r"<[^<>]{0,100}>")
# Around a tool's name in code, in JSON and in tags; never in what people say.
_CODE_BEFORE = r"functions\.|default_api\.|Action:\s{0,4}|>>>\s{0,4}"
_CODE_BEHIND = (
    r"\(|\s{0,4}(?:\{|\[ARGS\]|```|Action Input)|[\"']?>?\s{0,4}<(?:parameter|arg_key|/)|>\s{0,4}\{"
    r"|[\"']\s{0,4}(?:[:,]\s{0,4}[\"'{]|\})"
)
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
        self._n_calls = 0
        self._n_chars = 0
        self._is_open = False

    def begin(self, text: str) -> int | None:
        """Another call begins; its number, to withdraw it by, or None where there are too many."""
        self._is_open = self._n_calls < MAX_CALLS
        if not self._is_open:
            return None
        self._n_calls += 1
        self._texts.append([])
        self.add(text)
        return len(self._texts) - 1

    def drop(self) -> None:
        """Another call begins, which is not to be made: its text is empty."""
        self._texts.append([])
        self._is_open = False

    def withdraw(self, number: int) -> None:
        """A call that has begun is not to be made: its text is empty from now on."""
        self._n_calls -= 1
        self._n_chars -= sum(map(len, self._texts[number]))
        self._texts[number] = []
        self._is_open = False

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


def calls_in(text: str, tools: Set[str], takes: Mapping[str, Parameters] | None = None) -> list[WrittenCall]:
    """The calls of offered tools that a text holds, each once; one that broke off is none.

    Args:
        text: Of one call, or of several in one wrapping.
        tools: Those that are offered.
        takes: What they take; where that is not known, arguments need their names.
    """
    takes = takes or {}
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
            # A word of the language, with a number in parentheses behind it, may be no more than that.
            is_word = "_" not in found["name"] and not text[: found.start()].strip()
            made, at = _by_name(found["name"], text, at, None if is_word else takes.get(found["name"]))
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
        thing that the user said has them as data, or as code.
    """
    given = [_bare(_plain(str(value))) for value in call.arguments.values() if isinstance(value, (str, int, float))]
    data = _bare(_plain(json.dumps(call.arguments, ensure_ascii=False)))
    name = re.escape(call.name)
    named = re.compile(rf"(?<![\w-]){name}(?![\w-])")
    code = re.compile(rf"(?:{_CODE_BEFORE}){name}(?![\w-])|(?<![\w-]){name}(?:{_CODE_BEHIND})")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") == "assistant":
            continue
        text = _plain(str(message.get("content")))
        if not named.search(text):
            continue
        bare = _bare(text)
        if message.get("role") == "user" and not code.search(text):
            if data != "{}" and data in bare:
                return True
        elif all(value in bare for value in given):
            return True
    return False


def _plain(text: str) -> str:
    """As it was, however often it stands in JSON or in Python."""
    return re.sub(r"\\+[nrt]", "\n", text).replace("\\", "")


def _bare(text: str) -> str:
    """Without white space, in small letters, and with one kind of quotes."""
    return "".join(text.split()).replace("'", '"').casefold()


def _by_name(name: str, text: str, at: int, takes: Parameters | None) -> tuple[list[WrittenCall], int]:
    """A call whose arguments are tags or stand in parentheses behind the name, and where it ends."""
    if text[at : at + 1] == "(":
        end = end_of(text, at)
        call = read_python(f"f{text[at:end]}") if end else None
        given = call and call.given
        if call and call.placed:
            given = named(call.placed, call.given, takes) if takes else None
        return ([] if given is None else _made(name, given)), end or len(text)
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
