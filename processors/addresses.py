"""Several addresses of one engine: which one is asked next, which are left alone, and what was seen of them.

In:  what requests saw.   Out: the address that the next request goes to. Nothing here asks; see `address_asking`.

The least loaded address is asked: the one with the fewest requests under way, then with the fewest conversations at
home there, then with the quickest first chunk. A conversation stays at its home, whose server may still hold what it
has read of it, unless that is gone or has `BUSIER_BY` more requests under way than the least busy one.
Each process counts its own requests.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from processors.address import Address, Change, Group, address_of

BUSIER_BY = 2
# A conversation that has asked nothing for so long keeps no place at its home.
HOME_SECS = 600.0
# What was seen longer ago tells nothing of an address; it is tried like a new one.
FRESH_SECS = 300.0
KEPT_WAITS = 200
# So many first chunks tell when one is late, and so many how slow an engine usually is.
HEDGE_FROM, SLOW_FROM = 20, 8
LATE_QUANTILE = 0.95
MOST_OF_LIMIT = 0.8

_conversation: ContextVar[object | None] = ContextVar("conversation", default=None)


@contextmanager
def asked_for(conversation: object) -> Iterator[None]:
    """What is asked within belongs to a conversation.

    Args:
        conversation: Tells it from others while it lives, such as its history.
    """
    token = _conversation.set(conversation)
    try:
        yield
    finally:
        _conversation.reset(token)


def conversation_asked_for() -> object | None:
    """See `asked_for`; None outside."""
    return _conversation.get()


class AddressGroup:
    """The addresses of one engine; threads and event loops may share it.

    Args:
        group: What the settings say.

    Attributes:
        listeners: Told of each change, on the thread that saw it.
        n_asked: Requests so far; those that moved on count once.
        n_hedged: How many were asked at a second address because the first was late.
        n_moved: How many moved on to another address.
        looking: What looks at those that are gone; see `address_looks`.
        check: Asks an address whether it has what is needed; empty if so, else why not. None: any answer will do.
    """

    def __init__(self, group: Group) -> None:
        self.group = group
        self.listeners: list[Callable[[Change], None]] = []
        self.n_asked = self.n_hedged = self.n_moved = 0
        self.looking: asyncio.Task[None] | None = None
        self.check: Callable[[Address], Awaitable[str]] | None = None
        keys = group.keys if len(group.keys) > 1 else (group.keys or ("",)) * len(group.urls)
        self.addresses = tuple(
            address_of(number, url, key)
            for number, (url, key) in enumerate(zip(group.urls, keys, strict=True), start=1)
        )
        self._lock = threading.Lock()
        self._waits: deque[float] = deque(maxlen=KEPT_WAITS)
        self._homes: WeakKeyDictionary[object, tuple[Address, float]] = WeakKeyDictionary()

    @property
    def stage(self) -> str:
        """Of the engine."""
        return self.group.stage

    @property
    def shown(self) -> str:
        """All addresses for a message."""
        return ", ".join(one.url for one in self.addresses)

    @property
    def needs_tls(self) -> bool:
        """Whether any is asked by https."""
        return any(one.url.startswith("https:") for one in self.addresses)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may repeat."""
        passwords = (one.login[1] for one in self.addresses if one.login)
        return tuple(filter(None, (*self.group.keys, *passwords)))

    def take(self, tried: Collection[int] = (), conversation: object | None = None, *, gone: bool = True) -> Address:
        """The address to ask; `give_back` ends that.

        Args:
            tried: Numbers of those that are not meant.
            conversation: Whose request it is; None: of none.
            gone: Whether one that is gone is better than none.

        Raises:
            LookupError: There is none.
        """
        with self._lock:
            left = [one for one in self.addresses if one.number not in tried]
            ready = [one for one in left if not one.gone]
            if ready:
                chosen = self._at_home(ready, conversation)
            elif left and gone:
                # Those that are looked at soonest have been gone for the shortest time.
                chosen = min(left, key=lambda one: (one.look_at_secs, one.number))
            else:
                raise LookupError("no address is left")
            chosen.n_in_flight += 1
            chosen.n_asked += 1
            return chosen

    def give_back(self, address: Address) -> None:
        """A request at an address is over."""
        with self._lock:
            address.n_in_flight -= 1

    def began(self) -> None:
        """Count a request."""
        with self._lock:
            self.n_asked += 1

    def went_on(self, *, is_hedge: bool) -> None:
        """Count one that is asked at a further address.

        Args:
            is_hedge: Because the first is late; else it gave nothing.
        """
        with self._lock:
            self.n_hedged += is_hedge
            self.n_moved += not is_hedge

    def gave(self, address: Address, secs: float) -> None:
        """The first chunk came.

        Args:
            address: From there.
            secs: After so long.
        """
        self.is_back(address)
        with self._lock:
            now_secs = time.monotonic()
            fresh = address.first_secs is not None and now_secs - address.seen_at_secs < FRESH_SECS
            before = address.first_secs if fresh and address.first_secs is not None else secs
            address.first_secs, address.seen_at_secs = before + 0.3 * (secs - before), now_secs
            self._waits.append(secs)
            address.retries.begin_anew()

    def failed(self, address: Address, reason: str) -> None:
        """An address gave nothing, or broke off: it is left alone, for longer each time.

        Args:
            address: Which.
            reason: In a few words, without an address.
        """
        with self._lock:
            address.n_failed += 1
            is_new = not address.gone
            if is_new:
                address.gone = reason
                address.look_at_secs = time.monotonic() + address.retries.wait_secs(0.0)
        if is_new:
            self._tell(address, "gone", reason)

    def still_gone(self, address: Address, reason: str) -> None:
        """It was looked at in vain.

        Args:
            address: Which.
            reason: In a few words.
        """
        with self._lock:
            if address.gone:
                address.gone = reason
                address.look_at_secs = time.monotonic() + address.retries.wait_secs(0.0)

    def is_back(self, address: Address) -> None:
        """It answers."""
        with self._lock:
            was_gone, address.gone = bool(address.gone), ""
        if was_gone:
            self._tell(address, "back", "")

    def moved_to(self, address: Address, url: str) -> None:
        """An address was found to lack its /v1.

        Args:
            address: Which.
            url: With it.
        """
        address.url = address_of(address.number, url, "").url

    def look_in_secs(self, address: Address) -> float | None:
        """When one that is gone is to be looked at; None where it is not gone."""
        with self._lock:
            return max(0.0, address.look_at_secs - time.monotonic()) if address.gone else None

    def hedge_after_secs(self) -> float | None:
        """When a second address may be asked, as the first is late; None: not at all, or not now."""
        with self._lock:
            waits, share = self._waits, self.group.hedge_share
            if share <= 0 or len(waits) < HEDGE_FROM or self.n_hedged + 1 > share * self.n_asked:
                return None
            return _quantile(waits)

    def silent_secs(self) -> float:
        """An address that has given nothing for so long is taken for hung; what is usual here is not."""
        with self._lock:
            usual = _quantile(self._waits) if len(self._waits) >= SLOW_FROM else 0.0
        limit_secs = self.group.limit_secs or float("inf")
        # So that there is time for another one.
        return min(max(min(self.group.silent_secs, limit_secs / 2), 2 * usual), limit_secs * MOST_OF_LIMIT)

    def mirror(self, told: Mapping[str, Any]) -> None:
        """Take over what another process says of the same addresses, which asks them.

        Args:
            told: From `as_json`.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        self.n_asked, self.n_moved, self.n_hedged = int(told["asked"]), int(told["moved"]), int(told["hedged"])
        for address, one in zip(self.addresses, told["addresses"], strict=True):
            address.n_in_flight, address.n_asked = int(one["in_flight"]), int(one["asked"])
            address.n_failed, address.first_secs = int(one["failed"]), one["first_secs"]
            before, address.gone = bool(address.gone), str(one["reason"])
            if before != bool(address.gone):
                self._tell(address, "gone" if address.gone else "back", address.gone)

    def as_json(self) -> dict[str, Any]:
        """What /health says."""
        return {
            "addresses": [one.as_json() for one in self.addresses],
            "asked": self.n_asked,
            "moved": self.n_moved,
            "hedged": self.n_hedged,
        }

    def _at_home(self, ready: Sequence[Address], conversation: object | None) -> Address:
        now_secs = time.monotonic()
        home, _ = self._homes.get(conversation, (None, 0.0)) if conversation is not None else (None, 0.0)
        least = min(one.n_in_flight for one in ready)
        if home not in ready or home is None or home.n_in_flight - least > BUSIER_BY:
            residents = dict.fromkeys((one.number for one in self.addresses), 0)
            for other, (address, asked_secs) in self._homes.items() if conversation is not None else ():
                if other is not conversation and now_secs - asked_secs < HOME_SECS:
                    residents[address.number] += 1
            home = min(ready, key=lambda one: self._load(one, residents, now_secs))
        if conversation is not None:
            self._homes[conversation] = (home, now_secs)
        return home

    def _load(self, one: Address, residents: dict[int, int], now_secs: float) -> tuple[float, ...]:
        fresh = one.first_secs is not None and now_secs - one.seen_at_secs < FRESH_SECS
        first_secs = one.first_secs if fresh and one.first_secs is not None else 0.0
        return one.n_in_flight, residents[one.number], first_secs, one.number

    def gone(self) -> list[Change]:
        """What is gone now."""
        return [self._change(one, "gone", one.gone) for one in self.addresses if one.gone]

    def _change(self, address: Address, state: str, reason: str) -> Change:
        left = sum(not one.gone for one in self.addresses)
        return Change(self.stage, address.number, len(self.addresses), state, reason, left)

    def _tell(self, address: Address, state: str, reason: str) -> None:
        change = self._change(address, state, reason)
        for tell in list(self.listeners):
            # Whoever cannot be told any more is no reason to fail a request.
            with suppress(RuntimeError):
                tell(change)


def _quantile(waits: Collection[float]) -> float:
    ordered = sorted(waits)
    return ordered[min(len(ordered) - 1, int(len(ordered) * LATE_QUANTILE))]
