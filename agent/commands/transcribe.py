"""`sotto transcribe FILE...`: recordings in, text or subtitles out, with the ears that conversations use.

In:  sound files.   Out: text, SubRip, WebVTT or JSON on standard output or as files; progress on standard error.
"""

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loguru import logger
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from agent.commands.live_transcript import transcribe_live
from agent.commands.printer import PipeConsole
from agent.early_signals import raising_on_signals
from agent.engines.candidates import choose
from agent.engines.stt import stt_candidates
from agent.errors import InputError
from agent.settings.load import Settings
from agent.transcripts import FORMATS, Format, Transcription, written
from processors.stt.recognizer import SAMPLE_RATE_HZ, Pcm16, RecognizerEngine, Segment, TranscriptionRequest
from transports.errors import RecordingError
from transports.sound_file import decode_channels, decode_sound

# Shorter recordings are done before a bar could be read.
BAR_MIN_SECS = 20.0
SUFFIXES = {"text": ".txt", "srt": ".srt", "vtt": ".vtt", "json": ".json", "verbose_json": ".json"}
# Formats of which several fit into one stream.
JOINABLE = ("text", "json", "verbose_json")


@dataclass(frozen=True)
class Output:
    """Where the text goes.

    Attributes:
        kind: One of FORMATS.
        directory: One file for each recording in there; None for standard output.
        split: Whether the sides of a recording of two channels are transcribed on their own.
    """

    kind: Format
    directory: Path | None = None
    split: bool = False


def run_transcribe(
    files: Sequence[Path], settings: Settings, *, kind: str, out: Path | None, live: bool, channels: str = "mix"
) -> None:
    """The command.

    Raises:
        InputError: A file or an option is no use.
        EngineError: The engine is not usable, or it failed.
    """
    if kind not in FORMATS:
        raise InputError(f"--format {kind}: expected one of {', '.join(FORMATS)}")
    if channels not in ("mix", "split"):
        raise InputError(f"--channels {channels}: expected mix or split")
    if live and channels == "split":
        raise InputError("--live hears one channel: leave out --channels split")
    output = Output(kind, out, split=channels == "split")
    check(files, output)
    if live:
        if kind != "text" or out:
            raise InputError("--live shows text as it comes: leave out --format and --out")
        asyncio.run(_hear_live(files, settings))
        return
    transcribe_files(files, settings, output, Console(stderr=True))


async def _hear_live(files: Sequence[Path], settings: Settings) -> None:
    sounds = [(path, _decoded(path, settings)) for path in files]
    console = PipeConsole()
    with loaded_ears(settings) as engine, raising_on_signals():
        for path, audio_s16 in sounds:
            if len(files) > 1:
                console.print(f"{path}:", soft_wrap=True, markup=False, highlight=False)
            await transcribe_live(engine, audio_s16, settings, console)


def _decoded(path: Path, settings: Settings) -> Pcm16:
    try:
        return decode_sound(path, max_secs=settings.server.max_audio_secs)
    except RecordingError as error:
        raise InputError(str(error)) from error


def _sides(path: Path, settings: Settings, *, split: bool) -> dict[str, Pcm16]:
    """The sound by the name of its side; one without a name where there is but one."""
    if not split:
        return {"": _decoded(path, settings)}
    try:
        sides = decode_channels(path, max_secs=settings.server.max_audio_secs)
    except RecordingError as error:
        raise InputError(str(error)) from error
    return dict(zip(("left", "right"), sides, strict=True)) if len(sides) == 2 else {"": sides[0]}


def check(files: Sequence[Path], output: Output) -> None:
    """Find what is wrong before anything is loaded.

    Raises:
        InputError: A file is missing, or the outputs cannot be told apart.
    """
    for path in files:
        if not path.is_file():
            raise InputError(f"recording not found: {path}")
    if output.directory is None:
        if len(files) > 1 and output.kind not in JOINABLE:
            raise InputError(f"several files as {output.kind} do not fit into one: --out DIR writes one for each")
        return
    names = [_target(path, output).name for path in files]
    if len(set(names)) < len(names):
        raise InputError("two of the recordings would be written to one file: transcribe them one by one")
    try:
        output.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {output.directory} cannot be made: {error.strerror}") from error


def transcribe_files(files: Sequence[Path], settings: Settings, output: Output, console: Console) -> None:
    """Transcribe recordings, one after the other.

    Args:
        files: The recordings.
        settings: Which engine, language and task.
        output: Where the text goes.
        console: For the progress bar.

    Raises:
        InputError: A text cannot be written; or a recording could not be read, after the others are done.
        EngineError: The engine is not usable, or it failed.
    """
    failed: InputError | None = None
    with loaded_ears(settings) as engine, raising_on_signals():
        for path in files:
            try:
                sides = _sides(path, settings, split=output.split)
            except InputError as error:
                if failed:
                    logger.error(str(failed))
                failed = error
                continue
            segments = [
                dataclasses.replace(segment, side=side or None)
                for side, audio_s16 in sides.items()
                for segment in _with_bar(engine, audio_s16, path, settings, console)
            ]
            segments.sort(key=lambda segment: segment.start_secs)
            duration_secs = max(map(len, sides.values())) / SAMPLE_RATE_HZ
            known = None if settings.stt.language == "auto" else settings.stt.language
            transcription = Transcription(segments, duration_secs, settings.stt.task, known)
            _put(path, written(transcription, output.kind), output, several=len(files) > 1)
    if failed:
        raise failed


@contextmanager
def loaded_ears(settings: Settings) -> Iterator[RecognizerEngine]:
    """The chosen recognizer, loaded; closed at the end.

    Raises:
        EngineUnavailableError: None is usable.
    """
    choice = choose("stt", settings.stt.engine, stt_candidates(settings))
    choice.log_passed_over()
    logger.debug(f"stt: {choice.engine} with {choice.model}")
    try:
        yield choice.loaded
    finally:
        choice.loaded.close()


def _with_bar(
    engine: RecognizerEngine, audio_s16: Pcm16, path: Path, settings: Settings, console: Console
) -> Iterator[Segment]:
    duration_secs = len(audio_s16) / SAMPLE_RATE_HZ
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    hidden = duration_secs < BAR_MIN_SECS or not console.is_terminal
    request = TranscriptionRequest(task=settings.stt.task)
    with Progress(*columns, console=console, disable=hidden, transient=True) as bar:
        task = bar.add_task(path.name, total=duration_secs)
        for segment in engine.transcribe(audio_s16, request):
            bar.update(task, completed=segment.end_secs)
            yield segment


def _target(path: Path, output: Output) -> Path:
    return (output.directory or Path()) / f"{path.stem}{SUFFIXES[output.kind]}"


def _put(path: Path, text: str, output: Output, *, several: bool) -> None:
    if not text.endswith("\n"):
        text += "\n"
    if output.directory is None:
        _print(_named(path, text, output.kind) if several else text)
        return
    target = _target(path, output)
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror}") from error


def _named(path: Path, text: str, kind: Format) -> str:
    """One of several texts, with its recording."""
    if kind == "text":
        return f"{path}:\n{text}"
    return json.dumps({"file": str(path), **json.loads(text)}, ensure_ascii=False) + "\n"


def _print(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # What is left in the buffer would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise InputError(f"standard output cannot be written: {error.strerror}") from error
