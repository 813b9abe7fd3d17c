"""Tool calls that a model writes into its text as JSON or as Python, without a mark that would tell.

In:  text from the brace, the bracket or the parenthesis on, piece by piece.   Out: whether it is a call, and its end.
"""

import re
from collections.abc import Set

from processors.llm.call_data import ARGUMENTS, calls_of, read_data, read_python
from processors.llm.nesting import Nesting

# What is no call by then is text; what has begun as one is left out to its end, and so much of it is kept.
MAX_CALL_CHARS, MAX_KEPT_CHARS = 8_000, 20_000
_KEY = re.compile(
    r"\s*(?:\[\s*)?\{\s*[\"'](?:name|function|function_call|tool|tool_name|tool_calls|type|id|action|arguments"
    r"|parameters|recipient_name)[\"']\s*:"
)
# A tool's own name may be the key of its arguments.
_ANY_KEY = re.compile(r"\s*(?:\[\s*)?\{\s*[\"']([\w-]{1,64})[\"']\s*:")
_HALF_KEY = re.compile(r"(?:\[\s*)?(?:\{\s*(?:[\"'](?:[\w-]{0,64}(?:[\"']\s*)?)?)?)?")
_SINGLE_QUOTED = re.compile(r"\s*(?:\[\s*)?\{\s*'")
# `[get_weather(city="Paris")]`, as Llama 4 and LFM2 write it.
_PYTHON = re.compile(r"\s*\[\s*[A-Za-z_][\w.]*\(")
_KEY_CHARS = 60
# How the arguments behind a tool's name begin, however they go on.
_ARGUED = re.compile(r"\(\s*(?:[A-Za-z_]\w*\s*=(?!=)|[\"'{\[])|\s*(?:\[ARGS\]\s*)?\{\s*[\"'][\w-]{1,64}[\"']\s*:")
# In parentheses behind a tool's name: values, not only the names of its parameters.
_VALUES = re.compile(r"[=\d\"']")


class CallGuess:
    """Reads what may be a call; each character is looked at a bounded number of times.

    Attributes:
        text: What has been read so far, and the head before it.
        is_call: None until it is certain; then whether it is one.
        is_long: Whether it is one for certain whose end has yet to come, and not all of which is kept.
    """

    def __init__(self, tools: Set[str] = frozenset(), *, any_name: bool = True, name: str = "", head: str = "") -> None:
        """Begin in front of the brace, the bracket or the parenthesis.

        Args:
            tools: Those that were offered.
            any_name: Whether calls of others count, too.
            name: Of the offered tool whose arguments follow, where it stands in front of them.
            head: What has been read in front of them.
        """
        self.is_call: bool | None = None
        self._tools = tools
        self._any_name = any_name
        self._name = name
        self._pieces = [head] if head else []
        self._n_chars = self._n_head_chars = len(head)
        self._head = " " * _KEY_CHARS if name else ""
        self._nesting = Nesting()
        self.is_long = False

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def by_name(self) -> bool:
        """Whether nothing but a tool's name tells the call: Python, or arguments behind the name."""
        return bool(self._name) or _PYTHON.match(self.text) is not None

    @property
    def looks_unfinished(self) -> bool:
        """Whether what has been read is the beginning of a call that broke off."""
        return bool(self._name) or self._looks_begun(self.text)

    def _looks_begun(self, text: str) -> bool:
        if self._nesting.python and _PYTHON.match(text):
            return self._any_name or self._names_tool(text)
        key = _ANY_KEY.match(text)
        argued = any(f'"{one}"' in text for one in ARGUMENTS[:2]) or (key is not None and key[1] in self._tools)
        return _opens(text, self._tools) and (argued if self._any_name else self._names_tool(text))

    def feed(self, text: str) -> str:
        """Take more; returns what follows the end of the call, or all that is left once it is certain."""
        for index, character in enumerate(text):
            ends = self._read(character)
            if self._n_chars + index + 1 >= MAX_CALL_CHARS and self.is_call is None and not (ends or self.is_long):
                self.is_long = self._has_begun(text[: index + 1])
                self.is_call = None if self.is_long else False
            if self.is_call is not None or ends:
                self._take(text[: index + 1])
                if self.is_call is None:
                    self.is_call = self.is_long or self._judge()
                return text[index + 1 :]
        self._take(text)
        return ""

    def _has_begun(self, more: str) -> bool:
        """Whether what has been read can be nothing but a call, whose end is far away."""
        text = self.text + more
        if self._name:
            return _ARGUED.match(text, self._n_head_chars) is not None
        return self._looks_begun(text)

    def _take(self, text: str) -> None:
        if self.is_long:
            text = text[: max(0, MAX_KEPT_CHARS - self._n_chars)]
        self._pieces.append(text)
        self._n_chars += len(text)

    def _read(self, character: str) -> bool:
        """Whether the call ends with this character."""
        if len(self._head) < _KEY_CHARS:
            self._head += character
            self._look_at_head(character)
        elif self._name and not self._nesting.depth:
            self._nesting.python = character == "("
        return self._nesting.closes(character)

    def _look_at_head(self, character: str) -> None:
        if character == "(" and _PYTHON.fullmatch(self._head):
            self._nesting.python = True
            self._head = self._head.ljust(_KEY_CHARS)
        elif character == "'" and _SINGLE_QUOTED.fullmatch(self._head):
            self._nesting.python = True
        elif character == ":" or len(self._head) == _KEY_CHARS:
            if not _opens(self._head, self._tools):
                self.is_call = False
            self._head = self._head.ljust(_KEY_CHARS)

    def _judge(self) -> bool:
        if self._name:
            return self._judge_arguments(self.text[self._n_head_chars :])
        if self._nesting.python and _PYTHON.match(self.text):
            name = re.match(r"\s*\[\s*([\w.]+)\(", self.text)
            return bool(name) and self.text.rstrip(" \n]").endswith(")") and self._counts(name[1])
        calls = calls_of(read_data(self.text, repairs=False), self._tools)
        if not calls and self._names_tool(self.text):
            calls = calls_of(read_data(self.text), self._tools)
        return bool(calls) and all(self._counts(call.name) for call in calls)

    def _judge_arguments(self, text: str) -> bool:
        if text == "()" and "_" not in self._name:
            # As people write that a word is a function.
            return False
        if text.startswith("("):
            return read_python(f"f{text}") is not None or _VALUES.search(text) is not None
        return isinstance(read_data(text), dict)

    def _names_tool(self, text: str) -> bool:
        return any(f"{quote}{tool}" in text for tool in self._tools for quote in "\"'[.")

    def _counts(self, name: str) -> bool:
        return self._any_name or name.removeprefix("functions.").removeprefix("default_api.") in self._tools


def opens_call(text: str, tools: Set[str]) -> bool | None:
    """Whether a text that begins with a brace or a bracket opens as a call in JSON does; None if more text is needed.

    Args:
        text: As much as has come.
        tools: Those that were offered.
    """
    if _opens(text, tools):
        return True
    return None if _HALF_KEY.fullmatch(text) else False


def _opens(text: str, tools: Set[str]) -> bool:
    key = _ANY_KEY.match(text)
    return key is not None and (_KEY.match(text) is not None or key[1] in tools)


def may_begin_call(text: str) -> bool | None:
    """Whether a text that begins with a brace or a bracket may be a call; None if more text is needed to know."""
    if re.match(r"\{|\[\s*\{|\[\s*[A-Za-z_][\w.]{0,63}\(", text):
        return True
    return None if re.fullmatch(r"\[\s*(?:[A-Za-z_][\w.]{0,63})?", text) else False
