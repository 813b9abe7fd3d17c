"""A grammar of what OpenAI-compatible servers stream, right and wrong, drawn from a seed; no socket, only HTTP's edge.

answer = HostileAnswer(random.Random(7))
client = AsyncOpenAI(http_client=DefaultAsyncHttpxClient(transport=MockTransport(answer.respond)), ...)
"""

import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2

WORDS = [
    "Hello",
    " there",
    ".",
    " Paris",
    "\n",
    "<think>",
    "</think>",
    "<|channel|>",
    "`",
    "é",
    "😀",
    "\ud83d",
    "\ude00",
]
JUNK: list[Any] = [None, True, False, 0, -1, 3.5, 1e300, "", " ", "x", [], {}, [[]], [None], {"a": None}, {"text": 5}]
USAGES: list[Any] = [
    {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
    {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None},
    {"prompt_tokens": "3", "completion_tokens": 4},
    {"input_tokens": 3, "output_tokens": 4},
    {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_tokens_details": 5},
    {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": "many"}},
    {"prompt_tokens": 3, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": [1]}},
    {"prompt_tokens": -5, "completion_tokens": 1e400},
]
RAW = [
    b"data: {\n\n",
    b"data: [1, 2]\n\n",
    b"data: null\n\n",
    b"data: 5\n\n",
    b'data: "text"\n\n',
    b"data:\n\n",
    b": keep-alive\n\n",
    b"event: ping\ndata: {}\n\n",
    b"event: thread.x\ndata: {}\n\n",
    b"event: error\ndata: {}\n\n",
    b"retry: never\n\n",
    b"id: \x00\n\n",
    b"\xff\xfe\n\n",
    b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
    b"data: NaN\n\n",
    b'data: {"choices": NaN}\n\n',
    b"data: " + b"[" * 5000 + b"\n\n",
    b"data: " + b'{"choices":' * 3000 + b"\n\n",
    b"<html>\n\n",
    b"\r\n\r\n",
    b"\x00\x00",
]


class HostileAnswer:
    """One answer: a status, a content type, and a body cut anywhere."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.status = chance.choice([200] * 24 + [404, 400, 500, 307])
        self.content_type = chance.choice(["text/event-stream"] * 8 + ["application/json", "text/html", ""])
        self.breaks_off = chance.random() < 0.1
        self.body = b"".join(self._event() for _ in range(chance.randrange(9)))
        self.body += chance.choice([b"data: [DONE]\n\n", b"data: [DONE]", b"", b"data: [DONE]\n\ndata: {\n\n"])

    def respond(self, _: httpx2.Request) -> httpx2.Response:
        """The answer to whatever is asked."""
        headers = {"content-type": self.content_type} if self.content_type else {}
        return httpx2.Response(self.status, headers=headers, content=self._parts())

    async def _parts(self) -> AsyncIterator[bytes]:
        cuts = sorted(self._chance.choices(range(len(self.body) + 1), k=self._chance.randrange(5)))
        for begin, end in zip([0, *cuts], [*cuts, len(self.body)], strict=True):
            yield self.body[begin:end]
        if self.breaks_off:
            raise self._chance.choice([httpx2.ReadError("gone"), httpx2.RemoteProtocolError("half"), OSError("gone")])

    def _event(self) -> bytes:
        roll = self._chance.random()
        if roll < 0.12:
            return self._chance.choice(RAW)
        chunk = self._chunk() if roll < 0.95 else self._chance.choice(JUNK)
        text = json.dumps(chunk, ensure_ascii=self._chance.random() < 0.5)
        end = self._chance.choice(["\n\n", "\n\n", "\r\n\r\n", "\r\r"])
        return f"data: {text}{end}".encode("utf-8", "surrogatepass")

    def _or_junk(self, make: Callable[[], Any], odds: float = 0.12) -> Any:
        return self._chance.choice(JUNK) if self._chance.random() < odds else make()

    def _chunk(self) -> dict[str, Any]:
        chance = self._chance
        chunk: dict[str, Any] = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
        chunk["choices"] = self._or_junk(lambda: [self._or_junk(self._choice)], 0.08)
        if chance.random() < 0.25:
            chunk["usage"] = self._or_junk(lambda: chance.choice(USAGES))
        if chance.random() < 0.03:
            chunk["error"] = chance.choice([*JUNK, {"message": "GPU\nfell off"}, {"message": 5}, "broken"])
        if chance.random() < 0.1:
            chunk[chance.choice(["id", "model", "created", "object", "choices"])] = chance.choice(JUNK)
        if chance.random() < 0.05:
            del chunk[chance.choice(sorted(chunk))]
        return chunk

    def _choice(self) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": self._or_junk(lambda: 0), "delta": self._or_junk(self._delta)}
        if self._chance.random() < 0.2:
            choice["finish_reason"] = self._or_junk(lambda: self._chance.choice(["stop", "length", "tool_calls"]))
        if self._chance.random() < 0.05:
            choice[self._chance.choice(["message", "text"])] = choice.pop("delta")
        return choice

    def _delta(self) -> dict[str, Any]:
        chance = self._chance
        delta: dict[str, Any] = {"role": self._or_junk(lambda: "assistant")}
        if chance.random() < 0.8:
            delta["content"] = self._or_junk(self._content)
        if chance.random() < 0.1:
            delta[chance.choice(["reasoning", "reasoning_content"])] = self._or_junk(lambda: "hm")
        if chance.random() < 0.15:
            delta["tool_calls"] = self._or_junk(lambda: [self._or_junk(self._call) for _ in range(chance.randrange(3))])
        if chance.random() < 0.05:
            delta[chance.choice(["audio", "refusal", "function_call", "annotations"])] = chance.choice(JUNK)
        return delta

    def _content(self) -> Any:
        word = self._chance.choice(WORDS)
        shapes = [word] * 8 + [[{"type": "text", "text": word}], [word], {"text": word}, 42, [{"type": "thinking"}]]
        return self._chance.choice(shapes)

    def _call(self) -> dict[str, Any]:
        chance = self._chance
        function = {
            "name": self._or_junk(lambda: "clock"),
            "arguments": self._or_junk(lambda: chance.choice(["{}", "{", "[1]", '{"a": 1}', {"a": 1}])),
        }
        call = {"index": self._or_junk(lambda: chance.randrange(3)), "id": self._or_junk(lambda: "a")}
        call["function"] = self._or_junk(lambda: function)
        return call
