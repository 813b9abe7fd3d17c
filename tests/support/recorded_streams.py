"""Replies as servers stream them, event by event: vLLM, Ollama, llama.cpp, LM Studio; words, thoughts, tool calls.

Written down after what these servers send (vLLM 0.11, Ollama 0.12, llama.cpp b6500, LM Studio 0.3); the words are ours.
"""

import json
from typing import Any

Event = dict[str, Any]


def _vllm(delta: Event, finish_reason: str | None = None, **more: Any) -> Event:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason, "token_ids": None}
    head = {"id": "chatcmpl-8f3c", "object": "chat.completion.chunk", "created": 1763000000, "model": "Qwen/Qwen3-8B"}
    return {**head, "choices": [choice], **more}


def _ollama(delta: Event, finish_reason: str | None = None) -> Event:
    choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-131", "object": "chat.completion.chunk", "created": 1763000000, "model": "llama3.2"}
    return {**head, "system_fingerprint": "fp_ollama", "choices": [choice]}


def _llamacpp(delta: Event, finish_reason: str | None = None, **more: Any) -> Event:
    choice = {"finish_reason": finish_reason, "index": 0, "delta": delta}
    tail = {"created": 1763000000, "id": "chatcmpl-Yx1", "model": "gpt-oss-20b", "system_fingerprint": "b6500-1a2b3c"}
    return {"choices": [choice], **tail, "object": "chat.completion.chunk", **more}


_CALL = {"id": "call_9x", "type": "function", "index": 0, "function": {"name": "clock", "arguments": ""}}
_USAGE = {"prompt_tokens": 24, "total_tokens": 31, "completion_tokens": 7, "prompt_tokens_details": None}
_TIMINGS = {"prompt_n": 24, "prompt_ms": 31.1, "predicted_n": 7, "predicted_ms": 70.2, "predicted_per_second": 99.7}

RECORDED: dict[str, list[Event]] = {
    "vllm": [
        _vllm({"role": "assistant", "content": ""}, prompt_token_ids=None),
        _vllm({"content": "The"}),
        _vllm({"content": " capital"}),
        _vllm({"content": " is Berlin."}),
        _vllm({"content": ""}, "stop", stop_reason=None),
        {**_vllm({}), "choices": [], "usage": _USAGE},
    ],
    "vllm thinks": [
        _vllm({"role": "assistant", "content": ""}),
        _vllm({"reasoning_content": "The user asks"}),
        _vllm({"reasoning": " for a city."}),
        _vllm({"content": "Berlin."}),
        _vllm({"content": ""}, "stop"),
    ],
    "vllm calls": [
        _vllm({"role": "assistant", "content": ""}),
        _vllm({"tool_calls": [_CALL]}),
        _vllm({"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]}),
        _vllm({"tool_calls": [{"index": 0, "function": {"arguments": '"Berlin"}'}}]}),
        _vllm({"content": ""}, "tool_calls"),
    ],
    "ollama": [_ollama({"content": "Good"}), _ollama({"content": " day."}), _ollama({"content": ""}, "stop")],
    "ollama thinks": [
        _ollama({"content": "", "reasoning": "Hm."}),
        _ollama({"content": "Yes."}),
        _ollama({"content": ""}, "stop"),
    ],
    "ollama calls": [
        _ollama({"content": "", "tool_calls": [{**_CALL, "function": {"name": "clock", "arguments": "{}"}}]}),
        _ollama({"content": ""}, "tool_calls"),
    ],
    "llama.cpp": [
        _llamacpp({"role": "assistant", "content": None}),
        _llamacpp({"content": "Sure"}),
        _llamacpp({"content": ": 42."}),
        _llamacpp({}, "stop", usage=_USAGE, timings=_TIMINGS),
    ],
    "llama.cpp thinks in its text": [
        _llamacpp({"role": "assistant", "content": None}),
        _llamacpp({"content": "<think>\nA city"}),
        _llamacpp({"content": "</think>\n\nBerlin."}),
        _llamacpp({}, "length"),
    ],
    "llama.cpp fails": [
        _llamacpp({"content": "Well"}),
        {"error": {"code": 500, "message": "slot unavailable", "type": "server_error"}},
    ],
}


def on_the_wire(event: Any, end: str = "\n\n") -> bytes:
    """One event as it is sent."""
    return f"data: {json.dumps(event, ensure_ascii=False)}{end}".encode("utf-8", "surrogatepass")
