"""The engine process as it is started: it serves, ends, and is started anew."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import psutil
import pytest

from agent.engines.process.host import RemoteModelHost, connect_model_host
from agent.engines.process.sockets import socket_folder
from agent.engines.process.supervisor import EngineProcess
from agent.settings.load import Settings
from processors.errors import EngineUnavailableError
from processors.stt.calls import RecognizerCalls
from processors.tts.running import speech_chunks
from tests.agent.engines.process.test_remote_engines import FRAME_BYTES, sound
from tests.support.left_over import leaving_nothing
from tests.support.scripted_llm import ScriptedLLM

QUIET = {"tools": {"choice": "off"}, "log_level": "ERROR"}


def settings_for(llm: ScriptedLLM, **more: object) -> Settings:
    """Engines that are quickly there."""
    return Settings.model_validate(
        {
            "stt": {"engine": "pocketsphinx"},
            "tts": {"engine": "espeak"},
            "llm": {"engine": "endpoint", "base_url": llm.base_url, "model": "scripted", "api_key": "s3cret-key"},
            **QUIET,
            **more,
        }
    )


@asynccontextmanager
async def engine_process() -> AsyncIterator[tuple[EngineProcess, RemoteModelHost, list[str]]]:
    troubles: list[str] = []
    async with leaving_nothing(), ScriptedLLM() as llm:
        settings = settings_for(llm)
        with socket_folder() as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
            engines = EngineProcess(settings, folder / "engines", troubles.append)
            await engines.start()
            try:
                remote = await connect_model_host(settings, folder / "engines")
                yield engines, remote, troubles
                await remote.close()
            finally:
                await engines.close()


@pytest.mark.apart
async def test_the_engines_of_a_process_are_killed_in_a_turn_and_in_a_text_and_nothing_is_lost() -> None:
    async with engine_process() as (engines, remote, troubles):
        assert (remote.stt.engine, remote.tts.engine) == ("pocketsphinx", "espeak")
        assert remote.llm_options.api_key == "s3cret-key"
        calls = RecognizerCalls(remote.stt.loaded, remote.stt_threads)
        pcm16 = sound("hello_world.wav")
        half = len(pcm16) // 2 // FRAME_BYTES * FRAME_BYTES
        await calls.accept(pcm16[:half])
        rate_hz = remote.tts.loaded.sample_rate_hz
        words: list[str] = []
        text = "One two three four five six seven eight nine ten."
        async with aclosing(speech_chunks(remote.tts.loaded, text, remote.tts_threads, rate_hz)) as chunks:
            words += [word.text for word in (await anext(chunks)).words]
            killed = engines.pid
            assert killed
            children = psutil.Process(killed).children(recursive=True)
            os.kill(killed, signal.SIGKILL)
            await calls.accept(pcm16[half:])
            words += [word.text async for chunk in chunks for word in chunk.words]
        assert (await calls.pause()).text == "hello world"
        calls.end()
        assert words == text.split()
        assert engines.n_restarts == 1
        assert engines.pid not in (None, killed)
        assert [line.partition(" (")[0] for line in troubles] == ["the engine process ended"]
        # What it had started has ended with it.
        psutil.wait_procs(children, timeout=10)
        assert not any(child.is_running() for child in children)


@pytest.mark.apart
async def test_one_that_hangs_is_killed_and_another_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.engines.process.supervisor.LOOK_SECS", 0.2)
    monkeypatch.setattr("agent.engines.process.supervisor.ANSWER_SECS", 3.0)
    async with engine_process() as (engines, remote, troubles):
        calls = RecognizerCalls(remote.stt.loaded, remote.stt_threads)
        await calls.accept(sound("hello_world.wav"))
        assert engines.pid
        os.kill(engines.pid, signal.SIGSTOP)
        assert (await calls.pause()).text == "hello world"
        calls.end()
        assert engines.n_restarts >= 1
        assert troubles[0] == "the engine process does not answer and is killed"


@pytest.mark.apart
async def test_engines_that_cannot_be_had_are_named_as_in_one_process(tmp_path: Path) -> None:
    async with leaving_nothing(), ScriptedLLM() as llm:
        settings = settings_for(llm, stt={"engine": "nemotron"}, models_dir=str(tmp_path))
        with socket_folder() as folder:
            engines = EngineProcess(settings, folder / "engines")
            with pytest.raises(
                EngineUnavailableError, match=r"^stt\.engine = nemotron: no model for .*sotto models pull"
            ):
                await engines.start()
            assert engines.pid is None


async def test_a_socket_whose_path_is_too_long_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    with pytest.raises(EngineUnavailableError, match=r"^the path of a socket is too long: .*: set TMPDIR=/tmp$"):
        await EngineProcess(Settings(), path).start()


async def test_nobody_at_home_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.engines.process.host.READY_SECS", 0.0)
    with pytest.raises(
        EngineUnavailableError, match=r"^the engine process does not listen at .*: restart sotto serve$"
    ):
        await asyncio.wait_for(connect_model_host(Settings(), tmp_path / "nobody"), 20)


def test_the_folder_of_a_program_that_was_killed_is_gone_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("agent.engines.process.sockets.MAX_ADDRESS_BYTES", 1000)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name in (f"sotto-engines-{ended.pid}-left", f"sotto-engines-{os.getppid()}-alive", "sotto-engines-of-another"):
        (tmp_path / name).mkdir()
    with socket_folder() as folder:
        assert sorted(one.name for one in tmp_path.iterdir()) == sorted(
            [folder.name, f"sotto-engines-{os.getppid()}-alive", "sotto-engines-of-another"]
        )
    assert not folder.exists()
