"""Tool calls that nothing but the name of an offered tool tells from ordinary text.

In:  a place in a reply, and the tools of the turn.   Out: whether a call begins there, and how it is read on.

`set_timer(seconds=5)`, `functions.set_timer {"seconds": 5}`, `Action: set_timer` as ReAct prompts teach it,
`>>>set_timer` as functionary writes it, and `to=functions.set_timer` of harmony whose special tokens are lost.
"""

import re
from collections.abc import Set
from dataclasses import dataclass

_WORD = re.compile(r"[\w-]{0,64}")
_BLANKS = re.compile(r"[ \t]{0,2}")
_DATA = re.compile(r"\s{0,4}(?:\[ARGS\]\s{0,4})?(?=\{)|(?=\()")
# Behind a word that is one of the language, too.
_GLUED_DATA = re.compile(r"\s{0,4}\[ARGS\]\s{0,4}(?=\{)|(?=[({])")
_LINE_ENDS = re.compile(r"[ \t]{0,4}(?:\n|\Z)")
_BLOCK = re.compile(r"[ \t]{0,4}(?:[\n{]|\Z)")
_NAME_ENDS = re.compile(r"(?![\w-])")
# What may still become what stands behind a name.
_HALF = re.compile(r"\s{0,4}(?:\[(?:A(?:R(?:G(?:S(?:\]\s{0,4})?)?)?)?)?)?")


@dataclass(frozen=True)
class Shape:
    """How a call is written.

    Attributes:
        head: In front of the name.
        behind: What stands behind the name.
        to_end: Whether the rest of the reply belongs to it, and only what a tool would answer stands there.
    """

    head: str
    behind: re.Pattern[str]
    to_end: bool = False


SHAPES = (
    Shape("Action:", _LINE_ENDS, to_end=True),
    Shape(">>>", _BLOCK, to_end=True),
    *(
        Shape(f"{head}to=functions.", _NAME_ENDS, to_end=True)
        for head in ("", "commentary ", "assistantcommentary ", "assistant ")
    ),
    *(Shape(head, _DATA) for head in ("", "functions.", "default_api.")),
)


@dataclass(frozen=True)
class NamedCall:
    """The beginning of a call.

    Attributes:
        name: Of the tool.
        head: All that stands in front of the arguments, the name with it.
        to_end: Whether the rest of the reply belongs to it.
        is_word: Whether nothing but a word that may as well be one of the language begins it.
    """

    name: str
    head: str
    to_end: bool
    is_word: bool


class NamedCalls:
    """Finds where calls of some tools begin.

    Args:
        tools: Their names.

    Attributes:
        starts: Finds where one might begin in the middle of a text; None where there are no tools.
    """

    def __init__(self, tools: Set[str]) -> None:
        self._tools = tools
        first = "".join(sorted({re.escape((shape.head or name)[0]) for shape in SHAPES for name in tools if name}))
        self.starts = re.compile(rf"[<\[{{◁`\n]|(?<!\w)[{first}]") if first else None

    def at(self, text: str, at: int, *, final: bool) -> NamedCall | bool | None:
        """The call that begins at a place; False for none, None if more text is needed to know.

        Args:
            text: Of the reply.
            at: The place; no letter, digit or underscore stands before it.
            final: Whether the text is all there is.
        """
        for shape in SHAPES:
            begun = text[at : at + len(shape.head)]
            if begun == shape.head:
                found = self._named(text, at, shape, final=final)
            else:
                found = None if not final and shape.head.startswith(begun) else False
            if found is not False:
                return found
        return False

    def _named(self, text: str, at: int, shape: Shape, *, final: bool) -> NamedCall | bool | None:
        begins = at + len(shape.head)
        if shape.to_end:
            begins = _BLANKS.match(text, begins).end()  # pyright: ignore[reportOptionalMemberAccess]
        word = _WORD.match(text, begins)
        name, end = (word[0], word.end()) if word else ("", begins)
        if end == len(text) and not final:
            return None if any(tool.startswith(name) for tool in self._tools) else False
        if name not in self._tools:
            return False
        if not final and _HALF.fullmatch(text, end):
            return None
        is_word = not shape.head and "_" not in name
        behind = (_GLUED_DATA if is_word else shape.behind).match(text, end)
        return NamedCall(name, text[at : behind.end()], shape.to_end, is_word) if behind else False
