"""The wirings and engines that are measured, each in a process of its own."""

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY

READY_TIMEOUT_SECS = 300.0
ANSWER_TIMEOUT_SECS = 300.0


@dataclass(frozen=True)
class Row:
    """One wiring.

    Attributes:
        name: As the table calls it.
        wiring: stock or sotto.
        whisper: Stock's recognizer: a directory.
        kokoro: Stock's voice: a directory.
        settings: Of sotto, dotted.
        llm_url: The language model that all share.
        llm_model: Its name there.
    """

    name: str
    wiring: str
    whisper: str = ""
    kokoro: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    llm_url: str = ""
    llm_model: str = ""


def make_rows(models: Path, nothing: Path, llm_url: str, llm_model: str) -> Iterator[Row]:
    """Stock first, then sotto with what is installed, with chosen engines, and with what `auto` takes of the models.

    Args:
        models: Holds stt/tiny.en, stt/base, tts/kokoro-int8 and tts/piper-joe.
        nothing: An empty models directory.
        llm_url: An OpenAI-compatible endpoint.
        llm_model: The model's name there.
    """

    def stock(whisper: str) -> Row:
        ears, voice = str(models / "stt" / whisper), str(models / "tts" / "kokoro-int8")
        return Row(
            f"stock: {whisper} + kokoro", "stock", whisper=ears, kokoro=voice, llm_url=llm_url, llm_model=llm_model
        )

    def sotto(whisper: str, engine: str, voice: str) -> Row:
        chosen = {"stt.engine": "whisper", "stt.model": str(models / "stt" / whisper)}
        chosen |= {"tts.engine": engine, "tts.model": str(models / "tts" / voice), "models_dir": str(models)}
        return Row(f"sotto: {whisper} + {engine}", "sotto", settings=chosen, llm_url=llm_url, llm_model=llm_model)

    yield stock("tiny.en")
    yield Row(
        "sotto: as installed", "sotto", settings={"models_dir": str(nothing)}, llm_url=llm_url, llm_model=llm_model
    )
    yield Row(
        "sotto: auto of these", "sotto", settings={"models_dir": str(models)}, llm_url=llm_url, llm_model=llm_model
    )
    yield sotto("tiny.en", "piper", "piper-joe")
    yield sotto("base", "piper", "piper-joe")
    yield sotto("tiny.en", "kokoro", "kokoro-int8")


class Crew:
    """The process of one row.

    Attributes:
        row: What it runs.
        engines: What it took for each stage.
        missing: Why it cannot run; empty if it can.

    Args:
        row: What it runs.
        cache: Where it remembers how fast engines are here: what was measured on another day decides nothing.
    """

    def __init__(self, row: Row, cache: Path) -> None:
        self.row = row
        self.engines: dict[str, str] = {}
        self.missing = ""
        self._cache = cache
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Load the engines."""
        command = [sys.executable, "-m", "tests.bench.real.worker", json.dumps(asdict(self.row))]
        environment = {**os.environ, "XDG_CACHE_HOME": str(self._cache)}
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, cwd=REPOSITORY, env=environment
        )
        reply = await self._reply(READY_TIMEOUT_SECS)
        self.engines = reply.get("ready", {})
        self.missing = "" if self.engines else reply.get("missing", "its process ended")

    async def ask(self, recording: Path, sound: Path) -> dict[str, Any]:
        """Say a recording; what became of it. Empty if the process ended or took too long."""
        if self._process is None or self._process.stdin is None:
            return {}
        self._process.stdin.write(json.dumps({"say": str(recording), "sound": str(sound)}).encode() + b"\n")
        await self._process.stdin.drain()
        return await self._reply(ANSWER_TIMEOUT_SECS)

    async def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        if self._process.stdin:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 20)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def _reply(self, timeout_secs: float) -> dict[str, Any]:
        if self._process is None or self._process.stdout is None:
            return {}
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), timeout_secs)
        except TimeoutError:
            self._process.kill()
            return {}
        return json.loads(line) if line else {}
