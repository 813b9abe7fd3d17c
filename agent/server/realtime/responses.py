"""A response as its client is told it: every event in the protocol's order, whatever the answer is made of.

In:  what leaves the pipeline: a reply begins and ends, sound, words, text, calls, cuts.   Out: `response.*`.

The order of its events is the protocol's; what is not in an answer is left out. A message is heard or read, never both:
what is given the other way begins another one. A reply that calls tools of the agent's own goes on with the next one.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from pipecat.metrics.metrics import LLMTokenUsage

from agent.server.realtime.items import Item
from agent.server.realtime.open_response import Call, Modality, OpenMessage, OpenResponse
from agent.server.realtime.outgoing import Send, new_id
from agent.server.realtime.outlet import Deltas, Outlet
from agent.server.realtime.session_config import SessionConfig

DONE_OF: dict[Modality, tuple[str, ...]] = {
    "audio": ("response.output_audio.done", "response.output_audio_transcript.done"),
    "text": ("response.output_text.done",),
}


class Place(Protocol):
    """Where a response's items go."""

    def add(self, item: Item, *, done: bool) -> None:
        """It begins."""
        ...

    def done(self, item: Item) -> None:
        """It is complete."""
        ...


class Responses:
    """Those of one conversation, one after another.

    Args:
        send: Sends an event.
        items: Of the conversation.
        conversation_id: Its id; None: they are of no conversation.
        on_done: Told when one is over.
        outlet: Where the sound goes; by default into the events.
    """

    def __init__(
        self,
        send: Send,
        items: Place,
        conversation_id: str | None,
        on_done: Callable[[], None],
        outlet: Outlet | None = None,
    ) -> None:
        self.outlet = outlet or Deltas()
        self._send = send
        self._items = items
        self._conversation_id = conversation_id
        self._on_done = on_done
        self._open: OpenResponse | None = None
        self.out_rate_hz = 24_000
        self.config = SessionConfig()

    @property
    def is_open(self) -> bool:
        """Whether one is under way."""
        return self._open is not None

    @property
    def open_id(self) -> str | None:
        """The id of the one that is under way."""
        return self._open.id if self._open else None

    @property
    def has_begun(self) -> bool:
        """Whether anything of the one that is under way has come, and not only been asked for."""
        return self._open is not None and self._open.has_begun

    def ask(self, metadata: dict[str, str] | None, config: SessionConfig | None = None) -> None:
        """One is asked for by the client; the reply that begins next is its.

        Args:
            metadata: The client's.
            config: The session as it is for this response.
        """
        self._create(OpenResponse(new_id("resp"), config or self.config, metadata, in_reply=True))

    def _create(self, response: OpenResponse) -> None:
        self._open = response
        self._send("response.created", response=response.told(self._conversation_id, "in_progress"))

    def begin_reply(self) -> None:
        """The model's reply begins."""
        response = self._wanted()
        response.in_reply = response.has_begun = True
        if response.message:
            response.message.is_apart = True

    def calls_own(self) -> None:
        """The model calls tools of the agent's own: behind the end of this reply comes another one."""
        self._wanted().n_to_follow += 1

    def end_reply(self, tokens: LLMTokenUsage | None = None) -> None:
        """The model's reply has ended; its sound may go on.

        Args:
            tokens: What it took, where the model says so.
        """
        if response := self._open:
            response.add_usage(tokens)
            response.in_reply = response.n_to_follow > 0
            response.n_to_follow = max(0, response.n_to_follow - 1)
            self._finish_if_over()

    def note_usage(self, tokens: LLMTokenUsage | None) -> None:
        """What a reply took, where its model says so."""
        if self._open:
            self._open.add_usage(tokens)

    def end(self) -> None:
        """All of it has come."""
        if self._open:
            self._open.in_reply = self._open.speaking = False
            self._finish_if_over()

    def begin_speech(self) -> None:
        """Speech begins, of a reply or of the agent's own accord."""
        response = self._wanted()
        response.speaking = response.has_begun = True

    def end_speech(self) -> None:
        """Speech has ended."""
        if self._open:
            self._open.speaking = False
            self._finish_if_over()

    def sound(self, pcm16: bytes) -> None:
        """Sound that the client is to play; one that reads hears nothing."""
        if not self._is_read:
            message = self._message("audio")
            self._delta(message, message.encoder.encode(pcm16))

    def end_sound(self) -> None:
        """No more sound follows what the client was sent, for now."""
        if (response := self._open) and (message := response.message) and message.modality == "audio":
            self._delta(message, message.encoder.encode(b"", last=True))

    def place_word(self, word: str) -> None:
        """Half of a word has sounded once all that the client was sent has; one that reads hears nothing."""
        if not self._is_read:
            message = self._message("audio")
            message.item.words.append((word, message.encoder.sent_ms))

    def word(self, word: str) -> None:
        """A word, where half of it has sounded; where the client reads, it is written."""
        if self._is_read:
            self._write(word, is_word=True)
            return
        message = self._message("audio")
        delta = f" {word}" if message.text else word
        message.text += delta
        self._send("response.output_audio_transcript.delta", **self._place(message), delta=delta)

    def text(self, text: str) -> None:
        """A piece of an answer that is read."""
        self._write(text)

    def transcript(self, text: str) -> None:
        """A piece of an answer that is heard, where it is known before its sound."""
        message = self._message("audio")
        message.text += text
        self._send("response.output_audio_transcript.delta", **self._place(message), delta=text)

    def call(self, calls: Sequence[Call]) -> None:
        """The model calls functions of the client's."""
        self._wanted().calls.extend(calls)

    def cut(self, reason: Literal["turn_detected", "client_cancelled"]) -> list[Call]:
        """Nothing more of it comes; the calls that the client is not told of."""
        untold = self._open.calls if self._open else []
        if self._open:
            self._finish("cancelled", {"type": "cancelled", "reason": reason})
        return untold

    def fail(self, message: str, code: str) -> None:
        """Nothing more of it comes, as something failed."""
        if self._open:
            error = {"type": "server_error", "code": code, "message": message}
            self._finish("failed", {"type": "failed", "error": error})

    @property
    def _is_read(self) -> bool:
        return (self._open.config if self._open else self.config).is_written

    def _write(self, text: str, *, is_word: bool = False) -> None:
        message = self._message("text")
        touches = message.text and not (message.text[-1].isspace() or text[:1].isspace())
        delta = f" {text}" if touches and (is_word or message.is_apart) else text
        message.text += delta
        message.is_apart = is_word
        self._send("response.output_text.delta", **self._place(message), delta=delta)

    def _wanted(self) -> OpenResponse:
        if self._open is None:
            self._create(OpenResponse(new_id("resp"), self.config, None))
        assert self._open is not None  # noqa: S101 - just made
        return self._open

    def _finish_if_over(self) -> None:
        response = self._open
        if response is None or response.in_reply or response.speaking:
            return
        if response.message or response.calls:
            self._finish("completed", None)
        else:
            error = {"type": "server_error", "code": "no_answer"}
            self._finish("failed", {"type": "failed", "error": error})

    def _message(self, modality: Modality) -> OpenMessage:
        response = self._wanted()
        if response.message and response.message.modality != modality:
            self._end_message(response, response.message, is_whole=True)
            response.message = None
        if response.message is None:
            body = {
                "id": new_id("item"),
                "object": "realtime.item",
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
            encoder = self.outlet.encoder(response.config.audio.output.format, self.out_rate_hz)
            response.message = message = OpenMessage(Item(body), modality, encoder, len(response.output))
            self._begin_item(response, message.item)
            self._send("response.content_part.added", **self._place(message), part=message.part)
        return response.message

    def _delta(self, message: OpenMessage, audio: str) -> None:
        message.item.sent_ms = message.encoder.sent_ms
        if audio:
            self._send("response.output_audio.delta", **self._place(message), delta=audio)

    def _begin_item(self, response: OpenResponse, item: Item) -> None:
        index = len(response.output)
        self._send("response.output_item.added", response_id=response.id, output_index=index, item=item.body)
        self._items.add(item, done=False)

    def _end_item(self, response: OpenResponse, item: Item) -> None:
        index = len(response.output)
        response.output.append(item.body)
        self._send("response.output_item.done", response_id=response.id, output_index=index, item=item.body)
        self._items.done(item)

    def _place(self, message: OpenMessage) -> dict[str, Any]:
        assert self._open is not None  # noqa: S101 - a message is part of one
        place = {"response_id": self._open.id, "item_id": message.item.id}
        return {**place, "output_index": message.index, "content_index": 0}

    def _finish(self, status: str, details: dict[str, Any] | None) -> None:
        response = self._open
        assert response is not None  # noqa: S101 - whoever calls looks
        is_whole = status == "completed"
        if response.message:
            self._end_message(response, response.message, is_whole=is_whole)
        for call in response.calls if is_whole else ():
            self._tell_call(response, call)
        self._open = None
        self._send("response.done", response=response.told(self._conversation_id, status, details))
        self._on_done()

    def _end_message(self, response: OpenResponse, message: OpenMessage, *, is_whole: bool) -> None:
        if message.modality == "audio" and is_whole:
            self._delta(message, message.encoder.encode(b"", last=True))
        final = {"response.output_audio_transcript.done": {"transcript": message.text}}
        final["response.output_text.done"] = {"text": message.text}
        for done in DONE_OF[message.modality]:
            self._send(done, **self._place(message), **final.get(done, {}))
        self._send("response.content_part.done", **self._place(message), part=message.part)
        message.item.body.update(status="completed" if is_whole else "incomplete", content=[message.content])
        self._end_item(response, message.item)

    def _tell_call(self, response: OpenResponse, call: Call) -> None:
        body = {
            "id": new_id("item"),
            "object": "realtime.item",
            "type": "function_call",
            "status": "in_progress",
            "call_id": call.call_id,
            "name": call.name,
            "arguments": "",
        }
        item, index = Item(body), len(response.output)
        self._begin_item(response, item)
        place = {"response_id": response.id, "item_id": item.id, "output_index": index, "call_id": call.call_id}
        self._send("response.function_call_arguments.delta", **place, delta=call.arguments)
        self._send("response.function_call_arguments.done", **place, name=call.name, arguments=call.arguments)
        body.update(status="completed", arguments=call.arguments)
        self._end_item(response, item)
