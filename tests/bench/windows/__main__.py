"""Word errors of Whisper by the length of the encoder's window, with and without the guard that decodes again.

    SOTTO_TEST_WEIGHTS=DIR uv run python -m tests.bench.windows --model tiny.en --windows 30 10+2 8+2

A window `8+2` is the sound and 2 s more, but never shorter than 8 s; `30` is the full one. Clips: people (where
../shared/audio is there), Kokoro's and Piper's voices, dry, in noise and in rooms; DIR holds stt/MODEL,
tts/kokoro-int8 and tts/piper-joe. Decodings are kept in a file, and a run that was broken off goes on there.

Measured in November 2026 on two busy cores (8 bits; the times are ratios of medians within the run):

| model, clips | window | word errors | with the guard | decoded again | loops, found | time / full |
|---|---|---|---|---|---|---|
| tiny.en, 302 | 30 | 4.13 % | 4.13 % | 0 | 0 | 1 |
| | 10+2 | 4.26 % | 3.92 % | 3.3 % | 2, 2 | 0.25 |
| | 8+2 | 9.20 % | 4.22 % | 7.9 % | 15, 14 | 0.21 |
| | 6+2 | 15.50 % | 4.90 % | 13.9 % | 32, 30 | 0.19 |
| base, 60 | 30 | 3.88 % | 3.88 % | 0 | 0 | 1 |
| | 10+2 | 4.08 % | 3.88 % | 1.7 % | 0 | 0.23 |
"""

import argparse
import json
import os
import random
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from processors.stt.hallucination import Guards
from processors.stt.whisper_decoder import Decoding, WhisperDecoder, sound_secs
from processors.stt.whisper_window import FULL_SECS, Window, is_doubtful, max_tokens
from processors.text.bare_words import bare
from tests.bench.dynamics.measure import edit_distance
from tests.bench.table import median, show
from tests.bench.windows.clips import PEOPLE, Clip, load_clips

# Figures are as right as words.
FIGURES: dict[str, str] = dict(
    zip("1 2 3 4 5 6 7 8 9 10".split(), "one two three four five six seven eight nine ten".split(), strict=True)
)
# More words than these times what is said, and one: the decoder went round in a loop.
LOOP_RATIO = 1.5


@dataclass(frozen=True)
class Measured:
    """One clip in one window."""

    clip: int
    window: str
    secs: float
    decoding: Decoding


def parse_window(text: str) -> Window | None:
    """`8+2` as a window; None for the full one."""
    matched = re.fullmatch(r"(\d+(?:\.\d+)?)\+(\d+(?:\.\d+)?)", text)
    if matched:
        return Window(float(matched[1]), float(matched[2]))
    if float(text) != FULL_SECS:
        raise ValueError(f"not a window: {text}: write 8+2, or 30 for the full one")
    return None


def decode(decoder: WhisperDecoder, clip: Clip, window: Window | None, language: str) -> tuple[float, Decoding]:
    """Decode a clip as the engine would at first; with the seconds that it took."""
    seconds = sound_secs(clip.audio_s16)
    window_secs = min(FULL_SECS, max(window.floor_secs, seconds + window.margin_secs)) if window else FULL_SECS
    started = time.perf_counter()
    decoding = decoder.decode(
        clip.audio_s16,
        window_secs=window_secs,
        language=language,
        max_tokens=max_tokens(seconds) if window else None,
    )
    assert decoding is not None
    return time.perf_counter() - started, decoding


def measure(args: argparse.Namespace, clips: Sequence[Clip]) -> list[Measured]:
    """Decode all clips in all windows, interleaved, and keep each decoding at once."""
    from faster_whisper import WhisperModel

    kept: Path = args.kept
    lines = kept.read_text().splitlines() if kept.is_file() else []
    done = [Measured(line[0], line[1], line[2], Decoding(**line[3])) for line in map(json.loads, lines)]
    known = {(one.clip, one.window) for one in done}
    path = args.weights / "stt" / args.model
    library = WhisperModel(
        str(path), device="cpu", compute_type=args.compute_type, cpu_threads=1, local_files_only=True
    )
    decoder = WhisperDecoder(library)
    order = list(range(len(clips)))
    random.Random(1).shuffle(order)
    with kept.open("a") as file:
        for number in order[: args.clips]:
            for window in args.windows:
                if (number, window) not in known:
                    secs, decoding = decode(decoder, clips[number], parse_window(window), args.language)
                    done.append(Measured(number, window, secs, decoding))
                    file.write(json.dumps([number, window, round(secs, 4), asdict(decoding)]) + "\n")
            file.flush()
    wanted = set(order[: args.clips])
    return [one for one in done if one.clip in wanted and one.window in args.windows]


