"""Whatever stands in a conversation file of `sotto replay`: steps, or one line that says what is wrong with it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from agent.commands.script import AWAITED, MAX_TYPED_CHARS, ConversationScript, load_script
from agent.errors import MAX_MESSAGE_CHARS, InputError
from tests.support.hostile import JSON, TEXTS, at_length, mutated, trying
from tests.support.sound_files import tone_s16, wav_of

VALID = """steps:
  - say: tone.wav
    gain_db: -6
  - {type: "are you there", spoken: false, after: bot_stopped_speaking, delay_secs: 0.5}
  - interrupt: true
    after: bot_started_speaking
end_secs: 2
"""


def script_of(text: bytes) -> ConversationScript | str:
    """What a conversation file says, or the line that it is refused with."""
    path = Path("talk.yaml")
    path.write_bytes(text)
    try:
        return load_script([path])
    except InputError as error:
        message = str(error)
        assert message
        assert message.isprintable()
        assert len(message) <= 10 * MAX_MESSAGE_CHARS
        return message


@pytest.fixture(autouse=True)
def _with_a_tone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tone.wav").write_bytes(wav_of(tone_s16(0.05)))


def check_script(script: ConversationScript | str) -> None:
    if isinstance(script, str):
        return
    assert script.steps
    assert 0 <= script.end_secs <= 600
    for step in script.steps:
        assert step.after in AWAITED
        assert 0 <= step.delay_secs <= 600
        assert len(str(step)) <= MAX_TYPED_CHARS + 10


def test_hostile_scripts_begin_with_one_that_is_read() -> None:
    script = script_of(VALID.encode())
    assert isinstance(script, ConversationScript)
    assert [str(step) for step in script.steps] == ["tone.wav", "type: are you there", "interrupt"]


# What PyYAML's own constructors answer with an error that is none of YAML's.
MISREAD = (
    *("2020-13-45", "0000-00-00", "2001-12-14t21:59:43.10+99:99", "0b_", "0x_", "!!int x", "!!float x", "!!bool x"),
    *("!!timestamp x", "!!binary é", "!!omap x", "!!null []", "!!str []", "!!python/none", "!x a", "9" * 5000),
)
SCALARS = st.sampled_from(
    [
        *MISREAD,
        *(
            ".nan",
            ".inf",
            "-1",
            "~",
            "yes",
            "1:99",
            "&a",
            "*a",
            "tone.wav",
            '"\\0"',
            '"a\\nb"',
            '"\\ud800"',
            "a" * 5000,
        ),
        *(
            "[[a]]",
            "{a: b}",
            "? x",
            "[",
            "{",
            "'",
            '"',
            "%",
            "@",
            "`",
            "- a",
            "? [a]\n: b",
            "|\n  a\n",
            ".",
            "..",
            "/dev/null",
        ),
    ]
)
FIELDS = st.sampled_from(["say", "type", "spoken", "interrupt", "after", "delay_secs", "gain_db", "x", "<<", '"a\\nb"'])
LINES = st.builds(
    lambda steps: "steps:\n" + "\n".join("  - {" + ", ".join(fields) + "}" for fields in steps),
    st.lists(st.lists(st.builds("{}: {}".format, FIELDS, SCALARS), max_size=3), max_size=3),
)
OBJECTS = st.builds(
    lambda steps, more: yaml.safe_dump({"steps": steps, **more}, allow_unicode=True),
    st.lists(st.dictionaries(FIELDS, JSON, max_size=3) | JSON, max_size=3) | JSON,
    st.dictionaries(st.sampled_from(["end_secs", "x"]), JSON, max_size=1),
)


@at_length(80, 1200)
def test_hostile_scripts_are_read_or_refused_in_one_line(n_examples: int) -> None:
    @example(b"[" * 5000)
    @example(b"{a: " * 2000)
    @example(b"steps: &a [*a]")
    @example(b"&a {steps: [*a]}")
    @example(b"a: &a {x: 1}\nsteps: [{<<: *a}]")
    @example(b'steps: [{type: a, after: "' + b"x" * 100_000 + b'"}]')
    @example(b"x" * (2**20 + 1))
    @example(b"\xff")
    @example(b"steps: [{say: " + b"a" * 5000 + b"}]")
    @example(b'steps: [{say: "\\0"}]')
    @given(
        mutated(st.just(VALID.encode()))
        | LINES.map(lambda text: text.encode("utf-8", "surrogatepass"))
        | OBJECTS.map(lambda text: text.encode("utf-8", "surrogatepass"))
    )
    @trying(n_examples)
    def check(text: bytes) -> None:
        check_script(script_of(text))

    check()
    assert isinstance(script_of(VALID.encode()), ConversationScript)


@pytest.mark.parametrize("scalar", MISREAD)
def test_a_hostile_scalar_is_told_with_its_place(scalar: str) -> None:
    refusal: Any = script_of(f"end_secs: {scalar}\nsteps: [{{type: hello}}]".encode())
    assert refusal.startswith(("conversation file cannot be read: talk.yaml: ", "talk.yaml: end_secs: "))


@at_length(40, 400)
def test_hostile_names_of_files_are_told_in_one_line(n_examples: int) -> None:
    @example("a\0b")
    @example("a" * 5000)
    @given(TEXTS)
    @trying(n_examples)
    def check(name: str) -> None:
        for ending in (".yaml", ".wav"):
            with pytest.raises(InputError) as caught:
                load_script([Path("none", name + ending)])
            assert str(caught.value).isprintable()

    check()
