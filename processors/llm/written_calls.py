"""Tool calls that a model writes into its text as JSON or as Python, without a mark that would tell.

In:  text from the brace, the bracket or the parenthesis on, piece by piece.   Out: whether it is a call, and its end.
"""

import re
from collections.abc import Set

from processors.llm.call_data import ARGUMENTS, calls_of, read_data, read_python
from processors.llm.nesting import Nesting

MAX_CALL_CHARS = 8000
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
# In parentheses behind a tool's name: values, not only the names of its parameters.
_VALUES = re.compile(r"[=\d\"']")


class CallGuess:
    """Reads what may be a call; each character is looked at a bounded number of times.

    Attributes:
        text: What has been read so far, and the head before it.
        is_call: None until it is certain; then whether it is one.
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

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def looks_unfinished(self) -> bool:
        """Whether what has been read is the beginning of a call that broke off."""
        if self._name:
            return True
        text = self.text
        if self._nesting.python and _PYTHON.match(text):
            return self._any_name or self._names_tool(text)
        argued = any(f'"{key}"' in text for key in ARGUMENTS[:2])
        return _opens(text, self._tools) and (argued if self._any_name else self._names_tool(text))

    def feed(self, text: str) -> str:
        """Take more; returns what follows the end of the call, or all that is left once it is certain."""
        for index, character in enumerate(text):
            ends = self._read(character)
            if self.is_call is None and self._n_chars + index + 1 >= MAX_CALL_CHARS:
                self.is_call = False
            if self.is_call is not None or ends:
                self._take(text[: index + 1])
                if self.is_call is None:
                    self.is_call = self._judge()
                return text[index + 1 :]
        self._take(text)
        return ""

    def _take(self, text: str) -> None:
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
            return read_python(f"f{text}") is not False or _VALUES.search(text) is not None
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
