"""The lanes of `.ci/run`: each test is run by one of them, and CONTRIBUTING.md tells of all."""

import itertools
import re

from tests.conftest import REPOSITORY

MARKS = ("long", "realtime", "browser")
RUN = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
LANES = re.findall(r'lane [\w-]+ .*?-m "([^"]+)"', RUN)


def test_each_test_is_run_by_one_lane() -> None:
    assert len(LANES) == 4
    for states in itertools.product((False, True), repeat=len(MARKS)):
        marked: dict[str, object] = dict(zip(MARKS, states, strict=True))
        chosen = [lane for lane in LANES if eval(lane, {}, marked)]  # noqa: S307 - our own words
        assert len(chosen) == 1, marked


def test_the_lane_of_sound_finds_its_files_by_their_words() -> None:
    # A device test becomes one of real time in tests/conftest.py; a mark from elsewhere would be looked for in vain.
    elsewhere = [
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "tests").rglob("*.py")
        if re.search(r"mark\.(realtime|device)", path.read_text(encoding="utf-8")) and not path.name.startswith("test_")
    ]
    assert elsewhere == []


def test_contributors_are_told_of_the_lanes() -> None:
    told = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [lane for lane in LANES if f"| `{lane}` |" not in told] == []
