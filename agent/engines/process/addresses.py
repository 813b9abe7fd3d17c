"""Addresses that the engine process asks, as the processes that hold conversations know them.

In:  what the engine process says of them, every two seconds.   Out: the same groups, which tell who listens.

A language model is asked by the process that holds the conversation: that one has a group of its own, and sees for
itself. Ears and voices are asked by the engine process.
"""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

from loguru import logger

from agent.engines.addresses import groups_named, shared
from agent.engines.process.line import Exchange
from agent.engines.process.wire import Head
from agent.engines.process.words import MALFORMED
from agent.settings.load import Settings
from processors.address import Group
from processors.addresses import AddressGroup
from processors.errors import EngineError

EVERY_SECS = 2.0


def group_json(group: AddressGroup) -> Head:
    """The addresses of a language model, as they were found, with their keys.

    Args:
        group: Of this process.
    """
    return {**dataclasses.asdict(group.group), "urls": [one.whole for one in group.addresses]}


def group_of_json(value: Any) -> AddressGroup | None:
    """The group of a language model that another process has chosen.

    Args:
        value: Fields of a `Group`; None where it has one address.

    Raises:
        KeyError, TypeError, ValueError: It is none.
    """
    if value is None:
        return None
    return shared(Group(**{**value, "urls": tuple(value["urls"]), "keys": tuple(value["keys"])}))


def mirrors_of(settings: Settings, about: Head) -> tuple[AddressGroup, ...]:
    """The groups of the ears and the voice, where they are what settings name.

    Args:
        settings: The server's.
        about: What the engine process says of its engines.
    """
    remote = [stage for stage in ("stt", "tts") if about[stage]["engine"] == "openai"]
    return tuple(AddressGroup(one.group) for one in groups_named(settings) if one.stage in remote)


async def keep_up(mirrors: Sequence[AddressGroup], exchange: Exchange, every_secs: float = EVERY_SECS) -> None:
    """Ask for ever.

    Args:
        mirrors: Take over what is told.
        exchange: Reaches the engine process.
        every_secs: How often.
    """
    while True:
        try:
            told, _ = await asyncio.to_thread(exchange.ask, {"kind": "addresses"})
            for one in mirrors:
                one.mirror(told["addresses"][one.stage])
        except EngineError as error:
            logger.debug(f"addresses: {error}")
        except MALFORMED as error:
            logger.warning(f"addresses: the engine process tells what is none: {error!r}")
        await asyncio.sleep(every_secs)
