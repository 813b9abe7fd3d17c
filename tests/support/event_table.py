"""The README's table of events, made from the one list of them.

uv run python -m tests.support.event_table        writes it into README.md
"""

from pathlib import Path

from agent.conversation.events import EVENTS, EventKind

README = Path(__file__).resolve().parent.parent.parent / "README.md"
HEAD = "| `event` | when | fields |\n|---|---|---|\n"


def event_table() -> str:
    """The table, one row an event."""
    return HEAD + "".join(f"| {name} | {kind.meaning} | {_fields(kind)} |\n" for name, kind in EVENTS.items())


def _fields(kind: EventKind) -> str:
    always = [f"`{name}`: {meaning}" for name, meaning in kind.fields.items()]
    return "; ".join(always + [f"`{name}?`: {meaning}" for name, meaning in kind.may.items()])


def with_table(text: str) -> str:
    """The README with the table of now.

    Args:
        text: What it says.

    Returns:
        The same, with the rows between the table's head and the next empty line made anew.
    """
    before, _, rest = text.partition(HEAD)
    return before + event_table() + "\n" + rest.partition("\n\n")[2]


if __name__ == "__main__":
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8")
