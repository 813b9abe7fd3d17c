"""How fast text becomes speakable, beside an earlier state of this repository, in one interleaved run.

    uv run python -m tests.bench.speakable
    uv run python -m tests.bench.speakable --baseline 55d701b --rounds 15

Both are loaded into this process; each text is spoken by each in turn, and CPU time of the thread is what counts. Below
1.0 in the last column the working tree is faster.
"""

import argparse
import importlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import REPOSITORY

PROSE = (
    "The old lighthouse stands at the end of a narrow road, and few people come there in winter. Its keeper, who has"
    " lived alone for many years, says that he likes the sound of the sea; at night, he reads. Would you like to hear "
    "more about it? I could also tell you how such a lamp works, and why it still matters to small boats."
)
FIGURES = (
    "The trip takes 2 hours and 15 minutes, costs $45.50, and covers 120 km at 80 km/h. Leave at 9:30 am on May 5,"
    " 2024; it is about 5 °C there, and 3-5 people fit. In 1999, 1,234 visitors came, roughly 12% more than before."
)
MARKDOWN = (
    "## Steps\n\n1. **Boil** the water\n2. Add `tea`, see [the page](https://example.com/t)\n\n- Milk & sugar\n"
    "- Wait for *five* minutes → drink\n\nDr. Smith says it's fine, e.g. with honey, etc."
)
GERMAN = (
    "Der alte Leuchtturm steht am Ende einer schmalen Straße, und im Winter kommen nur wenige. Die Fahrt"
    " kostet 45,50 € "
    "und dauert 2 Stunden; am Montag sind es 120 km bei 5 °C. Möchten Sie mehr darüber hören?"
)
TEXTS = {
    "prose (en)": ("en", PROSE),
    "figures (en)": ("en", FIGURES),
    "markdown (en)": ("en", MARKDOWN),
    "mixed (de)": ("de", GERMAN),
    "answer (en)": ("en", f"{PROSE}\n\n{MARKDOWN}\n\n{FIGURES}\n\n{PROSE}"),
}
TOKEN_CHARS = 5


def exported(commit: str, folder: Path) -> Path:
    """Write a commit's sources of `processors` into a folder."""
    archive = subprocess.run(
        ["git", "archive", commit, "processors"],  # noqa: S607
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)  # noqa: S607
    return folder


def loaded(root: Path) -> dict[str, Callable[[str, str], object]]:
    """The ways of a source tree to speak a text: at once, and token by token."""
    for name in [name for name in sys.modules if name.split(".")[0] == "processors"]:
        del sys.modules[name]
    sys.path.insert(0, str(root))
    try:
        speak_text = importlib.import_module("processors.text.spoken_text").speak_text
        stream_class = importlib.import_module("processors.text.speakable_stream").SpeakableStream
    finally:
        sys.path.remove(str(root))

    def streamed(text: str, language: str) -> list[str]:
        stream = stream_class(language=language)
        pieces: list[str] = []
        for start in range(0, len(text), TOKEN_CHARS):
            pieces += stream.push(text[start : start + TOKEN_CHARS])
        return pieces + stream.flush()

    return {"at once": speak_text, "by token": streamed}


def cpu_secs(work: Callable[[str, str], object], text: str, language: str, repeats: int) -> float:
    """CPU time of one pass over the text."""
    start = time.thread_time()
    for _ in range(repeats):
        work(text, language)
    return (time.thread_time() - start) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", default="55d701b", help="commit to compare with")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        old, new = loaded(exported(options.baseline, Path(folder))), loaded(REPOSITORY)
        print(f"{'text':<16}{'how':<10}{'before':>12}{'now':>12}   characters/s, ratio of times now/before")
        for name, (language, text) in TEXTS.items():
            for how in new:
                pairs: list[tuple[float, float]] = []
                for work in (old[how], new[how]):
                    work(text, language)
                for _ in range(options.rounds):
                    before, now = (cpu_secs(work[how], text, language, options.repeats) for work in (old, new))
                    pairs.append((before, now))
                before, now = (statistics.median(times) for times in zip(*pairs, strict=True))
                ratio = statistics.median(after / earlier for earlier, after in pairs)
                print(f"{name:<16}{how:<10}{len(text) / before:>12,.0f}{len(text) / now:>12,.0f}   {ratio:.2f}")


if __name__ == "__main__":
    main()
