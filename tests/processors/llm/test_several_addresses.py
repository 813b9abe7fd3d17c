"""A language model at several addresses: what dies, hangs or comes back costs no turn, and no word comes twice.

The servers are real HTTP on loopback whose answers a test writes; time is virtual.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from pipecat.frames.frames import LLMContextFrame
from pipecat.services.llm_service import FunctionCallParams

from processors.address import Change, Group
from processors.addresses import HEDGE_FROM, AddressGroup
from processors.llm.options import LLMOptions
from processors.llm.service import LOST_THREAD, LocalLLMService
from tests.support.llm_session import APOLOGY, WAIT_SECS, apologies, options, question, session, text_of
from tests.support.ports import free_port
from tests.support.scripted_llm import Answer, Drop, Failure, Hang, Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time


def grouped(*servers: ScriptedLLM, **told: Any) -> LLMOptions:
    group = AddressGroup(Group("llm", tuple(one.base_url for one in servers), **{"silent_secs": 0.5, **told}))
    return options(servers[0], addresses=group)


def group_in(asked: LLMOptions) -> AddressGroup:
    assert asked.addresses is not None
    return asked.addresses


@asynccontextmanager
async def servers(*scripts: tuple[Answer, ...]) -> AsyncIterator[list[ScriptedLLM]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(ScriptedLLM(*script)) for script in scripts]


async def changed(group: AddressGroup, state: str) -> Change:
    """The next change to a state."""
    coming: asyncio.Future[Change] = asyncio.get_running_loop().create_future()

    def note(change: Change) -> None:
        if change.state == state and not coming.done():
            coming.set_result(change)

    group.listeners.append(note)
    return await asyncio.wait_for(coming, 60)


@in_virtual_time
async def test_one_that_refuses_or_fails_costs_nothing_but_a_moment_and_is_left_alone() -> None:
    for failure in (Drop(), Failure(503, "Loading model"), Failure(500, "out of memory"), Failure(404, "no model")):
        async with servers((failure,), (Reply("Fine."), Reply("Again."))) as (bad, good):
            asked = grouped(bad, good)
            async with session(LocalLLMService(asked)) as running:
                for expected in ("Fine.", "Again."):
                    frames, errors = await running.ask(question())
                    assert (text_of(frames), apologies(frames), errors) == (expected, [], [])
            assert (len(bad.requests), len(good.requests)) == (1, 2)
            assert group_in(asked).n_moved == 1
            assert [one.n_in_flight for one in group_in(asked).addresses] == [0, 0]


@in_virtual_time
async def test_one_where_nothing_listens_is_passed_over() -> None:
    async with ScriptedLLM(Reply("Fine.")) as good:
        group = AddressGroup(Group("llm", (f"http://127.0.0.1:{free_port()}/v1", good.base_url)))
        async with session(LocalLLMService(options(good, addresses=group))) as running:
            frames, errors = await running.ask(question())
    assert (text_of(frames), errors) == ("Fine.", [])
    assert group.addresses[0].gone == "nothing listens there"


@in_virtual_time
async def test_an_answer_that_fails_before_its_first_word_is_begun_elsewhere() -> None:
    broken = {"message": "CUDA out of memory"}
    nonsense = Failure(200, "data: <html>\n\n", "text/event-stream")
    for answer in (Reply("x", drop_after=0), Reply("x", error_after=0, error=broken), nonsense):
        async with servers((answer,), (Reply("Fine."),)) as (bad, good):
            async with session(LocalLLMService(grouped(bad, good))) as running:
                frames, errors = await running.ask(question())
            assert (text_of(frames), errors) == ("Fine.", [])


@in_virtual_time
async def test_one_that_dies_in_the_middle_of_a_stream_is_not_asked_again_and_the_next_turn_goes_elsewhere() -> None:
    async with servers((Reply("One,", " two", drop_after=1),), (Reply("Back."),)) as (bad, good):
        asked = grouped(bad, good)
        async with session(LocalLLMService(asked)) as running:
            frames, errors = await running.ask(question())
            assert (text_of(frames), apologies(frames)) == ("One,", [LOST_THREAD])
            assert "closed the connection before the end of its reply" in errors[0].error
            assert good.requests == []
            assert group_in(asked).addresses[0].gone.startswith("broke off its answer")
            frames, errors = await running.ask(question())
            assert (text_of(frames), errors) == ("Back.", [])


@in_virtual_time
async def test_one_that_hangs_before_the_first_chunk_is_passed_over_in_time_and_its_request_closed() -> None:
    for silence in (Hang(), Hang(head=True), Reply("late", first_delay_secs=60)):
        async with servers((silence,), (Reply("Fine."), Reply("Again."))) as (hung, good):
            asked = grouped(hung, good)
            loop = asyncio.get_running_loop()
            async with session(LocalLLMService(asked)) as running:
                began_secs = loop.time()
                frames, errors = await running.ask(question())
                assert (text_of(frames), errors) == ("Fine.", [])
                # 0.5 s of silence, and not the 2 s after which a single address is given up.
                assert 0.5 <= loop.time() - began_secs < 1
                await asyncio.wait_for(hung.requests[0].closed_by_client.wait(), WAIT_SECS)
                assert group_in(asked).addresses[0].gone == "nothing within 0.5 s"
                frames, _ = await running.ask(question())
                assert text_of(frames) == "Again."
            assert len(hung.requests) == 1


@in_virtual_time
async def test_a_slow_one_that_answers_first_after_all_is_heard_and_the_other_is_hung_up_on() -> None:
    async with servers((Reply("Slow.", first_delay_secs=0.7),), (Hang(),)) as (slow, hung):
        asked = grouped(slow, hung)
        async with session(LocalLLMService(asked)) as running:
            frames, errors = await running.ask(question())
        assert (text_of(frames), errors) == ("Slow.", [])
        await asyncio.wait_for(hung.requests[0].closed_by_client.wait(), WAIT_SECS)
        assert [one.gone for one in group_in(asked).addresses] == ["", ""]
        assert [one.n_in_flight for one in group_in(asked).addresses] == [0, 0]


@in_virtual_time
async def test_one_that_comes_back_is_found_in_the_background_and_asked_again() -> None:
    async with servers((), ()) as (first, second):
        asked = grouped(first, second)
        group = group_in(asked)
        async with session(LocalLLMService(asked)) as running:
            await first.stop()
            frames, errors = await running.ask(question())
            assert (text_of(frames), errors) == ("Okay.", [])
            assert group.addresses[0].gone == "nothing listens there"
            back = asyncio.create_task(changed(group, "back"))
            await asyncio.sleep(5)
            await first.start()
            assert (await back).number == 1
            looks = [one for one in first.all_requests if one.method == "GET"]
            assert [one.path for one in looks] == ["/v1/models"]
            # A new conversation goes to where nobody is at home.
            await running.ask(question())
        assert len(first.requests) == 1


@in_virtual_time
async def test_all_gone_is_one_line_and_one_apology_and_the_conversation_survives() -> None:
    async with servers((), ()) as (first, second):
        asked = grouped(first, second)
        async with session(LocalLLMService(asked)) as running:
            await first.stop()
            await second.stop()
            frames, errors = await running.ask(question())
            assert (text_of(frames), apologies(frames)) == ("", [APOLOGY])
            (error,) = errors
            assert error.error == (
                f"no language model answers at {first.base_url}, {second.base_url} (ConnectError): "
                "start its server, for example with `ollama serve`, or run `sotto doctor`"
            )
            await second.start()
            # Not looked at yet: what is gone is better than none.
            frames, errors = await running.ask(question())
            assert (text_of(frames), errors) == ("Okay.", [])


@in_virtual_time
async def test_what_all_refuse_alike_is_about_the_request_and_blames_no_address() -> None:
    overflow = {"error": {"message": "the request exceeds the context size", "code": 500}}
    async with servers((Failure(500, overflow),), (Failure(500, overflow),)) as (first, second):
        asked = grouped(first, second)
        async with session(LocalLLMService(asked)) as running:
            await running.ask(question())
        assert [one.gone for one in group_in(asked).addresses] == ["", ""]


@in_virtual_time
async def test_what_is_wrong_with_the_request_is_asked_at_one_address_only() -> None:
    async with servers((Failure(400, {"error": {"message": "bad"}}),), ()) as (first, second):
        async with session(LocalLLMService(grouped(first, second))) as running:
            _, errors = await running.ask(question())
        assert "refused the request (HTTP 400, bad)" in errors[0].error
        assert second.requests == []


@in_virtual_time
async def test_eight_conversations_are_spread_and_each_stays_where_it_began() -> None:
    async with servers((), ()) as pair:
        asked = grouped(*pair)
        histories = [question(f"I am {n}") for n in range(8)]
        async with session(LocalLLMService(asked)) as running:
            for _ in range(3):
                for history in histories:
                    await running.ask(history)
    who = [{request.messages[-1]["content"] for request in server.requests} for server in pair]
    assert [len(names) for names in who] == [4, 4]
    assert who[0] & who[1] == set()
    assert [len(server.requests) for server in pair] == [12, 12]


@in_virtual_time
async def test_eight_that_ask_at_once_are_spread() -> None:
    async with servers((), ()) as pair:
        for server in pair:
            server.otherwise = Reply("Okay.", first_delay_secs=0.2)
        asked = grouped(*pair)

        async def ask() -> str:
            async with session(LocalLLMService(asked)) as running:
                frames, _ = await running.ask(question())
                return text_of(frames)

        assert await asyncio.gather(*(ask() for _ in range(8))) == ["Okay."] * 8
        assert [len(server.requests) for server in pair] == [4, 4]


async def asked_with_hedges(asked: LLMOptions, n_turns: int) -> list[str]:
    async with session(LocalLLMService(asked)) as running:
        return [text_of((await running.ask(question()))[0]) for _ in range(n_turns)]


@in_virtual_time
async def test_a_late_first_chunk_is_asked_for_elsewhere_too_and_the_loser_is_cut() -> None:
    quick, late = Reply("Okay.", first_delay_secs=0.1), Reply("Late.", first_delay_secs=0.4)
    async with servers((), ()) as (first, second):
        first.otherwise = second.otherwise = quick
        asked = grouped(first, second, hedge_share=0.1)
        group = group_in(asked)
        await asked_with_hedges(asked, HEDGE_FROM)
        home, other = (first, second) if group.take(conversation=None).number == 1 else (second, first)
        for one in group.addresses:
            one.n_in_flight = 0
        n_before = (len(home.requests), len(other.requests))
        home.script.append(late)
        other.script.append(late)
        # Whichever is asked first is late; the second one answers no sooner than it may.
        other.script[0] = quick
        assert await asked_with_hedges(asked, 1) == ["Okay."]
        assert (len(home.requests), len(other.requests)) == (n_before[0] + 1, n_before[1] + 1)
        await asyncio.wait_for(home.requests[-1].closed_by_client.wait(), WAIT_SECS)
        assert (group.n_hedged, group.n_moved) == (1, 0)
        # Late is not gone.
        assert [one.gone for one in group.addresses] == ["", ""]


@in_virtual_time
async def test_hedging_asks_no_more_than_its_share_twice() -> None:
    async with servers((), ()) as (first, second):
        first.otherwise = second.otherwise = Reply("Okay.", first_delay_secs=0.1)
        asked = grouped(first, second, hedge_share=0.05)
        await asked_with_hedges(asked, HEDGE_FROM)
        # Everything is late from now on, as far as was seen.
        first.otherwise = second.otherwise = Reply("Okay.", first_delay_secs=0.3)
        assert await asked_with_hedges(asked, 80) == ["Okay."] * 80
        group = group_in(asked)
        n_sent = len(first.requests) + len(second.requests)
        assert group.n_asked == 100
        assert 1 <= group.n_hedged <= 5
        # One that was answered at that very moment is counted, and may not have been sent.
        assert 100 < n_sent <= 100 + group.n_hedged


@in_virtual_time
async def test_a_tool_is_called_once_whoever_is_asked() -> None:
    call = ToolCall("light", ('{"on": true}',))
    calls: list[dict[str, Any]] = []

    async def light(params: FunctionCallParams) -> None:
        calls.append(dict(params.arguments))
        await params.result_callback({"on": True})

    async with servers((), ()) as (first, second):
        first.otherwise = second.otherwise = Reply("Okay.", first_delay_secs=0.1)
        asked = grouped(first, second, hedge_share=0.5)
        await asked_with_hedges(asked, HEDGE_FROM)
        late = Reply(tool_calls=[call], first_delay_secs=0.3)
        first.script, second.script = [late], [late]
        service = LocalLLMService(asked)
        service.register_function("light", light)
        context = question("light on")
        async with session(service) as running:
            await running.send(LLMContextFrame(context))
            await running.settle()
        assert len(first.requests) + len(second.requests) == HEDGE_FROM + 2
        assert calls == [{"on": True}]


@in_virtual_time
async def test_each_address_is_shown_its_own_key_and_no_other() -> None:
    async with servers((Drop(),), ()) as (first, second):
        asked = grouped(first, second, keys=("first-key", "second-key"))
        async with session(LocalLLMService(asked)) as running:
            await running.ask(question())
        shown = [[one.headers["authorization"] for one in server.all_requests] for server in (first, second)]
        assert {*shown[0]} == {"Bearer first-key"}
        assert {*shown[1]} == {"Bearer second-key"}
        assert first.requests[0].headers["host"] == f"127.0.0.1:{first.port}"
        assert second.requests[0].body == first.requests[0].body
        assert second.requests[0].headers.keys() == first.requests[0].headers.keys()


@in_virtual_time
async def test_who_interrupts_hangs_up_on_all_that_were_asked() -> None:
    from pipecat.frames.frames import InterruptionFrame

    async with servers((Hang(),), (Hang(),)) as (first, second):
        asked = grouped(first, second)
        async with session(LocalLLMService(asked)) as running:
            await running.send(LLMContextFrame(question()))
            await second.asked()
            await running.send(InterruptionFrame())
            for server in (first, second):
                await asyncio.wait_for(server.requests[0].closed_by_client.wait(), WAIT_SECS)
            await running.settle()
        assert [one.n_in_flight for one in group_in(asked).addresses] == [0, 0]
