"""A child that hangs or dies is replaced within one turn, the turn is asked again, and the error is told once."""

import os
import signal
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from pipecat.frames.frames import ErrorFrame

from agent.conversation.typed_question import write_answer
from agent.engines.embedded_llm import ContextSize, EmbeddedLLM, bundled_gguf, smollm2_options
from processors.errors import MendedError
from processors.llm import keeper
from processors.llm.options import LLMOptions
from processors.llm.service import LocalLLMService
from processors.stt.pocketsphinx import PocketSphinxEngine
from tests.conftest import REPOSITORY
from tests.support.llm_session import APOLOGY, apologies, options, question, session, text_of
from tests.support.scripted_llm import Answer, Drop, Hang, Reply, ScriptedLLM

STORY = REPOSITORY / "tests" / "fixtures" / "speech" / "tell_me_a_story.wav"

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")


def pcm16_of(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        return file.readframes(file.getnframes())


@pytest.mark.group("bundled")
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_fault_the_embedded_models_process_hangs_or_dies_and_the_turn_is_answered_by_another(number: int) -> None:
    gguf = bundled_gguf()
    assert gguf is not None
    server = EmbeddedLLM.start(gguf, context=ContextSize(1, 512), threads=1)
    first_pid = server.pid
    asked = replace(smollm2_options(server.base_url, server.api_key, server.model), keeper=server)
    try:
        assert first_pid is not None
        async with session(LocalLLMService(asked)) as running:
            os.kill(first_pid, number)
            await running.send(*_ask())
            frames, errors = await _settled(running)
            assert text_of(frames).strip()
            assert apologies(frames) == []
            assert [type(error.exception) for error in errors] == [MendedError]
            frames, errors = await running.ask(question("hello"))
            assert text_of(frames).strip()
            assert errors == []
        assert server.pid not in (None, first_pid)
        assert not psutil.pid_exists(first_pid)
        # What is mended is no failure of a typed question.
        os.kill(server.pid or 0, number)
        assert "".join([piece async for piece in write_answer(asked, question("hello"))]).strip()
    finally:
        server.close()


def _ask() -> list[Any]:
    from pipecat.frames.frames import LLMContextFrame

    return [LLMContextFrame(question("hello"))]


async def _settled(running: Any) -> tuple[list[Any], list[ErrorFrame]]:
    """A model's process takes longer to come back than `settle` waits."""
    import tests.support.llm_session as at

    wait_secs, at.WAIT_SECS = at.WAIT_SECS, 60
    try:
        return await running.settle()
    finally:
        at.WAIT_SECS = wait_secs


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_fault_pocketsphinxs_process_hangs_or_dies_and_nothing_is_lost(number: int) -> None:
    engine = PocketSphinxEngine()
    try:
        recognizer = engine.recognizer()
        story = pcm16_of(STORY)
        half = len(story) // 4 * 2
        recognizer.accept(story[:half])
        assert recognizer.take_trouble() is None
        pid = engine.pid
        os.kill(pid or 0, number)
        recognizer.accept(story[half:])
        assert "pocketsphinx: the decoding process failed and was restarted" in (recognizer.take_trouble() or "")
        assert recognizer.finish().text == "tell me a story"
        assert recognizer.take_trouble() is None
        assert pid is not None
        assert not psutil.pid_exists(pid)
    finally:
        engine.close()


def test_fault_a_stopped_process_that_reads_nothing_keeps_no_writer_waiting() -> None:
    engine = PocketSphinxEngine()
    try:
        os.kill(engine.pid or 0, signal.SIGSTOP)
        # Twice what a pipe holds: four seconds of sound.
        recognizer = engine.recognizer()
        recognizer.accept(bytes(1 << 17))
        assert "it hung" in (recognizer.take_trouble() or "")
    finally:
        engine.close()


class ScriptedKeeper:
    """A server that is back at once, or never."""

    def __init__(self, *, back: bool, hung: bool) -> None:
        self._back, self._hung = back, hung
        self.asked: list[str] = []

    def kill_if_hung(self) -> bool:
        self.asked.append("kill")
        return self._hung

    def wait_until_back(self) -> bool:
        self.asked.append("wait")
        return self._back


async def _answer(first: Answer, kept: ScriptedKeeper, **changes: Any) -> tuple[str, list[str], list[ErrorFrame]]:
    async with ScriptedLLM(first, Reply("Here.")) as server:
        asked: LLMOptions = options(server, keeper=kept, **changes)
        async with session(LocalLLMService(asked)) as running:
            frames, errors = await running.ask(question())
    return text_of(frames), apologies(frames), errors


@pytest.mark.parametrize("first", [Drop(), Hang(), Reply("One", drop_after=0), Reply("One", stall_after=0)])
async def test_fault_of_our_own_server_before_a_word_asks_the_turn_again(first: Answer) -> None:
    said, apologised, errors = await _answer(first, ScriptedKeeper(back=True, hung=True), first_token_timeout_secs=0.2)
    assert (said, apologised) == ("Here.", [])
    assert [type(error.exception) for error in errors] == [MendedError]


async def test_fault_of_our_own_server_behind_a_word_is_apologised_for() -> None:
    said, apologised, errors = await _answer(Reply("One", " two", drop_after=1), ScriptedKeeper(back=True, hung=True))
    assert (said, len(apologised), len(errors)) == ("One", 1, 1)
    assert not isinstance(errors[0].exception, MendedError)


async def test_fault_of_our_own_server_that_never_comes_back_is_apologised_for() -> None:
    kept = ScriptedKeeper(back=False, hung=False)
    said, apologised, errors = await _answer(Drop(), kept)
    assert (said, apologised, len(errors), kept.asked) == ("", [APOLOGY], 1, ["wait"])


async def test_fault_a_server_that_is_only_slow_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "SILENCE_SECS", 0.05)
    kept = ScriptedKeeper(back=True, hung=False)
    said, apologised, errors = await _answer(Reply("Slow.", first_delay_secs=0.4), kept)
    assert (said, apologised, errors) == ("Slow.", [], [])
    assert "wait" not in kept.asked
    assert kept.asked
