"""How many tools a language model is told of: its context has to hold the conversation, too.

In:  tools in the order in which they count, and the model's context.   Out: those that fit, and who is left out.
"""

import json
from collections.abc import Iterable, Sequence

from agent.tools.schemas import function_of
from agent.tools.tool import Tool
from processors.llm.compaction import tokens_in
from processors.llm.options import LLMOptions

# Of what is left beside the reply.
SHARE = 0.5
# Where the server does not tell what its context is.
USUAL_CONTEXT_TOKENS = 16_384
# No tool takes less.
MIN_TOOL_TOKENS = 20
MAX_NAMED = 3


def room_tokens(context_tokens: int | None, reply_tokens: int) -> int:
    """How many tokens all tools may take together.

    Args:
        context_tokens: Of the model's context, prompt and reply together; None where that is not known.
        reply_tokens: Of the longest reply.
    """
    return max(0, int(((context_tokens or USUAL_CONTEXT_TOKENS) - reply_tokens) * SHARE))


def room_for(options: LLMOptions) -> int:
    """How many tokens tools may take with each model that may be told of them.

    Args:
        options: Of the model, and of a large one beside it.
    """
    models = [one for one in options.models if not one.last_turn_only] or [options]
    return min(room_tokens(one.context_tokens, one.max_tokens) for one in models)


def fitting(tools: Sequence[Tool], own: Iterable[Tool], n_tokens: int) -> list[Tool]:
    """Those for which there is room.

    Args:
        tools: The first count most; one that is too long leaves its room to those behind it.
        own: Tools that stay in any case.
        n_tokens: For all together.
    """
    left = n_tokens - sum(map(tokens_of, own))
    found: list[Tool] = []
    for tool in tools:
        if left < MIN_TOOL_TOKENS:
            break
        if (taken := tokens_of(tool)) <= left:
            left -= taken
            found.append(tool)
    return found


def tokens_of(tool: Tool) -> int:
    """About how many tokens a tool takes in each request.

    Args:
        tool: Any.
    """
    return tokens_in(json.dumps(function_of(tool).to_default_dict(), ensure_ascii=False, default=str))


def left_out_line(tools: Sequence[Tool], kept: Sequence[Tool], n_tokens: int) -> str:
    """What the user is told of those that did not fit; empty where all did.

    Args:
        tools: All.
        kept: Those that fit.
        n_tokens: For which there was room.
    """
    there = {tool.name for tool in kept}
    names = [tool.name for tool in tools if tool.name not in there]
    if not names:
        return ""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return (
        f"{len(names)} of {len(tools)} tools of servers are left out, as the language model's context has room for"
        f" {n_tokens} tokens of tools: {', '.join(names[:MAX_NAMED])}{more};"
        " name those that you use: mcp.servers.NAME.allow"
    )
