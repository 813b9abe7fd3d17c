"""Tool calls that nothing but a tool's name tells: made where they stand alone, and not where they are spoken of."""

import pytest

from processors.llm.call_texts import MAX_CALLS, WrittenCall
from processors.llm.written_calls import MAX_KEPT_CHARS
from tests.processors.llm.test_written_calls import BY_NAME, CALL, MADE, read

# To its end, a call has the line for itself.
STANDING = [shape for shape in BY_NAME if not shape.startswith((">>>", "Action:"))]


@pytest.mark.parametrize("shape", STANDING)
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        *(
            ("Shall I run ", "?"),
            ("I will not call ", " unless you say so."),
            ("In Python it is ", ""),
            ("", " sets it."),
        ),
        *(
            ("For example, ", " would set it."),
            ("Don't do ", " now."),
            ("Fine. ", " It is set."),
            ("One:\n", " - so.\nTwo."),
        ),
        *(
            ("It is called with (", ")."),
            ('Say "', '".'),
            ("Such as, e.g. ", ".\n"),
            ("1. ", "\n2. More"),
            ("- ", "\n- More"),
        ),
        *(("Will you? ", ""), ("Fine.\nUse ", "\nThen wait."), ("", ", or another."), ("", f" {'x' * 99}")),
        ("No one, nowhere," + " " * 80, "\n"),
    ],
)
def test_a_call_in_a_sentence_is_neither_made_nor_spoken(shape: str, before: str, behind: str) -> None:
    reply = before + shape + behind
    for pieces in (tuple(reply), (reply,), *((reply[:cut], reply[cut:]) for cut in range(0, len(reply), 7))):
        spoken, calls = read(*pieces)
        assert (spoken.split(), calls) == ((before + behind).split(), []), pieces


@pytest.mark.parametrize("shape", STANDING)
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        *(("", ""), ("", "."), ("", " .\nIt is set."), ("Fine!\n\n", "\n\nIt is set."), ("One moment: ", " \n")),
        *(
            ("Is it late? Yes. ", "."),
            ("  ", "\n"),
            ("等一下。", "\n"),
            ("Do it\n  ", "\nso"),
            ("It costs 5.\n", ""),
        ),
        ("<think>Shall I run it?</think>", "<|im_end|>"),
    ],
)
def test_a_call_that_has_its_line_or_the_end_of_it_to_itself_is_made(shape: str, before: str, behind: str) -> None:
    reply = before + shape + behind
    for pieces in (tuple(reply), (reply,), *((reply[:cut], reply[cut:]) for cut in range(0, len(reply), 7))):
        spoken, calls = read(*pieces)
        assert calls == MADE, pieces
        assert "set_timer" not in spoken


@pytest.mark.parametrize("joint", ["", " ", "; ", ", ", "\n"])
def test_several_calls_in_one_line_stand_or_fall_together(joint: str) -> None:
    line = f"set_timer(seconds=605){joint}list_timers()"
    both = [*MADE, WrittenCall("list_timers", {})]
    assert read(*f"Fine. {line}\nSo be it.")[1] == both
    assert read(*f"Fine, {line}")[1] == (both[1:] if joint == "\n" else [])
    assert read(*f"{line} are calls.\n{line}")[1] == [*(MADE if joint == "\n" else []), *both]
    assert read(*f"{line} are calls.")[1] == (both[:1] if joint == "\n" else [])
    # Data are a call wherever they stand.
    assert read(*f"{line} {CALL} are calls.")[1] == (2 * MADE if joint == "\n" else MADE)


def test_calls_in_sentences_leave_room_for_those_that_are_made() -> None:
    told = "Shall I run list_timers()? list_timers() lists them. " * (2 * MAX_CALLS)
    told += f'save(text="{"x" * 6_000}") saves.\n' * (2 * MAX_KEPT_CHARS // 6_000)
    assert read(f"{told}\nset_timer(seconds=605)")[1] == MADE


@pytest.mark.parametrize("shape", BY_NAME)
def test_how_a_call_begins_in_a_sentence_is_none_for_all_that_follows(shape: str) -> None:
    spoken, calls = read(*f"A model would write {shape}\n")
    assert (spoken.strip(), calls) == ("A model would write", [])
