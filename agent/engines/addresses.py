"""Engines with several addresses: what the settings name, looked at once, and told to whoever wants to know.

In:  settings whose base_url holds more than one address.   Out: groups, one for each engine and set of addresses.

Groups are shared within a process: whoever loads an engine for another language asks the same addresses, and knows what
the others have seen of them.
"""

import asyncio
import weakref
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakValueDictionary

from loguru import logger

from agent.engines.llm_servers import FoundServer, check_endpoint
from agent.settings.load import Settings
from agent.settings.sections import LargeSettings, LlmSettings, SttSettings, TtsSettings
from processors.address import Address, Change, Group, addresses_in
from processors.address_looks import look_after, look_at_all
from processors.addresses import AddressGroup
from processors.errors import EngineUnavailableError

Named = SttSettings | LlmSettings | LargeSettings | TtsSettings
_shared: "WeakValueDictionary[Group, AddressGroup]" = WeakValueDictionary()


def group_of(stage: str, named: Named, settings: Settings) -> AddressGroup | None:
    """The group of an engine; None where it has one address, or none.

    Args:
        stage: stt, llm, large or tts.
        named: Its section of the settings.
        settings: With [addresses].

    Raises:
        EngineUnavailableError: There are neither as many keys as addresses, nor one.
    """
    urls = addresses_in(named.base_url) if named.base_url else []
    if len(urls) < 2:
        return None
    secret = named.api_key.get_secret_value() if named.api_key else ""
    keys = tuple(one.strip() for one in secret.split(",")) if secret else ()
    if len(keys) not in (0, 1, len(urls)):
        raise EngineUnavailableError(
            f"{stage}.api_key holds {len(keys)} keys for {len(urls)} addresses",
            "give one for all, or one for each in the same order, with commas between",
        )
    told = settings.addresses
    limits = {"stt": settings.stt.timeout_secs, "tts": settings.tts.timeout_secs}
    limit_secs = limits.get(stage, settings.llm.first_token_timeout_secs)
    return shared(Group(stage, tuple(urls), keys, told.silent_secs, limit_secs, told.hedge_percent / 100))


def shared(group: Group) -> AddressGroup:
    """The group of this process for such addresses.

    Args:
        group: What the settings say.
    """
    if (known := _shared.get(group)) is None:
        known = _shared[group] = AddressGroup(group)
        known.listeners.append(_log)
    return known


def groups_named(settings: Settings) -> list[AddressGroup]:
    """Every group that settings name, whether or not its engine is used.

    Args:
        settings: Any.

    Raises:
        EngineUnavailableError: See `group_of`.
    """
    sections: dict[str, Named] = {name: getattr(settings, name) for name in ("stt", "llm", "large", "tts")}
    return [group for stage, named in sections.items() if (group := group_of(stage, named, settings))]


def groups_in(engines: Iterable[Any]) -> list[AddressGroup]:
    """The groups of engines that are loaded, each once.

    Args:
        engines: Recognizers, voices and language models.
    """
    found = [getattr(getattr(one, "options", one), "addresses", None) for one in engines]
    return list({id(one): one for one in found if isinstance(one, AddressGroup)}.values())


def looked_at(group: AddressGroup) -> AddressGroup:
    """The group, once each of its addresses has been looked at; blocks for some seconds at most.

    Args:
        group: Of ears or a voice.

    Raises:
        EngineUnavailableError: None of them answers.
    """
    asyncio.run(look_at_all(group))
    if all(one.gone for one in group.addresses):
        raise none_answers(group)
    return group


def none_answers(group: AddressGroup) -> EngineUnavailableError:
    """That none of them answers, and why.

    Args:
        group: Theirs.
    """
    reasons = "; ".join(f"{one.url}: {one.gone}" for one in group.addresses)
    return EngineUnavailableError(
        f"none of the {len(group.addresses)} addresses of {group.stage}.base_url answers ({reasons})",
        f"start one of them, or correct {group.stage}.base_url",
    )


async def check_addresses(group: AddressGroup, model: str | None) -> FoundServer:
    """Make sure that one of them answers and has the model; the others are told of where they do not.

    Args:
        group: Of a language model.
        model: That must be there; any that can chat by default.

    Returns:
        What answered first in their order, with the model that all are asked for.

    Raises:
        EngineUnavailableError: None of them can be used.
    """
    results = await asyncio.gather(
        *(check_endpoint(one.whole, one.key or None, model) for one in group.addresses), return_exceptions=True
    )
    found = [one for one in results if isinstance(one, FoundServer)]
    chosen = found[0].models[0] if found else model
    for address, result in zip(group.addresses, results, strict=True):
        if not isinstance(result, FoundServer | EngineUnavailableError):
            raise result
        if reason := _taken(group, address, result, chosen):
            group.failed(address, reason)
        else:
            group.is_back(address)
    held = weakref.ref(group)

    async def check(address: Address) -> str:
        try:
            result = await check_endpoint(address.whole, address.key or None, model)
        except EngineUnavailableError as error:
            result = error
        known = held()
        return _taken(known, address, result, chosen) if known else ""

    group.check = check
    look_after(group)
    if not found:
        raise none_answers(group)
    return found[0]


def _taken(group: AddressGroup, address: Address, result: FoundServer | EngineUnavailableError, chosen: Any) -> str:
    """Where an address really answers is kept; why it cannot be used is returned."""
    if isinstance(result, EngineUnavailableError):
        return result.reason.replace(f" at {address.url}", "")
    group.moved_to(address, result.base_url)
    return "" if chosen in result.models else f"it lists no {chosen}"


def as_json(groups: Sequence[AddressGroup]) -> dict[str, Any]:
    """What /health says of them, by stage.

    Args:
        groups: Of the engines in use.
    """
    return {group.stage: group.as_json() for group in groups}


def _log(change: Change) -> None:
    which = f"{change.stage}: address {change.number} of {change.of}"
    if change.state == "back":
        logger.info(f"{which} is back; {change.left} of them are asked")
        return
    left = f"{change.left} of them are asked" if change.left else "none is left, and all are tried each time"
    logger.warning(f"{which} is left alone ({change.reason}); {left}")
