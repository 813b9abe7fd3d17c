"""Whose memory a caller has: yours by the token, else that of a browser, by an id which cannot be guessed."""

import pytest

from agent.memory.memory import YOURS
from agent.server.wire.owner import memory_owner_of
from agent.server.wire.paths import SHOWN

A, B = "0123456789abcdef" * 2, "f" * 32


def scope(address: str = "127.0.0.1", *, shown: bool = False) -> dict[str, object]:
    return {"client": (address, 1), "state": {SHOWN: shown}}


def test_the_token_opens_yours_whatever_the_browser() -> None:
    assert memory_owner_of(scope(shown=True)) == memory_owner_of(scope("10.0.0.9", shown=True), A) == YOURS


def test_a_browser_has_one_of_its_own_wherever_it_is() -> None:
    mine = memory_owner_of(scope(), A)
    assert mine == memory_owner_of(scope("192.168.1.7"), A)
    assert mine not in (memory_owner_of(scope(), B), YOURS, None)
    # What is on disk does not open it.
    assert A not in str(mine)
    assert memory_owner_of(scope(), mine) != mine


@pytest.mark.parametrize("browser", [None, "", "short", "x" * 65, 7, ["a" * 32], {"a": 1}])
def test_who_sends_no_id_that_is_hard_to_guess_has_none(browser: object) -> None:
    assert memory_owner_of(scope(), browser) is None
