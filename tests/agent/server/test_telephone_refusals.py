"""What telephone lines refuse: a flood of it is one line a minute in the log; time passes on a clock of the test's."""

import asyncio
import base64
import itertools
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
from loguru import logger
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from agent.server.telephony.newcomers import MAX_NEWCOMERS, MAX_NEWCOMERS_OF_NETWORK, Newcomers
from agent.server.telephony.wrong_secrets import DELAY_SECS, MOST_WAITING, MOST_WAITING_OF_NETWORK, WrongSecrets
from agent.server.wire.networks import LOOPBACK
from tests.support.asterisk_callers import audio_socket_call, packet
from tests.support.telephone_callers import twilio_call
from tests.support.telephone_house import holding_lines
from tests.support.telephone_signatures import SECRET, post
from tests.support.virtual_time import in_virtual_time

PATH = "/telephony/office"
SHOWN = uuid.UUID("40325ec2-5efd-4bd3-805f-53576e581d13")
OTHER = uuid.UUID("50325ec2-5efd-4bd3-805f-53576e581d13")
OFFICE: dict[str, dict[str, Any]] = {"office": {"provider": "twilio", "secret": SECRET}}
PBX: dict[str, dict[str, Any]] = {"pbx": {"provider": "asterisk", "audiosocket_port": 0, "secret": str(SHOWN)}}
UNSIGNED = (
    "telephone line office: the signature is missing or wrong: telephony.lines.office.secret, "
    "and telephony.url behind a proxy"
)


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"asterisk:{password}".encode()).decode()}


@contextmanager
def warnings() -> Iterator[list[str]]:
    """The log's warnings and errors."""
    found: list[str] = []
    sink = logger.add(lambda message: found.append(message.record["message"]), level="WARNING", format="{message}")
    try:
        yield found
    finally:
        logger.remove(sink)


@in_virtual_time
async def test_a_flood_of_unsigned_webhooks_is_one_line_a_minute() -> None:
    async with holding_lines(OFFICE) as lines:
        with warnings() as found:
            for _ in range(5):
                assert (await post(lines.port, PATH, b"", {}))[0] == 403
            assert found == [UNSIGNED]
            await asyncio.sleep(61)
            assert (await post(lines.port, PATH, b"", {}))[0] == 403
            assert found == [UNSIGNED, f"{UNSIGNED} (4 more before it)"]


@in_virtual_time
async def test_a_flood_of_streams_without_a_token_is_one_line_a_minute_and_hides_no_webhook() -> None:
    async with holding_lines(OFFICE) as lines:
        with warnings() as found:
            for _ in range(3):
                async with twilio_call(lines.port, PATH) as caller:
                    await caller.begin({"token": "guessed"})
                    await caller.until_closed()
            await post(lines.port, PATH, b"", {})
    why = "neither the handshake's signature nor the stream's token is right"
    assert found == [f"telephone line office: a call was refused: {why}", UNSIGNED]


@in_virtual_time
async def test_a_flood_of_wrong_uuids_is_one_line_a_minute() -> None:
    async with holding_lines(PBX) as lines:
        with warnings() as found:
            for _ in range(3):
                async with audio_socket_call(lines.audio_ports["pbx"]) as caller:
                    await caller.begin(OTHER)
                    await caller.until_closed()
    assert found == ["telephone line pbx: a call was refused: the UUID is not telephony.lines.pbx.secret"]


@in_virtual_time
async def test_a_wrong_uuid_is_answered_late_and_the_right_one_at_once() -> None:
    loop = asyncio.get_running_loop()
    async with holding_lines(PBX) as lines:
        port = lines.audio_ports["pbx"]
        async with audio_socket_call(port) as guesser, audio_socket_call(port) as caller:
            begun_secs = loop.time()
            await guesser.begin(OTHER)
            await asyncio.sleep(1.0)
            await caller.begin(SHOWN)
            await lines.until_event("session_started")
            assert loop.time() - begun_secs < 2.0
            assert not guesser.ended.is_set()
            assert await guesser.until_closed() == [0x00]
            assert loop.time() - begun_secs == pytest.approx(DELAY_SECS, abs=0.2)


