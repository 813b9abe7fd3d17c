"""Looks in the background at addresses that are gone: each costs its server a list of models.

In:  a group.   Out: which of its addresses are back; the longer one has been gone, the less often it is looked at.
"""

import asyncio
import base64
import weakref
from collections.abc import Callable

import httpx2

from processors.address import Address
from processors.addresses import AddressGroup

LOOK_SECS = 3.0


def look_after(group: AddressGroup) -> None:
    """Look at what is gone until it is back, in the background of this event loop.

    Args:
        group: Whose addresses.
    """
    if not any(one.gone for one in group.addresses):
        return
    task = group.looking
    if task is None or task.done() or task.get_loop().is_closed():
        group.looking = asyncio.create_task(_look_until_back(weakref.ref(group)), name="look-at-addresses")


async def _look_until_back(held: "Callable[[], AddressGroup | None]") -> None:
    while (group := held()) is not None:
        due = [(secs, one) for one in group.addresses if (secs := group.look_in_secs(one)) is not None]
        if not due:
            return
        secs, address = min(due, key=lambda one: one[0])
        if secs <= 0:
            await look(group, address)
            continue
        # Nobody else may need the group any more.
        del group, due, address
        await asyncio.sleep(secs)


async def look(group: AddressGroup, address: Address) -> None:
    """Ask an address for its list of models, which costs it nothing; it is back where it has what is needed.

    Args:
        group: Its group.
        address: Gone or not.
    """
    try:
        async with asyncio.timeout(LOOK_SECS):
            reason = await (group.check or _lacks_answer)(address)
    except TimeoutError:
        reason = f"nothing within {LOOK_SECS:g} s"
    if not reason:
        group.is_back(address)
    elif address.gone:
        group.still_gone(address, reason)
    else:
        group.failed(address, reason)


async def _lacks_answer(address: Address) -> str:
    """What speaks against an address; empty where nothing does."""
    headers = {"Accept": "application/json", "User-Agent": "sotto", **authorization(address)}
    try:
        async with (
            httpx2.AsyncClient(trust_env=False, verify=address.url.startswith("https:"), timeout=LOOK_SECS) as client,
            client.stream("GET", f"{address.url}/models", headers=headers) as response,
        ):
            status = response.status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return reason_of(error)
    return f"HTTP {status}" if status >= 500 or status in (401, 403) else ""


async def look_at_all(group: AddressGroup) -> None:
    """Look at every address once.

    Args:
        group: Theirs.
    """
    await asyncio.gather(*(look(group, one) for one in group.addresses))


def authorization(address: Address) -> dict[str, str]:
    """The header by which an address lets us in; none where it wants none.

    Args:
        address: Its login comes before its key, as it stands in the address itself.
    """
    if address.login:
        token = base64.b64encode(":".join(address.login).encode()).decode("ascii")
        return {"Authorization": f"Basic {token}"}
    return {"Authorization": f"Bearer {address.key}"} if address.key else {}


def reason_of(error: Exception) -> str:
    """Why an address gave nothing, in a few words.

    Args:
        error: Of httpx2.
    """
    if isinstance(error, httpx2.ConnectError):
        return "nothing listens there"
    if isinstance(error, httpx2.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx2.InvalidURL | httpx2.UnsupportedProtocol):
        return "its address is no URL"
    return f"broke off ({type(error).__name__})"
