"""`sotto say TEXT`: a text in, its sound out, by the voice that conversations have.

In:  a text, on the command line or from standard input.   Out: the loudspeaker; a file; standard output.
"""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from agent.engines.candidates import choose
from agent.engines.speaking import FASTEST, RATE_HZ, SLOWEST, Speaking, Wish
from agent.engines.tts import tts_candidates
from agent.errors import InputError
from agent.plain_text import plain_text
from agent.settings.load import Settings
from processors.engine_threads import EngineThreads
from transports.desktop_devices import DeviceError
from transports.sound_encoder import SOUND_KINDS, SoundEncoder, SoundKind, complete_wav

SUFFIXES: dict[str, SoundKind] = {
    **{f".{kind}": kind for kind in SOUND_KINDS},
    ".ogg": "opus",
    ".oga": "opus",
    ".raw": "pcm",
}
STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True)
class Target:
    """Where the sound goes.

    Attributes:
        path: A file; `-`: standard output; None: the loudspeaker.
        kind: As what.
    """

    path: Path | None
    kind: SoundKind


def run_say(
    words: list[str],
    settings: Settings,
    *,
    out: Path | None,
    kind: str | None,
    voice: str | None,
    language: str | None,
    speed: float,
) -> None:
    """The command.

    Raises:
        InputError: There is no text, or an option is no use.
        EngineError: No voice is usable, or it failed; no file is left.
        DeviceError: There is no loudspeaker.
    """
    wish = Wish(voice, language, speed)
    if not SLOWEST <= speed <= FASTEST:
        raise InputError(f"--speed {speed:g}: from {SLOWEST:g} to {FASTEST:g}")
    target = target_of(out, kind)
    text = _text(words)
    with _loaded_voice(settings) as speaking:
        if target.path is None:
            asyncio.run(_play(speaking, text, wish))
        elif target.path == STANDARD_OUTPUT:
            asyncio.run(_write(speaking, text, wish, target.kind, _standard_output))
        else:
            asyncio.run(_write_file(speaking, text, wish, target.path, target.kind))


def target_of(out: Path | None, kind: str | None) -> Target:
    """Where a sound goes, and as what.

    Args:
        out: As it was named.
        kind: The same; None: as the file's ending says.

    Raises:
        InputError: Nobody knows such a kind, or the folder is not there.
    """
    if kind is not None and kind not in SOUND_KINDS:
        raise InputError(f"--format {kind}: expected one of {', '.join(SOUND_KINDS)}")
    named: Any = kind
    if out is None:
        if kind is not None:
            raise InputError("--format belongs to --out FILE")
        return Target(None, "pcm")
    if out == STANDARD_OUTPUT:
        return Target(out, named or "wav")
    if not out.parent.is_dir() or out.is_dir():
        raise InputError(f"--out {out}: {'it is a folder' if out.is_dir() else f'there is no folder {out.parent}'}")
    if named is None and out.suffix.lower() not in SUFFIXES:
        raise InputError(f"--out {out}: expected a name that ends in one of {', '.join(SUFFIXES)}, or --format")
    return Target(out, named or SUFFIXES[out.suffix.lower()])


def _text(words: list[str]) -> str:
    if words and words != ["-"]:
        text = " ".join(words)
    elif sys.stdin.isatty():
        raise InputError('nothing to say: sotto say "Hello.", or a text on standard input')
    else:
        text = sys.stdin.buffer.read().decode("utf-8", "replace")
    if not (text := plain_text(text)).strip():
        raise InputError("nothing to say: the text is empty")
    return text


@contextmanager
def _loaded_voice(settings: Settings) -> Iterator[Speaking]:
    choice = choose("tts", settings.tts.engine, tts_candidates(settings))
    choice.log_passed_over()
    threads: Executor = EngineThreads(choice.loaded.max_threads, "tts")
    try:
        yield Speaking(choice.loaded, threads, settings.tts)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        choice.loaded.close()


def _standard_output(encoded: bytes) -> None:
    sys.stdout.buffer.write(encoded)
    sys.stdout.buffer.flush()


async def _write(speaking: Speaking, text: str, wish: Wish, kind: SoundKind, put: Callable[[bytes], object]) -> None:
    encoder = SoundEncoder(kind, RATE_HZ)
    async with aclosing(speaking.speak(text, wish)) as sounds:
        async for pcm16 in sounds:
            put(encoder.encode(pcm16))
    put(encoder.finish())


async def _write_file(speaking: Speaking, text: str, wish: Wish, path: Path, kind: SoundKind) -> None:
    """Beside the file first, so that what is there already is replaced by a whole sound or stays."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("xb") as file:
            await _write(speaking, text, wish, kind, file.write)
            if kind == "wav":
                _complete(file)
        beside.replace(path)
    except OSError as error:
        raise InputError(f"--out {path} cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def _complete(file: BinaryIO) -> None:
    for at, data in complete_wav(file.tell()):
        file.seek(at)
        file.write(data)


async def _play(speaking: Speaking, text: str, wish: Wish) -> None:
    from agent.commands.device_check import libraries_silenced
    from transports.desktop_devices import load_sounddevice

    sounddevice = load_sounddevice()
    try:
        with libraries_silenced():
            stream = sounddevice.RawOutputStream(RATE_HZ, dtype="int16", channels=1)
            stream.start()
    except sounddevice.PortAudioError as error:
        raise DeviceError(f"there is no loudspeaker ({error}): sotto say TEXT --out FILE writes a file") from error
    with stream:
        async with aclosing(speaking.speak(text, wish)) as sounds:
            await _play_all(stream, sounds)


async def _play_all(stream: Any, sounds: AsyncGenerator[bytes, None]) -> None:
    async for pcm16 in sounds:
        await asyncio.to_thread(stream.write, pcm16)
    # What has been handed over is played to its end.
    await asyncio.to_thread(stream.stop)