@in_virtual_time
async def test_many_wrong_uuids_keep_no_right_one_out() -> None:
    async with holding_lines(PBX) as lines:
        port = lines.audio_ports["pbx"]
        guessers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        for _, writer in guessers:
            writer.write(packet(0x01, OTHER.bytes))
        async with audio_socket_call(port) as caller:
            await caller.begin(SHOWN)
            await lines.until_event("session_started")
        answers: list[bytes] = []
        for reader, writer in guessers:
            # Who had to give way is cut off, whatever he has said.
            with suppress(ConnectionResetError):
                answers.append(await reader.read())
            writer.close()
    assert set(answers) <= {b"", packet(0x00)}


@in_virtual_time
async def test_when_the_server_stops_nobody_waits_for_the_answer_to_a_wrong_uuid() -> None:
    loop = asyncio.get_running_loop()
    with warnings() as found:
        async with holding_lines(PBX) as lines, audio_socket_call(lines.audio_ports["pbx"]) as guesser:
            await guesser.begin(OTHER)
            await asyncio.sleep(0.5)
            begun_secs = loop.time()
        assert loop.time() - begun_secs < 1.0
    assert found == []


@in_virtual_time
@pytest.mark.parametrize(("headers", "delay_secs"), [(basic("another"), DELAY_SECS), ({}, 0.0)])
async def test_a_wrong_password_is_answered_late_and_none_at_once(headers: dict[str, str], delay_secs: float) -> None:
    loop = asyncio.get_running_loop()
    async with holding_lines(PBX) as lines:
        begun_secs = loop.time()
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{lines.port}/telephony/pbx", proxy=None, additional_headers=headers):
                raise AssertionError("it was let in")
        assert refused.value.response.status_code == 401
        assert loop.time() - begun_secs == pytest.approx(delay_secs, abs=0.2)


@in_virtual_time
async def test_of_one_address_few_wrong_secrets_wait_and_of_this_machine_each_is_looked_at() -> None:
    wrong = WrongSecrets()
    async with asyncio.TaskGroup() as waiting:
        for network in ("192.0.2.1", LOOPBACK):
            for _ in range(MOST_WAITING_OF_NETWORK):
                waiting.create_task(wrong.wait(network))
        await asyncio.sleep(0.1)
        unread = [wrong.are_unread(network) for network in ("192.0.2.1", LOOPBACK, "192.0.2.2")]
        assert unread == [True, False, False]
        # One too many takes no time.
        await asyncio.wait_for(wrong.wait(LOOPBACK), 0.1)
        for network in range(MOST_WAITING):
            waiting.create_task(wrong.wait(f"198.51.100.{network}"))
        await asyncio.sleep(0.1)
        assert wrong.are_unread("192.0.2.2")
    assert not wrong.are_unread("192.0.2.1")


def test_newcomers_give_way_the_oldest_of_the_address_that_has_most() -> None:
    newcomers, closed, staying = Newcomers(), list[str](), ExitStack()
    numbers = Counter[str]()

    def come(network: str) -> None:
        numbers[network] += 1
        name = f"{network}{numbers[network]}"
        staying.enter_context(newcomers.waiting(network, lambda: closed.append(name)))

    for _ in range(MAX_NEWCOMERS_OF_NETWORK + 2):
        come("a")
    assert closed == ["a1", "a2"]
    for network in itertools.islice(itertools.cycle("bc"), MAX_NEWCOMERS - MAX_NEWCOMERS_OF_NETWORK):
        come(network)
    assert (closed, len(newcomers)) == (["a1", "a2"], MAX_NEWCOMERS)
    come("d")
    assert (closed, len(newcomers)) == (["a1", "a2", "a3"], MAX_NEWCOMERS)
    staying.close()
    assert len(newcomers) == 0