def report(measured: Sequence[Measured], clips: Sequence[Clip], windows: Sequence[str], title: str) -> None:
    """Print word errors without and with the guard, loops, and time against the full window's."""
    full = {one.clip: one for one in measured if one.window == "30"}
    rows = []
    for window in windows:
        found = [one for one in measured if one.window == window]
        short = window != "30"
        doubted = [short and is_doubtful(one.decoding, Guards()) for one in found]
        kept = [full[one.clip] if again else one for one, again in zip(found, doubted, strict=True)]
        loops = [_loops(one, clips) for one in found]
        ratios = [one.secs / full[one.clip].secs for one in found]
        rows.append(
            (
                window,
                f"{_word_errors(found, clips):.2f} %",
                f"{_word_errors(kept, clips):.2f} %",
                f"{100 * sum(doubted) / len(found):.1f} %",
                f"{sum(loops)}, {sum(loop and again for loop, again in zip(loops, doubted, strict=True))} found",
                f"{sum(_loops(one, clips) for one in kept)}",
                f"{median(ratios):.2f}",
            )
        )
    header = ("window", "word errors", "with the guard", "decoded again", "loops", "left", "time / full")
    show(f"{title}, {len(full)} clips", rows, header)
    for source in sorted({clip.source for clip in clips}):
        parts = []
        for window in windows:
            found = [one for one in measured if one.window == window and clips[one.clip].source == source]
            kept = [full[one.clip] if window != "30" and is_doubtful(one.decoding, Guards()) else one for one in found]
            parts.append(f"{window}: {_word_errors(kept, clips):.2f} %" if kept else f"{window}: -")
        print(f"{source}, with the guard: " + ", ".join(parts))


def _word_errors(found: Sequence[Measured], clips: Sequence[Clip]) -> float:
    """Per cent of the words that are said."""
    wrong = sum(edit_distance(clips[one.clip].words.split(), _heard(one)) for one in found)
    return 100 * wrong / max(1, sum(len(clips[one.clip].words.split()) for one in found))


def _heard(one: Measured) -> list[str]:
    return [FIGURES.get(word, word) for word in bare(one.decoding.text).split()]


def _loops(one: Measured, clips: Sequence[Clip]) -> bool:
    return len(_heard(one)) > LOOP_RATIO * len(clips[one.clip].words.split()) + 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny.en", help="a directory below DIR/stt")
    parser.add_argument("--windows", nargs="+", default=["30", "10+2", "8+2"], help="30 must be one of them")
    parser.add_argument("--clips", type=int, default=None, help="so many of them, drawn by chance; default: all")
    parser.add_argument("--language", default="en")
    parser.add_argument("--compute-type", default="int8")
    parser.add_argument("--weights", type=Path, default=os.environ.get("SOTTO_TEST_WEIGHTS"))
    parser.add_argument("--people", type=Path, default=PEOPLE, help="recordings as in ../shared/audio")
    parser.add_argument("--material", type=Path, default=Path("windows_clips.npz"), help="where the clips are kept")
    parser.add_argument("--kept", type=Path, default=None, help="where decodings are kept")
    args = parser.parse_args()
    if args.weights is None:
        parser.error("no weights: set SOTTO_TEST_WEIGHTS, or --weights DIR")
    args.weights = Path(args.weights)
    args.kept = args.kept or Path(f"windows_{args.model}_{args.compute_type}.jsonl")
    clips = load_clips(args.material, args.weights, args.people)
    report(measure(args, clips), clips, args.windows, f"{args.model}, {args.compute_type}")


if __name__ == "__main__":
    main()
