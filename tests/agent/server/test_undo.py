"""Taking an act back over a call: the caller whose agent did it can, once; no other caller can."""

import json
from pathlib import Path

from agent.conversation.histories import Histories
from agent.server.calls.sessions import LiveSessions
from agent.settings.load import load_settings
from tests.support.house import hosting
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time
from tests.support.websocket_caller import calling, serving_sessions

CREATE = ToolCall("create_file", (json.dumps({"name": "notes dot text", "text": "buy milk"}),), "call_1")


def files(path: Path) -> dict[str, str]:
    return {one.name: one.read_text("utf-8") for one in path.iterdir() if one.is_file()}


@in_virtual_time
async def test_an_act_is_taken_back_by_its_own_caller_and_by_no_other(tmp_path: Path) -> None:
    settings = load_settings({"server.max_sessions": 2, "tools.folder": str(tmp_path / "F")})
    script = [Reply(tool_calls=[CREATE]), Reply("Done."), Reply("Hello.")]
    async with (
        ScriptedLLM(*script) as llm,
        hosting(ScriptedRecognizerEngine(), options(llm), ScriptedSynthesizer()) as host,
    ):
        sessions = LiveSessions(host, settings, Histories())
        async with serving_sessions(sessions) as url, calling(url) as mine, calling(url) as other:
            await mine.join()
            await other.join()
            await mine.tell({"type": "text", "text": "note that", "spoken": False})
            offered = await mine.until_event("tool_undo")
            await mine.until_event("llm_done")
            assert files(tmp_path / "F") == {"notes.txt": "buy milk\n"}
            undo = {"type": "undo", "undo": offered["undo"]}
            await other.tell(undo)
            await other.tell({"type": "text", "text": "hello", "spoken": False})
            await other.until_event("llm_done")
            assert other.named("tool_undo") == []
            assert files(tmp_path / "F") == {"notes.txt": "buy milk\n"}
            for _ in range(2):
                await mine.tell(undo)
            told = await mine.until_event("tool_undo", count=2)
            assert (told["state"], told["undo"], told["id"]) == ("done", offered["undo"], "call_1")
            assert files(tmp_path / "F") == {}
            await mine.tell({"type": "text", "text": "is it there", "spoken": False})
            await mine.until_event("llm_done", count=2)
            assert len(mine.named("tool_undo")) == 2
            sent = llm.requests[-1].messages
            assert [json.loads(one["content"]) for one in sent if one["role"] == "tool"] == [
                {"undone": "the user took this back; it is as it was before"}
            ]
            await sessions.close()
