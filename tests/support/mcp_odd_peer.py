"""A server of tools by hand that does odd things: `dies` once its tools are listed; `nan` says what JSON has not."""

import json
import sys
from typing import Any

ABOUT = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "odd", "version": "1"}}
TOOLS = {"tools": [{"name": "t", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": True}}]}


def send(**message: Any) -> None:
    """One line."""
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def answer(method: str, params: dict[str, Any], number: object) -> None:
    """Answer a request."""
    match method:
        case "initialize":
            send(id=number, result=ABOUT)
        case "tools/list":
            send(id=number, result=TOOLS)
            if sys.argv[1] == "dies":
                sys.exit(3)
        case "tools/call":
            told = {"progressToken": params["_meta"]["progressToken"], "message": "\x1b[2Jx"}
            send(method="notifications/progress", params={**told, "progress": float("inf")})
            send(method="notifications/progress", params={**told, "progress": 1, "total": float("nan")})
            structured = {"x\x00": float("nan"), "y": [float("-inf"), 1.5, "a\x1b]0;b\x07\tc"]}
            send(
                id=number,
                result={"content": [{"type": "text", "text": "\x9b2Jok\r\n"}], "structuredContent": structured},
            )
        case _:
            send(id=number, error={"code": -32601, "message": "Method not found"})


for line in sys.stdin:
    request = json.loads(line)
    if "id" in request:
        answer(request["method"], request.get("params") or {}, request["id"])
