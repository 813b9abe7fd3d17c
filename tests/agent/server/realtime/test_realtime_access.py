"""Who may open a Realtime session: keys, subprotocols, short-lived secrets, other sites' pages."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI
from openai.types.realtime import ClientSecretCreateResponse
from starlette.applications import Starlette
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from agent.memory.memory import YOURS
from agent.server.calls.sessions import LiveSessions
from agent.server.guard.client_secrets import MAX_CHARS, MAX_SECRETS, ClientSecrets
from agent.server.realtime.route import realtime_routes
from agent.server.realtime.session_config import MAX_SESSION_CHARS, SessionConfig, asked_for, changed
from agent.server.wire.slots import Places, Slots
from tests.agent.server.realtime.stage import TRANSCRIBED, Stage, staged
from tests.agent.server.realtime.test_realtime_conversations import LONG_REPLY, QUESTION, STOP, WEATHER, weather_call
from tests.support.house import SPEECH
from tests.support.realtime_caller import SERVER_EVENTS, calling_realtime
from tests.support.virtual_time import in_virtual_time
from transports.json_text import read_json
from transports.recording import load_recording

TOKEN = "a-token-of-the-tests"
SECRETS = "/realtime/client_secrets"


async def first_event(url: str, *, headers: Mapping[str, str] | None = None, protocols: Any = None) -> dict[str, Any]:
    """What a bare WebSocket client is sent first."""
    address = url.replace("http", "ws", 1) + "/realtime?model=any"
    async with connect(address, additional_headers=headers, subprotocols=protocols, ping_interval=None) as line:
        event = read_json(await line.recv())
        SERVER_EVENTS.validate_python(event)
        return {**event, "protocol": line.subprotocol}


async def status_of(url: str, **options: Any) -> int:
    """How a bare WebSocket client is refused."""
    with pytest.raises(InvalidStatus) as refused:
        await first_event(url, **options)
    return refused.value.response.status_code


@asynccontextmanager
async def asking(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stage.url, timeout=60, trust_env=False) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@in_virtual_time
async def test_a_session_wants_the_token_as_bearer_or_as_a_browsers_subprotocol() -> None:
    async with staged(**{"server.token": TOKEN}) as stage:
        url = stage.url
        assert await status_of(url) == 401
        assert await status_of(url, headers=bearer("wrong")) == 401
        assert await status_of(url, protocols=["realtime", "openai-insecure-api-key.wrong"]) == 401
        assert await status_of(url, headers={**bearer(TOKEN), "Origin": "https://elsewhere.example"}) == 403
        assert (await first_event(url, headers=bearer(TOKEN)))["type"] == "session.created"
        event = await first_event(url, protocols=["realtime", f"openai-insecure-api-key.{TOKEN}"])
        assert (event["type"], event["protocol"]) == ("session.created", "realtime")
        async with calling_realtime(url, key=TOKEN) as caller:
            assert caller.events[0]["session"]["model"] == "gpt-realtime"


@in_virtual_time
async def test_a_client_secret_opens_the_door_that_it_was_made_for_and_no_other() -> None:
    async with staged(**{"server.token": TOKEN}) as stage, asking(stage) as client:
        session = {"type": "realtime", "instructions": "Be brief.", "output_modalities": ["text"]}
        assert (await client.post(SECRETS, json={})).status_code == 401
        answer = await client.post(SECRETS, json={"session": session}, headers=bearer(TOKEN))
        made = answer.json()
        ClientSecretCreateResponse.model_validate(made)
        assert made["value"].startswith("ek_")
        assert made["session"]["instructions"] == "Be brief."
        event = await first_event(stage.url, headers=bearer(made["value"]))
        assert (event["session"]["instructions"], event["session"]["output_modalities"]) == ("Be brief.", ["text"])
        protocols = ["realtime", f"openai-insecure-api-key.{made['value']}"]
        assert (await first_event(stage.url, protocols=protocols))["type"] == "session.created"
        assert (await client.get("/models", headers=bearer(made["value"]))).status_code == 401
        assert (await client.post(SECRETS, json={}, headers=bearer(made["value"]))).status_code == 401


@in_virtual_time
async def test_openais_client_makes_a_secret_and_holds_a_whole_conversation_with_it() -> None:
    heard = ("what is the capital of germany", "how is the weather in oslo", "count please", "stop")
    replies = ("The capital is Berlin.", weather_call(), "It snows.", LONG_REPLY, "Fine.", "Yes.")
    async with staged(*heard, "are you there", replies=replies, **{"server.token": TOKEN}) as stage:
        async with AsyncOpenAI(base_url=stage.url, api_key=TOKEN, max_retries=0) as owner:
            session: Any = {"type": "realtime", "instructions": "Be brief.", "tools": [WEATHER], "audio": TRANSCRIBED}
            made = await owner.realtime.client_secrets.create(session=session)
        assert made.value.startswith("ek_")
        async with calling_realtime(stage.url, key=made.value) as caller:
            assert caller.events[0]["session"]["instructions"] == "Be brief."
            await caller.say(QUESTION)
            await caller.until("response.done")
            await caller.say(QUESTION)
            [call] = (await caller.until("response.done", 2))["response"]["output"]
            output = {"type": "function_call_output", "call_id": call["call_id"], "output": "snow"}
            await caller.tell({"type": "conversation.item.create", "item": output})
            await caller.tell({"type": "response.create"})
            await caller.until("response.done", 3)
            n_words = len(caller.named("response.output_audio_transcript.delta"))
            await caller.say(QUESTION)
            await caller.until("response.output_audio_transcript.delta", n_words + 4)
            await caller.say(STOP)
            await caller.until("response.done", 5)
            await caller.drop()
        async with asyncio.timeout(60):
            while stage.n_active():
                await asyncio.sleep(0.05)
        async with calling_realtime(stage.url, key=made.value) as again:
            await again.say(QUESTION)
            await again.until("response.done")
    assert caller.named("error") == []
    done = [event["response"] for event in caller.named("response.done")]
    assert [one["status"] for one in done] == ["completed", "completed", "completed", "cancelled", "completed"]
    spoken = [one["output"][0]["content"][0]["transcript"] for one in done if one["output"][0]["type"] == "message"]
    assert spoken[:2] + spoken[3:] == ["The capital is Berlin.", "It snows.", "Fine."]
    assert LONG_REPLY.startswith(spoken[2])
    assert again.named("response.done")[0]["response"]["output"][0]["content"][0]["transcript"] == "Yes."


@in_virtual_time
async def test_a_client_secret_opens_nothing_that_is_the_tokens_owners(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    async with staged(**{"server.token": TOKEN, "memory.keep": True}) as stage, asking(stage) as client:
        secret = (await client.post(SECRETS, json={}, headers=bearer(TOKEN))).json()["value"]
        theirs: list[tuple[Any, str | None]] = []
        for key in (TOKEN, secret):
            async with calling_realtime(stage.url, key=key) as caller:
                await caller.say(load_recording(SPEECH / "capital_of_germany.wav").audio_s16)
                await caller.until("input_audio_buffer.speech_started")
                [session] = stage.live._running
                # Histories and timers are their owner's.
                theirs.append((session.plan.history.owner, session.plan.memory))
            async with asyncio.timeout(60):
                while stage.n_active():
                    await asyncio.sleep(0.05)
        (owner, memory), (other, none) = theirs
        assert (memory, none) == (YOURS, None)
        assert owner != other


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"expires_after": {"anchor": "created_at", "seconds": 9}}, "expires_after.seconds"),
        ({"expires_after": {"anchor": "created_at", "seconds": 7_201}}, "expires_after.seconds"),
        ({"expires_after": 60}, "expires_after.seconds"),
        ({"expires_after": {"seconds": True}}, "expires_after.seconds"),
        ({"session": {"type": "realtime", "tool_choice": "required"}}, "session.tool_choice"),
        ({"session": []}, "session"),
    ],
)
def test_a_secret_that_cannot_be_made_is_refused_by_the_name_of_its_field(body: dict[str, Any], param: str) -> None:
    @in_virtual_time
    async def ask() -> None:
        async with staged() as stage, asking(stage) as client:
            answer = await client.post(SECRETS, json=body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)

    ask()


def test_secrets_end_with_their_time_and_are_few() -> None:
    now = [1_000.0]
    secrets = ClientSecrets(lambda: now[0])

    def opens(value: str) -> bool:
        return secrets.find([(b"authorization", f"Bearer {value}".encode())]) is not None

    first = secrets.make(600, {})
    assert first.expires_at == 1_600
    assert (opens(first.value), opens(first.value + "x"), opens("")) == (True, False, False)
    now[0] = 1_599.9
    assert opens(first.value)
    now[0] = 1_600.0
    assert not opens(first.value)
    kept = secrets.make(600, {})
    others = [secrets.make(600, {}) for _ in range(MAX_SECRETS)]
    assert not opens(kept.value)
    assert opens(others[0].value)


def test_the_sessions_of_all_secrets_together_are_bounded() -> None:
    secrets = ClientSecrets(lambda: 1_000.0)
    session = {"instructions": "x" * 64_000}
    made = [secrets.make(600, session) for _ in range(MAX_CHARS // 64_000 + 2)]
    found = [secrets.find([(b"authorization", f"Bearer {one.value}".encode())]) for one in made]
    # Of 64,020 characters each, with their key.
    n_kept = MAX_CHARS // 64_020
    assert found == [*[None] * (len(made) - n_kept), *made[-n_kept:]]


def no_sessions() -> LiveSessions:
    raise AssertionError("a key needs no session")


@in_virtual_time
async def test_a_secret_keeps_of_its_session_what_was_read_and_nothing_else() -> None:
    detection = {"type": "server_vad", "threshold": 1, "smell": "x" * 1_000}
    sound_in = {"turn_detection": detection, "noise_reduction": None, "colour": "x" * 1_000}
    session = {"type": "realtime", "note": "x" * (MAX_SESSION_CHARS - 4_000), "audio": {"input": sound_in}}
    session["tools"] = [{"type": "function", "name": "a", "strict": True, "parameters": {"type": "object"}}]
    tool = {"type": "function", "name": "a", "description": None, "parameters": {"type": "object"}}
    assert asked_for(changed(SessionConfig(), session), session) == {
        "type": "realtime",
        "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 1.0}}},
        "tools": [tool],
    }
    secrets = ClientSecrets()
    none = Slots(1, AssertionError)
    app = Starlette(routes=realtime_routes(no_sessions, secrets, Places(none, none)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        made = (await client.post(SECRETS, json={"session": session})).json()
    kept = secrets.find([(b"authorization", f"Bearer {made['value']}".encode())])
    # No model: the address of the client names it.
    assert kept is not None
    assert kept.session == asked_for(changed(SessionConfig(), session), session)
    assert kept.n_chars == len(json.dumps(kept.session)) < 1_000
