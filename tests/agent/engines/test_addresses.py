"""Several addresses of one engine: how they are set, looked at and told of, from the settings to /health."""

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from agent.commands.doctor import _print_addresses
from agent.engines import llm
from agent.engines.addresses import group_of, groups_named, looked_at
from agent.engines.candidates import choose
from agent.engines.large import large_candidates
from agent.engines.process.minds import llm_json, llm_of
from agent.engines.remote_stt import openai_candidate
from agent.engines.remote_tts import openai_voice
from agent.engines.tool_probe import may_be_asked
from agent.errors import SettingsError
from agent.settings.line import settings_line, settings_of
from agent.settings.load import Settings, effective_values, load_settings, public_values
from agent.settings.servers import servers_named
from processors.address import Group
from processors.address_looks import look
from processors.addresses import AddressGroup
from processors.errors import EngineUnavailableError
from tests.support.house import hold, hosting, say
from tests.support.llm_session import options
from tests.support.ports import free_port
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Drop, Failure, Reply, ScriptedLLM
from tests.support.served import serving_page
from tests.support.speech_server import serve_speech
from tests.support.transcription_server import HALF_SECOND, serve_transcriptions
from tests.support.virtual_time import in_virtual_time

TWO = "http://a:1/v1,http://b:2/v1"


@pytest.fixture(autouse=True)
def in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def write_config(text: str) -> None:
    Path("sotto.toml").write_text(text)


