"""A server of tools that speaks the protocol of 2025-06-18 by hand: what it does not know it refuses."""

import json
import sys
from typing import Any

learnt: list[dict[str, Any]] = []
ECHO = {
    "name": "echo",
    "description": "Say it again. " + "Very well. " * 1000,
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}
ENORMOUS = {
    "name": "enormous",
    "inputSchema": {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(2000)}},
}


def send(**message: Any) -> None:
    """One line."""
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def answer(method: str, params: dict[str, Any], number: object) -> None:
    """Answer a request."""
    match method:
        case "initialize":
            capabilities = {"tools": {"listChanged": True}}
            about = {"name": "old", "version": "1"}
            send(id=number, result={"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": about})
        case "tools/list":
            send(id=number, result={"tools": [ECHO, ENORMOUS, *learnt]})
        case "tools/call":
            text = params["arguments"]["text"]
            if text == "learn":
                learnt.append({**ECHO, "name": "second echo"})
                send(method="notifications/tools/list_changed")
            if text == "break":
                send(id=number, error={"code": -32000, "message": "out of paper"})
            else:
                send(id=number, result={"content": [{"type": "text", "text": text}]})
        case _:
            send(id=number, error={"code": -32601, "message": "Method not found"})


for line in sys.stdin:
    request = json.loads(line)
    if "id" in request:
        answer(request["method"], request.get("params") or {}, request["id"])
