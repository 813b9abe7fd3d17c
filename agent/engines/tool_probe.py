"""Whether a language model calls tools, found out by one small request where its server does not tell.

In:  how a model is asked.   Out: the same, with what came of it.

Only servers on this machine are asked: elsewhere a request may cost money. It takes place beside the start, has its
bound in time and length, and is held against nobody where it fails: then the model is tried when a conversation asks.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
from loguru import logger

from agent.engines.tool_calls import told
from processors.llm.budget import ReplyBudget
from processors.llm.call_texts import calls_in
from processors.llm.chunks import read_chunk
from processors.llm.client import quiet_client
from processors.llm.failure import refuses_tools
from processors.llm.options import LLMOptions
from processors.llm.templates import TemplateMarks
from processors.llm.thinking import ThinkFilter

LIMIT_SECS = 10.0
MAX_TOKENS = 128
PROBE_NAME = "report_ready"
_QUESTION = f"Call the tool {PROBE_NAME} now. Do not answer in words."
_TOOL: Any = {
    "type": "function",
    "function": {
        "name": PROBE_NAME,
        "description": "Reports that you are ready.",
        "parameters": {"type": "object", "properties": {}},
    },
}


async def probed(options: LLMOptions) -> LLMOptions:
    """How the models are asked, with whether each calls tools, where that could be found out.

    Args:
        options: Of the first model, with the large one in them if there is one.
    """
    own, *others = await asyncio.gather(*map(_probed, options.models))
    large = options.large and dataclasses.replace(options.large, options=others[0])
    return dataclasses.replace(own, large=large)


async def calls_tools_by_trial(options: LLMOptions) -> bool | None:
    """Whether a model calls the tool that it is told to call; None where it could not be found out.

    Args:
        options: How it is asked.
    """
    client = quiet_client(
        options.base_url,
        options.api_key,
        silence_secs=LIMIT_SECS,
        connect_secs=options.connect_timeout_secs,
        max_event_bytes=ReplyBudget(MAX_TOKENS).max_event_bytes,
        addresses=options.addresses,
    )
    async with client:
        try:
            async with asyncio.timeout(LIMIT_SECS):
                chunks = await client.chat.completions.create(
                    model=options.model,
                    messages=[{"role": "user", "content": _QUESTION}],
                    tools=[_TOOL],
                    max_tokens=MAX_TOKENS,
                    temperature=0.0,
                    stream=True,
                    extra_body=dict(options.extra_body) or None,
                )
                async with chunks:
                    return await _calls(aiter(chunks), options.template)
        except openai.APIStatusError as error:
            return False if refuses_tools(error) else None
        except (TimeoutError, openai.OpenAIError, httpx.HTTPError, ValueError):
            return None


def may_be_asked(options: LLMOptions) -> bool:
    """Whether a model is asked: its server tells nothing, and stands on this machine.

    Args:
        options: How it is asked.
    """
    if options.calls_tools is not None or options.last_turn_only or not options.base_url:
        return False
    urls = [one.url for one in options.addresses.addresses] if options.addresses else [options.base_url]
    return all(map(_is_here, urls))


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _probed(options: LLMOptions) -> LLMOptions:
    if not may_be_asked(options):
        return options
    calls = await calls_tools_by_trial(options)
    logger.info(f"llm: {options.model} {told(calls, chooses=True)}, by one request")
    return dataclasses.replace(options, calls_tools=calls)


async def _calls(chunks: AsyncIterator[Any], template: TemplateMarks) -> bool | None:
    text, thought, finish_reason = "", False, None
    budget, others = ReplyBudget(MAX_TOKENS), False
    async for chunk in chunks:
        piece = read_chunk(chunk)
        if piece.problem or budget.spent:
            return None
        if any(call.name == PROBE_NAME for call in piece.calls):
            return True
        others = others or bool(piece.calls)
        thought = thought or bool(piece.thought)
        text += budget.take(piece.text)
        finish_reason = piece.finish_reason or finish_reason
    if others or finish_reason == "length":
        # What was cut, in its thoughts or in a call, has said nothing yet.
        return None
    calls = _writes_call(text, template, thought=thought)
    return calls if calls or finish_reason == "stop" else None


def _writes_call(text: str, template: TemplateMarks, *, thought: bool) -> bool | None:
    """Whether a whole reply calls the tool in its words, as replies of conversations are read."""
    starts_inside = bool(template.starts_inside) and not thought
    think, said = _read(text, template, starts_inside=starts_inside, thought=thought)
    if think.closed_unopened and not starts_inside:
        # What stood before the closing mark was no reply.
        think, said = _read(text, template, starts_inside=True, thought=False)
    if any(call.name == PROBE_NAME for one in think.call_texts for call in calls_in(one, {PROBE_NAME})):
        return True
    # A call that nobody can read tells nothing.
    return False if said.strip() and not think.called else None


def _read(text: str, template: TemplateMarks, *, starts_inside: bool, thought: bool) -> tuple[ThinkFilter, str]:
    think = ThinkFilter(starts_inside=starts_inside, again=template.again, tools={PROBE_NAME}, thought_apart=thought)
    said = think.feed(text) + think.flush()
    return think, said
