"""Wrong tokens take time, the right one none; whoever guesses holds up himself alone."""

import asyncio

import httpx
import pytest

from agent.server.app import build_app
from agent.server.guard import guesses
from agent.server.guard.guesses import FORGET_SECS, MOST_DELAY_SECS, MOST_NETWORKS, Guesses
from agent.server.state import ServerState
from agent.settings.load import load_settings
from tests.support.virtual_time import run_in_virtual_time

WAIT_SECS = 60
HOME, AFAR = "127.0.0.1", "192.0.2.99"


def delays(guessed: Guesses, n: int, network: str = AFAR, now_secs: float = 0.0) -> list[float]:
    found: list[float] = []
    for _ in range(n):
        found.append(guessed.begin(network, now_secs))
        guessed.end(network)
    return found


def test_typing_errors_cost_nothing_and_each_further_guess_twice_the_last() -> None:
    guessed = Guesses()
    assert delays(guessed, 10) == [0, 0, 0, 0.25, 0.5, 1, 2, 4, 8, 8]
    assert delays(guessed, 1, "192.0.2.1") == [0]
    assert delays(guessed, 1, now_secs=FORGET_SECS + 1) == [0]
    assert delays(guessed, 2000, now_secs=FORGET_SECS + 1)[-1] == MOST_DELAY_SECS


def test_of_those_who_guessed_only_so_many_are_remembered() -> None:
    guessed = Guesses()
    guessed.begin("waits", 0.0)
    for n in range(3 * MOST_NETWORKS):
        delays(guessed, 1, f"network {n}")
    assert len(guessed) <= MOST_NETWORKS + 1
    guessed.end("waits")
    assert guessed.n_waiting == 0


def client_of(address: str, state: ServerState, app: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(address, 50_000))  # pyright: ignore[reportArgumentType]
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860", timeout=WAIT_SECS)


def locked(**settings: str) -> tuple[ServerState, object]:
    state = ServerState(load_settings({f"server.{key}": value for key, value in settings.items()}))
    return state, build_app(state)


async def guess(client: httpx.AsyncClient, path: str, token: str) -> int:
    return (await client.get(path, headers={"Authorization": f"Bearer {token}"})).status_code


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/api/options"])
@pytest.mark.parametrize("key", ["token", "api_key"])
def test_guesses_anywhere_take_their_time_and_the_owner_at_the_same_address_none(path: str, key: str) -> None:
    if key == "api_key" and not path.startswith("/v1"):
        return

    async def scenario() -> None:
        state, app = locked(**{key: "the right one"})
        loop = asyncio.get_running_loop()
        async with client_of(HOME, state, app) as client:
            started_secs = loop.time()
            for n in range(8):
                assert await guess(client, path, f"wrong {n}") in (200, 401, 503)
            # 3 x 0, 0.25, 0.5, 1, 2, 4 s
            assert loop.time() - started_secs == pytest.approx(7.75)
            waiting = asyncio.create_task(guess(client, path, "wrong"))
            await asyncio.sleep(0.1)
            now_secs = loop.time()
            assert await guess(client, path, "the right one") in (200, 404, 503)
            assert loop.time() == now_secs
            assert not waiting.done()
            await waiting

    run_in_virtual_time(scenario)


def test_very_many_guesses_at_once_wait_in_bounded_numbers_and_an_owner_afar_keeps_his_cookie(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guesses, "MOST_WAITING_OF_NETWORK", 5)

    async def scenario() -> None:
        state, app = locked(token="the right one")
        async with client_of(AFAR, state, app) as client, client_of(HOME, state, app) as home:
            opened = await client.get("/", params={"token": "the right one"})
            cookie = opened.headers["set-cookie"].partition(";")[0]
            client.cookies.clear()
            for _ in range(3):
                await guess(client, "/api/options", "wrong")
            codes = [asyncio.create_task(guess(client, "/api/options", f"wrong {n}")) for n in range(20)]
            await asyncio.sleep(0.01)
            # Those beyond are not even looked at: they tell nothing.
            assert await guess(client, "/api/options", "the right one") == 429
            assert (await client.get("/api/options", headers={"Cookie": cookie})).status_code == 503
            assert await guess(home, "/api/options", "the right one") == 503
            assert sorted(await asyncio.gather(*codes)) == [401] * 5 + [429] * 15

    run_in_virtual_time(scenario)


def test_keys_that_nobody_asked_for_are_no_guesses() -> None:
    async def scenario() -> None:
        state, app = locked()
        started_secs = asyncio.get_running_loop().time()
        async with client_of(HOME, state, app) as client:
            for _ in range(20):
                assert await guess(client, "/v1/models", "none") == 503
        assert asyncio.get_running_loop().time() == started_secs

    run_in_virtual_time(scenario)
