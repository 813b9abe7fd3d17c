"""What is heard and what is read of a Realtime response: each in a message of its own, and no sound where one reads."""

from typing import Any

from agent.server.realtime.items import Items
from agent.server.realtime.outgoing import sender
from agent.server.realtime.responses import Responses
from agent.server.realtime.session_config import SessionConfig, changed
from processors.errors import EngineError
from tests.agent.server.realtime.stage import MANUAL, staged
from tests.support.house import SPEECH
from tests.support.realtime_caller import RATE_HZ, calling_realtime
from tests.support.scripted_engines import tone
from tests.support.virtual_time import in_virtual_time
from transports.recording import load_recording

QUESTION = load_recording(SPEECH / "capital_of_germany.wav").audio_s16
APOLOGY = "Sorry, I didn't catch that."


@in_virtual_time
async def test_a_client_that_reads_is_told_in_writing_that_nothing_was_understood() -> None:
    async with staged(replies=("You're welcome.",)) as stage, calling_realtime(stage.url) as caller:
        stage.stt.texts.append(EngineError("the recognizer is gone"))
        await caller.update(output_modalities=["text"], audio=MANUAL)
        await caller.say(QUESTION, silence_secs=0.0)
        await caller.tell({"type": "input_audio_buffer.commit"})
        await caller.tell({"type": "response.create"})
        done = (await caller.until("response.done"))["response"]
    text = f"{APOLOGY} You're welcome."
    assert done["status"] == "completed"
    assert [item["content"] for item in done["output"]] == [[{"type": "output_text", "text": text}]]
    deltas = caller.named("response.output_text.delta")
    assert "".join(one["delta"] for one in deltas) == text
    assert {(one["item_id"], one["output_index"]) for one in deltas} == {(done["output"][0]["id"], 0)}
    assert not any("audio" in type_ for type_ in caller.types() if type_.startswith("response."))


def told(config: SessionConfig) -> tuple[Responses, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    send = sender(events.append)
    responses = Responses(send, Items(send), "conv_1", lambda: None)
    responses.config = config
    return responses, events


def test_what_is_read_behind_what_was_heard_begins_a_message_of_its_own() -> None:
    responses, events = told(SessionConfig())
    responses.ask(None)
    responses.begin_speech()
    for word in ("Oh", "dear."):
        responses.sound(tone(0.25))
        responses.word(word)
    responses.end_speech()
    responses.begin_reply()
    for piece in ("You're", " welcome", "."):
        responses.text(piece)
    responses.end_reply()
    message = ["response.output_item.added", "conversation.item.added", "response.content_part.added"]
    ended = ["response.content_part.done", "response.output_item.done", "conversation.item.done"]
    assert [event["type"] for event in events] == [
        "response.created",
        *message,
        *(["response.output_audio.delta", "response.output_audio_transcript.delta"] * 2),
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        *ended,
        *message,
        *(["response.output_text.delta"] * 3),
        "response.output_text.done",
        *ended,
        "response.done",
    ]
    heard, read = events[-1]["response"]["output"]
    assert (heard["status"], heard["content"]) == ("completed", [{"type": "output_audio", "transcript": "Oh dear."}])
    assert (read["status"], read["content"]) == ("completed", [{"type": "output_text", "text": "You're welcome."}])
    items = [(event["item_id"], event["output_index"]) for event in events if "content_index" in event]
    n_heard = items.count((heard["id"], 0))
    assert items == [(heard["id"], 0)] * n_heard + [(read["id"], 1)] * (len(items) - n_heard)
    added = [event["output_index"] for event in events if event["type"] == "response.output_item.added"]
    assert added == [0, 1]


def test_pieces_that_are_read_keep_their_words_and_are_kept_apart_from_one_another() -> None:
    responses, events = told(changed(SessionConfig(), {"output_modalities": ["text"]}))
    responses.begin_reply()
    for piece in ("Let me ", "lo", "ok."):
        responses.text(piece)
    # The same answer goes on behind what a tool found.
    responses.begin_reply()
    responses.text("It sn")
    responses.text("ows.")
    # A timer is due meanwhile.
    responses.begin_speech()
    responses.sound(tone(0.25))
    for word in ("Your", "tea."):
        responses.word(word)
    responses.end_speech()
    responses.begin_reply()
    responses.text("Well")
    responses.text(" then.")
    responses.end_reply()
    [item] = events[-1]["response"]["output"]
    text = "Let me look. It snows. Your tea. Well then."
    assert item["content"] == [{"type": "output_text", "text": text}]
    assert "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta") == text
    assert not any("output_audio" in event["type"] for event in events)


def test_a_response_that_began_to_be_heard_is_heard_to_its_end() -> None:
    responses, events = told(SessionConfig())
    responses.begin_reply()
    responses.sound(tone(0.25))
    responses.config = changed(SessionConfig(), {"output_modalities": ["text"]})
    responses.sound(tone(0.25))
    responses.word("Hi.")
    responses.end_reply()
    [item] = events[-1]["response"]["output"]
    assert item["content"] == [{"type": "output_audio", "transcript": "Hi."}]
    n_samples = sum(len(event["delta"]) * 3 // 4 // 2 for event in events if event["type"].endswith("audio.delta"))
    assert n_samples == round(0.5 * RATE_HZ)
