"""Tool calls that a model writes into its text as JSON or as Python, without a mark that would tell.

In:  text from the brace or bracket on, piece by piece.   Out: whether it is a call, and where it ends.
"""

import json
import re
from collections.abc import Set

MAX_CALL_CHARS = 8000
_KEY = re.compile(
    r'\s*(?:\[\s*)?\{\s*"(?:name|function|function_call|tool|tool_name|tool_calls|type|id|action|arguments|parameters'
    r'|recipient_name)"\s*:'
)
_HALF_KEY = re.compile(r'\{\s*(?:"(?:[a-z_]{0,14}(?:"\s*)?)?)?')
# `[get_weather(city="Paris")]`, as Llama 4 and LFM2 write it.
_PYTHON = re.compile(r"\s*\[\s*[A-Za-z_][\w.]*\(")
_KEY_CHARS = 60
_NAMES = ("name", "tool_name", "tool", "recipient_name", "action", "function")
_ARGUMENTS = ("arguments", "parameters", "args", "action_input", "input", "tool_input")


class CallGuess:
    """Reads what may be a call; each character is looked at a bounded number of times.

    Attributes:
        text: What has been read so far.
        is_call: None until it is certain; then whether it is one.
    """

    def __init__(self, tools: Set[str] | None = None) -> None:
        """Begin in front of the brace or the bracket.

        Args:
            tools: The names that count; None for any.
        """
        self.is_call: bool | None = None
        self._tools = tools
        self._pieces: list[str] = []
        self._n_chars = 0
        self._head = ""
        self._depth = 0
        self._string = ""
        self._escaped = False
        self._python = False

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def looks_unfinished(self) -> bool:
        """Whether what has been read is the beginning of a call that broke off."""
        return bool(_KEY.match(self.text)) and any(f'"{key}"' in self.text for key in _ARGUMENTS[:2])

    def feed(self, text: str) -> str:
        """Take more; returns what follows the end of the call, or all that is left once it is certain."""
        for index, character in enumerate(text):
            self._read(character)
            if self.is_call is None and self._n_chars + index + 1 >= MAX_CALL_CHARS:
                self.is_call = False
            if self.is_call is not None or (self._depth == 0 and character in "]}"):
                self._take(text[: index + 1])
                if self.is_call is None:
                    self.is_call = self._judge()
                return text[index + 1 :]
        self._take(text)
        return ""

    def _take(self, text: str) -> None:
        self._pieces.append(text)
        self._n_chars += len(text)

    def _read(self, character: str) -> None:
        if len(self._head) < _KEY_CHARS:
            self._head += character
            self._look_at_head(character)
        if self._string:
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            elif character == self._string:
                self._string = ""
        elif character == '"' or (self._python and character == "'"):
            self._string = character
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1

    def _look_at_head(self, character: str) -> None:
        if character == "(" and _PYTHON.fullmatch(self._head):
            self._python = True
            self._head = self._head.ljust(_KEY_CHARS)
        elif character == ":" or len(self._head) == _KEY_CHARS:
            if not _KEY.match(self._head):
                self.is_call = False
            self._head = self._head.ljust(_KEY_CHARS)

    def _judge(self) -> bool:
        if self._python:
            name = re.match(r"\s*\[\s*([\w.]+)\(", self.text)
            return bool(name) and self.text.rstrip(" \n]").endswith(")") and self._counts(name[1])
        try:
            value = json.loads(self.text, strict=False)
        except (ValueError, RecursionError):
            return False
        calls = value if isinstance(value, list) else [value]
        return bool(calls) and all(self._is_call(call) for call in calls)

    def _is_call(self, call: object) -> bool:
        if not isinstance(call, dict):
            return False
        listed = call.get("tool_calls")
        if isinstance(listed, list) and listed:
            return all(self._is_call(each) for each in listed)
        nested = call.get("function") or call.get("function_call")
        if isinstance(nested, dict):
            return self._is_call(nested)
        name = next((call[key] for key in _NAMES if isinstance(call.get(key), str)), None)
        given = any(isinstance(call.get(key), dict | str) for key in _ARGUMENTS)
        return name is not None and given and self._counts(name)

    def _counts(self, name: str) -> bool:
        return self._tools is None or name.removeprefix("functions.") in self._tools


def opens_call(text: str) -> bool | None:
    """Whether a text that begins with a brace opens as a call does; None if more text is needed to know."""
    if _KEY.match(text):
        return True
    return None if _HALF_KEY.fullmatch(text) else False


def may_begin_call(text: str) -> bool | None:
    """Whether a text that begins with a brace or a bracket may be a call; None if more text is needed to know."""
    if re.match(r"\{|\[\s*\{|\[\s*[A-Za-z_][\w.]{0,63}\(", text):
        return True
    return None if re.fullmatch(r"\[\s*(?:[A-Za-z_][\w.]{0,63})?", text) else False
