"""Starts the real `sotto serve` for a test, in a process of its own, and ends that process.

`serving_engine` serves the speech API within the test's own process instead, on an engine that the test scripts;
`serving_page` serves everything so.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from agent.engines.candidates import Choice
from agent.engines.host import FILE_THREADS, MindlessHost
from agent.server.app import build_app
from agent.server.calls.sessions import LiveSessions
from agent.server.calls.webrtc import WebSessions
from agent.server.calls.websocket import UVICORN_OPTIONS
from agent.server.http_server import HttpServer
from agent.server.metering import Metering
from agent.server.speech.jobs import SpeechHost, TranscriptionJobs
from agent.server.state import Loaded, ServerState
from agent.server.wire.upload_budget import MEGABYTE
from agent.settings.load import Settings, load_settings
from processors.engine_threads import EngineThreads, Standby
from processors.llm.options import LLMOptions
from processors.stt.recognizer import RecognizerEngine
from processors.tts.synthesizer import Synthesizer
from tests.support.house import hosting
from tests.support.scripted_engines import ScriptedSynthesizer

START_TIMEOUT_SECS = 60
_READY = re.compile(r"ready: (https?://[\d.]+:\d+)")


class Served:
    """A running server.

    Attributes:
        url: Its address.
        process: Its process.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self.url = ""
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_until_ready(self) -> None:
        """Wait for the line that names the address."""
        assert self._ready.wait(START_TIMEOUT_SECS), "".join(self.lines)
        assert self.url, "".join(self.lines)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(20)

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.lines.append(line)
                match = _READY.search(line)
                if match:
                    self.url = match.group(1)
                    self._ready.set()
        self._ready.set()

    def close(self) -> None:
        """End the process for good."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()


@contextmanager
def serving(tmp_path: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Served]:
    """Serve on a free port with the bundled engines.

    Args:
        tmp_path: Working directory, so that no configuration of the user is read.
        arguments: Further arguments of `sotto serve`.
        environment: Further variables of its process.
    """
    command = [sys.executable, "-m", "agent.cli", "serve", "--port", "0", "--llm", "embedded", *arguments]
    own = {
        "XDG_CONFIG_HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path),
        "SOTTO_MODELS_DIR": str(tmp_path / "models"),
    }
    variables = {**os.environ, **own, **(environment or {})}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=variables)
    served = Served(process)
    try:
        served.wait_until_ready()
        yield served
    finally:
        served.close()


@dataclass
class ServedEngine:
    """The speech API on a scripted engine.

    Attributes:
        url: Its address.
        jobs: What is under way.
        state: What the routes look at.
    """

    url: str
    jobs: TranscriptionJobs
    state: ServerState


@asynccontextmanager
async def serving_engine(
    engine: RecognizerEngine,
    *,
    standby: Standby[RecognizerEngine] | None = None,
    voice: Synthesizer | None = None,
    **limits: Any,
) -> AsyncIterator[ServedEngine]:
    """Serve the speech API alone, in this process, by the real HTTP server.

    Args:
        engine: Transcribes.
        standby: Takes over where it does not come back.
        voice: Speaks; left out, there is none.
        limits: Settings of the section `server`.
    """
    state = ServerState(_limited(limits), api_only=True)
    host = MindlessHost(Choice("stt", engine.name, engine.model, engine), EngineThreads(FILE_THREADS, "files"), standby)
    if voice:
        host.tts, host.tts_threads = Choice("tts", voice.name, voice.model, voice), EngineThreads(1, "tts")
    jobs = jobs_of(host, state.settings)
    state.loaded = Loaded(host, jobs, None)
    try:
        async with listening(state) as url:
            yield ServedEngine(url, jobs, state)
    finally:
        await jobs.close(timeout_secs=5)
        await host.close()


@asynccontextmanager
async def serving_page(
    engine: RecognizerEngine,
    options: LLMOptions,
    voice: Synthesizer | None = None,
    settings: Mapping[str, Any] | None = None,
    **limits: Any,
) -> AsyncIterator[ServedEngine]:
    """Serve everything, in this process, by the real HTTP server.

    Args:
        engine: Transcribes.
        options: The language model.
        voice: Speaks; a new scripted one if left out.
        settings: Further settings, by dotted keys.
        limits: Settings of the section `server`.
    """
    async with hosting(engine, options, voice or ScriptedSynthesizer()) as host:
        state = ServerState(_limited(limits, settings))
        jobs = jobs_of(host, state.settings)
        sessions = LiveSessions(host, state.settings, state.histories, state.metered())
        peers = WebSessions(sessions)
        state.loaded = Loaded(host, jobs, sessions, peers)
        metering = Metering(state)
        metering.start()
        try:
            async with listening(state) as url:
                yield ServedEngine(url, jobs, state)
        finally:
            metering.close()
            await sessions.close()
            await peers.close()
            await jobs.close(timeout_secs=5)


@asynccontextmanager
async def listening(state: ServerState, app: FastAPI | None = None) -> AsyncIterator[str]:
    """The real HTTP server around an application; its address."""
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    served = app or build_app(state)
    config = uvicorn.Config(served, log_level="warning", timeout_graceful_shutdown=1, **UVICORN_OPTIONS)
    server = HttpServer(config)
    task = asyncio.create_task(server.serve([bound]))
    try:
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        bound.close()


def _limited(limits: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> Settings:
    return load_settings({**{f"server.{key}": value for key, value in limits.items()}, **(more or {})})


def jobs_of(host: SpeechHost, settings: Settings) -> TranscriptionJobs:
    """What transcribes on a host, within the limits of these settings."""
    server = settings.server
    return TranscriptionJobs(
        host,
        max_jobs=server.max_transcriptions,
        max_audio_secs=server.max_audio_secs,
        upload_memory_bytes=int(max(server.upload_memory_mb, server.max_upload_mb) * MEGABYTE),
    )
