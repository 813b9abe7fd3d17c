"""Engines that conversations of several processes wish for: loaded once, held while one of them uses them."""

import asyncio
import gc
from typing import Any

import pytest

from agent.engines.candidates import Candidate
from agent.engines.process.host import connect_model_host
from agent.engines.process.session import engines_for
from agent.engines.process.sockets import socket_folder
from agent.settings.session import session_settings
from processors.errors import EngineUnavailableError
from tests.agent.engines.process.test_engine_process_ends import SETTINGS
from tests.agent.engines.process.test_remote_engines import said
from tests.support.engines_elsewhere import PATIENCE_SECS, POLL_SECS, serving_engines
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM


class Kokoro(ScriptedSynthesizer):
    name = "kokoro"

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


async def test_two_processes_share_an_engine_that_both_wish_for_until_neither_uses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[Kokoro] = []

    def load() -> Any:
        loaded.append(Kokoro())
        return loaded[-1]

    offered = [Candidate("kokoro", "tone", load, measurable=False)]
    monkeypatch.setattr("agent.engines.session.tts_candidates", lambda _: offered)
    wish = session_settings(SETTINGS, {"tts.engine": "kokoro", "llm.system_prompt": "You are Ann."})
    async with (
        ScriptedLLM() as llm,
        hosting(ScriptedRecognizerEngine(), options(llm), ScriptedSynthesizer()) as host,
    ):
        with socket_folder() as folder:
            path = folder / "engines"
            async with serving_engines(path, host, SETTINGS):
                remotes = [await connect_model_host(SETTINGS, path) for _ in range(2)]
                engines = [engines_for(remote, SETTINGS) for remote in remotes]
                found = [await one.host_for(wish) for one in engines]
                assert [len(loaded), *(one.tts.engine for one in found)] == [1, "kokoro", "kokoro"]
                assert [one.llm_options.system_prompt for one in found] == ["You are Ann."] * 2
                assert host.llm_options.system_prompt != "You are Ann."
                assert found[0].stt is remotes[0].stt
                assert list(await asyncio.to_thread(engines[0].voices)) == ["scripted", "kokoro"]
                voice = engines[0].voice_of("kokoro")
                assert voice
                assert voice[0] is found[0].tts
                await said(found[1], "hello")
                assert loaded[0].spoken == ["hello"]
                # One of them has no use for it any more, and what the other one uses stays.
                del voice, found[0]
                gc.collect()
                await engines[0].let_go(lambda choice: choice.engine == "kokoro")
                await said(found[0], "again")
                assert not loaded[0].is_closed
                found.clear()
                async with asyncio.timeout(PATIENCE_SECS):
                    while not loaded[0].is_closed:
                        # What still used it at one look, a thread at its end say, leaves its circle for the next.
                        gc.collect()
                        await engines[0].let_go(lambda choice: choice.engine == "kokoro")
                        await asyncio.sleep(POLL_SECS)
                for remote in remotes:
                    await remote.close()


async def test_a_wish_that_cannot_be_had_is_refused_as_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> Any:
        raise EngineUnavailableError("no model is installed", "sotto models pull kokoro")

    offered = [Candidate("kokoro", None, load, "no model is installed", "sotto models pull kokoro")]
    monkeypatch.setattr("agent.engines.session.tts_candidates", lambda _: offered)
    async with (
        ScriptedLLM() as llm,
        hosting(ScriptedRecognizerEngine(), options(llm), ScriptedSynthesizer()) as host,
    ):
        with socket_folder() as folder:
            async with serving_engines(folder / "engines", host, SETTINGS):
                remote = await connect_model_host(SETTINGS, folder / "engines")
                engines = engines_for(remote, SETTINGS)
                with pytest.raises(EngineUnavailableError) as refused:
                    await engines.host_for(session_settings(SETTINGS, {"tts.engine": "kokoro"}))
                assert (refused.value.reason, refused.value.mend) == (
                    "tts.engine = kokoro: no model is installed",
                    "sotto models pull kokoro",
                )
                offers = await engines.offers()
                assert {one["engine"]: one["usable"] for one in offers["tts"]} == {"kokoro": False}
                await remote.close()
