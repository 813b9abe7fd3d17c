"""A note that is dictated to a fresh install: what the bundled ears hear of it makes one file, without a model."""

from pathlib import Path

import pytest

from agent.commands.script import load_script
from agent.engines.candidates import choose
from agent.engines.stt import stt_candidates
from agent.settings.load import Settings
from processors.text.bare_words import bare
from tests.agent.tools.test_files_in_conversation import contents
from tests.support.house import FIXTURES, hold, hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import ScriptedLLM
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

SAID = FIXTURES / "said"
HEARD = "Create a file named notes.txt saying buy milk."


@pytest.mark.group("ears")
def test_the_bundled_ears_write_the_recording_down_word_for_word(tmp_path: Path) -> None:
    settings = Settings.model_validate({"models_dir": tmp_path, "stt": {"engine": "whisper"}})
    ears = choose("stt", "whisper", stt_candidates(settings)).loaded
    try:
        recognizer = ears.recognizer()
        recognizer.accept(load_recording(SAID / "note.wav").audio_s16.tobytes())
        assert bare(recognizer.finish().text) == bare(HEARD)
    finally:
        ears.close()


@in_virtual_time
async def test_its_conversation_makes_the_file_once(tmp_path: Path) -> None:
    script = load_script([SAID / "note.yaml"])
    async with (
        ScriptedLLM() as server,
        hosting(ScriptedRecognizerEngine(HEARD), options(server), ScriptedSynthesizer()) as host,
    ):
        settings = Settings.model_validate({"tools": {"folder": tmp_path}})
        held = await hold(host, script.steps, settings=settings, reflexes=True)
    assert contents(tmp_path) == {"notes.txt": "buy milk\n"}
    assert [event["name"] for event in held.named("tool_call")] == ["create_file"]
    assert (held.texts("bot_word"), server.requests) == (["Done."], [])