@pytest.mark.parametrize("stage", ["stt", "llm", "large", "tts"])
def test_a_list_of_a_file_and_a_text_with_commas_are_the_same(monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    write_config(f'[{stage}]\nbase_url = ["http://a:1/v1", " http://b:2/v1"]\n')
    assert getattr(load_settings(), stage).base_url == TWO
    monkeypatch.setenv(f"SOTTO_{stage.upper()}__BASE_URL", "http://c/v1 , http://d/v1")
    assert getattr(load_settings(), stage).base_url == "http://c/v1,http://d/v1"
    assert getattr(load_settings({f"{stage}.base_url": TWO}), stage).base_url == TWO
    assert f"{stage}.base_url" in servers_named(load_settings())


@pytest.mark.parametrize("url", ["http://a/v1", " http://a/v1", "http://u:p,w@a/v1", "http://a/v1,b"])
def test_one_address_stays_as_it_was_written(url: str) -> None:
    settings = load_settings({"llm.base_url": url})
    assert settings.llm.base_url == url
    assert group_of("llm", settings.llm, settings) is None


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ('["http://a/v1", "http://a/v1/"]', "an address stands in it twice"),
        ('["http://a/v1", 7]', "expected an address, or a list of addresses"),
        ('["http://a/v1", ""]', "expected an address, or a list of addresses"),
        (str([f"http://h{n}/v1" for n in range(33)]), "more than 32 addresses"),
    ],
)
def test_a_list_that_is_none_is_refused(value: str, why: str) -> None:
    write_config(f"[tts]\nbase_url = {value}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith("invalid setting in sotto.toml: tts.base_url")
    assert str(caught.value).endswith(why)


def test_no_login_of_any_address_is_shown_and_all_go_to_another_process() -> None:
    settings = load_settings({"stt.base_url": "http://me:hunter2@a/v1,http://me:hunter3@b/v1?key=hunter4"})
    shown = f"{public_values(settings)} {list(effective_values(settings))}"
    assert "hunter" not in shown
    assert "http://a/v1,http://b/v1" in shown
    again = settings_of(settings_line(settings))
    assert again.stt.base_url == settings.stt.base_url


def test_one_key_is_for_all_and_several_are_for_each_in_order() -> None:
    def keys(key: str | None) -> list[str]:
        settings = load_settings({"llm.base_url": TWO, **({"llm.api_key": key} if key else {})})
        group = group_of("llm", settings.llm, settings)
        assert group is not None
        return [one.key for one in group.addresses]

    assert keys(None) == ["", ""]
    assert keys("k") == ["k", "k"]
    assert keys("k, l") == ["k", "l"]
    with pytest.raises(EngineUnavailableError) as caught:
        keys("k,l,m")
    assert str(caught.value) == (
        "llm.api_key holds 3 keys for 2 addresses: give one for all, or one for each in the same order, with commas "
        "between"
    )


def test_an_engine_that_is_loaded_twice_knows_what_was_seen() -> None:
    settings = load_settings({"stt.base_url": TWO, "addresses.hedge_percent": 5, "addresses.silent_secs": 2})
    first = group_of("stt", settings.stt, settings)
    assert first is not None
    assert first is group_of("stt", settings.stt, settings)
    assert (first.group.hedge_share, first.group.silent_secs) == (0.05, 2)
    assert groups_named(settings) == [first]


def no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def find() -> list[Any]:
        return []

    monkeypatch.setattr(llm, "find_servers", find)


async def loaded_llm(settings: Settings) -> AddressGroup:
    (endpoint, *_) = await llm.llm_candidates(settings)
    assert endpoint.usable, endpoint.reason
    chosen = await asyncio.to_thread(choose, "llm", "endpoint", [endpoint])
    group = chosen.loaded.options.addresses
    assert group is not None
    return group


async def test_a_language_model_is_what_the_first_that_answers_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    no_servers(monkeypatch)
    dead = f"http://127.0.0.1:{free_port()}/v1"
    async with ScriptedLLM(models=("one", "two")) as good, ScriptedLLM(models=("other",)) as other:
        root = good.base_url.removesuffix("/v1")
        good.only_v1 = True
        group = await loaded_llm(load_settings({"llm.base_url": f"{dead},{root},{other.base_url}"}))
    assert [one.url for one in group.addresses] == [dead, good.base_url, other.base_url]
    assert [one.gone for one in group.addresses] == [
        "no language model (nothing listens there)",
        "",
        "it lists no one",
    ]


async def test_what_was_away_at_the_start_is_back_with_its_version_and_never_with_another_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_servers(monkeypatch)
    port = free_port()
    async with ScriptedLLM(models=("one",)) as good, ScriptedLLM(models=("other",)) as other:
        away = f"http://127.0.0.1:{port}"
        group = await loaded_llm(load_settings({"llm.base_url": f"{away},{good.base_url},{other.base_url}"}))
        late, _, wrong = group.addresses
        assert late.gone
        async with ScriptedLLM(models=("one",), port=port) as back:
            back.only_v1 = True
            await look(group, late)
            await look(group, wrong)
    assert (late.gone, late.url) == ("", f"{away}/v1")
    assert wrong.gone == "it lists no one"


async def test_all_gone_at_the_start_is_one_line_and_a_named_model_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    no_servers(monkeypatch)
    urls = [f"http://127.0.0.1:{free_port()}/v1" for _ in range(2)]
    offers = await llm.llm_candidates(load_settings({"llm.base_url": ",".join(urls)}))
    assert offers[0].reason == (
        f"none of the 2 addresses of llm.base_url answers ({urls[0]}: no language model (nothing listens there); "
        f"{urls[1]}: no language model (nothing listens there))"
    )
    group = await loaded_llm(load_settings({"llm.base_url": ",".join(urls), "llm.model": "qwen"}))
    assert all(one.gone for one in group.addresses)


async def test_the_large_model_has_addresses_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    no_servers(monkeypatch)
    async with ScriptedLLM() as first, ScriptedLLM() as second:
        settings = load_settings({"large.base_url": f"{first.base_url},{second.base_url}"})
        (offer,) = await large_candidates(settings)
        options_of_large = (await asyncio.to_thread(offer.load)).options
    assert options_of_large.addresses is not None
    assert options_of_large.addresses.stage == "large"


def test_a_model_is_tried_only_where_all_of_its_addresses_are_on_this_machine() -> None:
    def asked(*urls: str) -> bool:
        wanted = options(ScriptedLLM(port=1), addresses=AddressGroup(Group("llm", urls)))
        return may_be_asked(wanted)

    assert asked("http://127.0.0.1:1/v1", "http://localhost:2/v1")
    assert not asked("http://127.0.0.1:1/v1", "http://box:2/v1")


async def test_another_process_asks_the_same_addresses_with_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    no_servers(monkeypatch)
    async with ScriptedLLM() as first, ScriptedLLM() as second:
        named = f"{first.base_url.replace('//', '//me:pw@')},{second.base_url}"
        settings = load_settings({"llm.base_url": named, "llm.api_key": "k,l"})
        (endpoint, *_) = await llm.llm_candidates(settings)
        chosen = await asyncio.to_thread(choose, "llm", "endpoint", [endpoint])
    there = llm_of(llm_json(chosen), None).loaded.options.addresses  # pyright: ignore[reportArgumentType]
    assert there is not None
    assert [(one.url, one.login, one.key) for one in there.addresses] == [
        (first.base_url, ("me", "pw"), "k"),
        (second.base_url, None, "l"),
    ]


def test_ears_and_voice_are_looked_at_when_they_are_loaded() -> None:
    dead = f"http://127.0.0.1:{free_port()}/v1"
    with serve_transcriptions() as ears_there, serve_speech() as voice_there:
        settings = load_settings(
            {"stt.base_url": f"{dead},{ears_there.base_url}", "tts.base_url": f"{voice_there.base_url},{dead}"}
        )
        ears, voice = openai_candidate(settings).load(), openai_voice(settings).load()
        try:
            groups = groups_named(settings)
            assert [one.gone for group in groups for one in group.addresses] == [
                "nothing listens there",
                "",
                "",
                "nothing listens there",
            ]
            recognizer = ears.recognizer()
            recognizer.accept(HALF_SECOND)
            assert recognizer.finish().text == "okay"
            assert sum(len(chunk.pcm16) for chunk in voice.synthesize("Hello.")) > 0
        finally:
            ears.close()
            voice.close()


def test_a_wrong_address_among_others_is_named_alone() -> None:
    settings = load_settings({"stt.base_url": "http://a/v1,ftp://b/v1"})
    assert openai_candidate(settings).reason == "stt.base_url is no URL: ftp://b/v1"


def test_ears_that_are_nowhere_are_one_line() -> None:
    urls = [f"http://127.0.0.1:{free_port()}/v1" for _ in range(2)]
    settings = load_settings({"stt.base_url": ",".join(urls)})
    group = group_of("stt", settings.stt, settings)
    assert group is not None
    with pytest.raises(EngineUnavailableError) as caught:
        looked_at(group)
    assert str(caught.value) == (
        f"none of the 2 addresses of stt.base_url answers ({urls[0]}: nothing listens there; "
        f"{urls[1]}: nothing listens there): start one of them, or correct stt.base_url"
    )


async def test_doctor_lists_each_address_with_its_state() -> None:
    dead = f"http://127.0.0.1:{free_port()}/v1"
    async with ScriptedLLM() as good:
        url = good.base_url.replace("//", "//me:hunter2@")
        out = io.StringIO()
        settings = load_settings({"llm.base_url": f"{url},{dead}"})
        await _print_addresses(settings, Console(file=out, width=120))
        await _print_addresses(load_settings({"llm.base_url": url}), Console(file=out, width=120))
    lines = [line.split() for line in out.getvalue().splitlines() if line.startswith("llm")]
    assert lines == [
        ["llm", "1", f"{good.base_url}:", "answers"],
        ["llm", "2", f"{dead}:", "not", "usable:", "nothing", "listens", "there"],
    ]


async def test_health_and_metrics_tell_of_each_address_by_its_number() -> None:
    async with ScriptedLLM(Drop()) as bad, ScriptedLLM() as good:
        group = AddressGroup(Group("llm", (bad.base_url, good.base_url)))
        asked = options(good, addresses=group)
        async with serving_page(ScriptedRecognizerEngine(), asked) as served, httpx.AsyncClient() as web:
            answer = await web.post(f"{served.url}/api/chat", json={"text": "What is it like?"}, timeout=30)
            assert answer.status_code == 200
            health = (await web.get(f"{served.url}/health")).json()
            metrics = (await web.get(f"{served.url}/metrics")).text
    told = health["addresses"]["llm"]
    assert [(one["number"], one["state"], one["asked"], one["failed"]) for one in told["addresses"]] == [
        (1, "gone", 1, 1),
        (2, "ready", 1, 0),
    ]
    assert (told["asked"], told["moved"], told["hedged"]) == (1, 1, 0)
    values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("sotto_address_"))
    assert values == {
        'sotto_address_in_flight{engine="llm",number="1"}': "0.0",
        'sotto_address_in_flight{engine="llm",number="2"}': "0.0",
        'sotto_address_gone{engine="llm",number="1"}': "1.0",
        'sotto_address_gone{engine="llm",number="2"}': "0.0",
        'sotto_address_requests_total{engine="llm",number="1"}': "1.0",
        'sotto_address_requests_total{engine="llm",number="2"}': "1.0",
        'sotto_address_failures_total{engine="llm",number="1"}': "1.0",
        'sotto_address_failures_total{engine="llm",number="2"}': "0.0",
        'sotto_address_moved_total{engine="llm"}': "1.0",
        'sotto_address_hedged_total{engine="llm"}': "0.0",
    }
    for url in (bad.base_url, good.base_url):
        assert url not in f"{health} {metrics}"


