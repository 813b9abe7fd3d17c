"""Language models as one process tells another of them: where they are and how they are asked.

In:  the choice that the engine process has made.   Out: the same in a process that asks the model by itself.

Only a server of our own has a process to be looked after, and that is the engine process's child: whoever finds it
silent asks the engine process to look. After a restart it is at the same address.
"""

import asyncio
import dataclasses
from typing import Any

from agent.engines.candidates import Choice
from agent.engines.context_size import context_tokens
from agent.engines.llm import LlmBackend
from agent.engines.look_ups import LookUps, make_of
from agent.engines.process.addresses import group_json, group_of_json
from agent.engines.process.line import Exchange
from agent.engines.process.wire import Head, WireError
from agent.engines.process.words import MALFORMED, choice_json, choice_of
from processors.errors import EngineError
from processors.llm.options import LLMOptions
from processors.llm.templates import TemplateMarks

# Made anew where they are used.
_OWN_FIELDS = ("served_tokens", "keeper", "rest", "large")
# A model takes so long to be loaded again, at most.
BACK_WITHIN_SECS = 120.0


def llm_json(choice: Choice[LlmBackend]) -> Head:
    """A choice of a language model with how it is asked, its key among it."""
    return {
        **choice_json(choice),
        "options": options_json(choice.loaded.options),
        "is_embedded": choice.loaded.embedded is not None,
    }


def options_json(options: LLMOptions) -> Head:
    """How a model is asked, but for the large model beside it."""
    fields = {one.name: getattr(options, one.name) for one in dataclasses.fields(options)}
    return {
        **{name: value for name, value in fields.items() if name not in _OWN_FIELDS},
        "template": vars(options.template),
        "addresses": group_json(options.addresses) if options.addresses else None,
    }


def llm_of(value: Head, exchange: Exchange) -> Choice[LlmBackend]:
    """See `llm_json`.

    Args:
        value: What came.
        exchange: Reaches the engine process.

    Raises:
        WireError: It is none.
    """
    try:
        fields: dict[str, Any] = dict(value["options"])
        fields["template"] = TemplateMarks(**fields["template"])
        fields["addresses"] = group_of_json(fields["addresses"])
        fields["examples"] = tuple((said, replied) for said, replied in fields["examples"])
        options = LLMOptions(**fields)
        is_embedded = value["is_embedded"] is True
    except MALFORMED as error:
        raise WireError("the engine process answers what is no language model") from error
    if is_embedded:
        backend = LlmBackend(dataclasses.replace(options, keeper=RemoteKeeper(exchange, options.base_url)))
    else:
        engine = str(value["engine"])

        async def served_tokens() -> int | None:
            server = LookUps(options.base_url, options.api_key)
            return await context_tokens(server, make_of(engine, options.base_url), options.model)

        backend = LlmBackend(dataclasses.replace(options, served_tokens=served_tokens))
    return choice_of(value, backend)


class RemoteKeeper:
    """See `ServerKeeper`: the engine process looks after its child.

    Args:
        exchange: Reaches it.
        base_url: Tells which server is meant.
    """

    def __init__(self, exchange: Exchange, base_url: str) -> None:
        self._exchange = exchange
        self._base_url = base_url

    def kill_if_hung(self) -> bool:
        """See `ServerKeeper.kill_if_hung`."""
        return self._ask("llm_hung")

    def wait_until_back(self) -> bool:
        """See `ServerKeeper.wait_until_back`."""
        return self._ask("llm_back")

    def _ask(self, kind: str) -> bool:
        try:
            head, _ = self._exchange.ask({"kind": kind, "base_url": self._base_url}, within_secs=BACK_WITHIN_SECS)
        except EngineError:
            return False
        return head.get("yes") is True


async def keep(host_llms: list[LlmBackend], kind: str, base_url: object) -> bool:
    """What a `RemoteKeeper` asks, on the engine process's side.

    Args:
        host_llms: The models of the host.
        kind: llm_hung or llm_back.
        base_url: Of the one that is meant.
    """
    for backend in host_llms:
        if backend.embedded and backend.embedded.base_url == base_url:
            look = backend.embedded.kill_if_hung if kind == "llm_hung" else backend.embedded.wait_until_back
            return await asyncio.to_thread(look)
    return False