@in_virtual_time
async def test_a_conversation_is_told_what_is_gone_and_what_is_back() -> None:
    async with ScriptedLLM(Failure(503), Reply("It is five.")) as first, ScriptedLLM(Reply("It is four.")) as second:
        group = AddressGroup(Group("llm", (first.base_url, second.base_url)))
        asked = options(first, addresses=group)
        async with hosting(
            ScriptedRecognizerEngine("what is the capital of germany"), asked, ScriptedSynthesizer()
        ) as host:
            held = await hold(host, [say("what_time_is_it.wav")], end_secs=3)
            assert group.listeners == []
    assert held.texts("llm_done") == ["It is four."]
    assert held.named("error") == []
    told = [{**event, "t": 0} for event in held.named("engine_address")]
    common = {"t": 0, "event": "engine_address", "stage": "llm", "number": 1, "of": 2}
    assert told == [
        {**common, "state": "gone", "reason": "HTTP 503", "left": 1},
        {**common, "state": "back", "reason": "", "left": 2},
    ]


@in_virtual_time
async def test_what_is_gone_already_is_told_at_the_beginning() -> None:
    async with ScriptedLLM() as good:
        group = AddressGroup(Group("llm", (good.base_url, "http://127.0.0.1:1/v1")))
        group.failed(group.addresses[1], "nothing listens there")
        asked = options(good, addresses=group)
        async with hosting(ScriptedRecognizerEngine(), asked, ScriptedSynthesizer()) as host:
            held = await hold(host, [say("what_time_is_it.wav")])
    (told,) = held.named("engine_address")
    assert (told["t"], told["number"], told["state"]) == (0.0, 2, "gone")
