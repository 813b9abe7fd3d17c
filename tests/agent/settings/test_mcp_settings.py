"""Settings of servers of tools: one line for each mistake, and no secret in any."""

import json
from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.settings.load import effective_values, load_settings, public_values


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[mcp.servers.x]", "mcp.servers.x: it has a command or a url, one of them"),
        ('[mcp.servers.x]\nurl="http://h/"\ncommand="c"', "mcp.servers.x: it has a command or a url, one of them"),
        ('[mcp.servers.x]\ncommand="c"\ntoken="t0psecret"', "mcp.servers.x: headers and token belong to a url"),
        ('[mcp.servers.x]\nurl="http://h/"\nenv={A="t0psecret"}', "mcp.servers.x: args and env belong to a command"),
        (
            '[mcp.servers.x]\nurl="ftp://h/"',
            "mcp.servers.x.url = 'ftp://h/': expected an address without a password, such as http://127.0.0.1:8000/mcp",
        ),
        (
            '[mcp.servers.x]\nurl="http://me:t0psecret@h/"',
            "mcp.servers.x.url = 'http://h/': expected an address without a password, such as http://127.0.0.1:8000/mcp",
        ),
        ('[mcp.servers."x y"]\nurl="http://h/"', "'x y' is no name of a server: up to 32 letters, digits, - and _"),
        ('[mcp.servers.x]\nurl="http://h/"\nheaders={"A B"="t0psecret"}', "'A B' is no name of a header"),
        (
            '[mcp.servers.x]\nurl="http://h/"\nheaders={A="t0psecret\\nB: c"}',
            "mcp.servers.x.headers.A: it holds characters that no header may have",
        ),
        (
            '[mcp.servers.x]\nurl="http://h/"\ntoken="t0psecret\u00e9"',
            "mcp.servers.x.token: it holds characters that no header may have",
        ),
        ('[home]\nurl="http://h/"\ntoken="t0psecret\u00e9"', "home.token: it holds characters that no header may have"),
        ('[home]\nurl="http://h/"\ntoken=" "', "home.url and home.token go together; one of them is missing"),
        ("[home]\nmax_entities=-3", "home.max_entities = -3: Input should be greater than or equal to 1"),
        ('[home]\nurl="ftp://h/?t0psecret"', "home.url = 'ftp://h/': expected an address without a password"),
        ('[large]\napi_key="t0psecret"', "large.api_key: there is no large model: set large.model or"),
        ('[llm]\napi_key="t0psecret\\u0007"', "llm.api_key: it holds characters that no header may have"),
        ('[mcp.servers.x]\nurl="http://h/"\nprefix="a b"', "prefix: expected up to 32 letters, digits, - and _"),
        ('[mcp.servers.x]\nulr="http://h/"', "unknown setting in {path}: mcp.servers.x.ulr"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_place(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "sotto.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(config=path)
    assert problem.format(path=path) in str(caught.value)
    assert "t0psecret" not in str(caught.value)


def test_white_space_around_a_token_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "sotto.toml"
    path.write_text(
        '[home]\nurl="http://h/"\ntoken="t0psecret\\n"\n'
        '[mcp.servers.x]\nurl="http://h/"\ntoken=" t0psecret"\nheaders={A="b "}\n'
    )
    settings = load_settings(config=path)
    (server,) = settings.mcp.servers.values()
    tokens = [settings.home.token, server.token, server.headers["A"]]
    assert [one and one.get_secret_value() for one in tokens] == ["t0psecret", "t0psecret", "b"]


def test_a_flag_takes_servers_as_json_and_nothing_shows_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = '{"x": {"command": "c", "args": ["--key", "t0psecret"], "env": {"A": "t0psecret"}}}'
    monkeypatch.setenv("SOTTO_MCP__SERVERS", '{"y": {"url": "http://h/", "token": "t0psecret"}}')
    assert list(load_settings().mcp.servers) == ["y"]
    settings = load_settings({"mcp.servers": secret})
    assert settings.mcp.servers["x"].args[1].get_secret_value() == "t0psecret"
    shown = json.loads(dict(effective_values(settings))["mcp.servers"])
    assert (shown["x"]["command"], list(shown["x"]["env"])) == ("c", ["A"])
    assert dict(effective_values(load_settings(alone=True)))["mcp.servers"] == "{}"
    keyed = load_settings({"mcp.servers": '{"z": {"url": "http://h/mcp?key=t0psecret#t0psecret"}}'})
    assert keyed.mcp.servers["z"].url == "http://h/mcp?key=t0psecret#t0psecret"
    assert "http://h/mcp" in str(public_values(keyed))
    assert "t0psecret" not in f"{public_values(keyed)} {list(effective_values(keyed))}"
    assert "t0psecret" not in f"{public_values(settings)} {list(effective_values(settings))} {settings!r}"
    with pytest.raises(SettingsError, match=r"mcp\.servers: expected a JSON object: server by name"):
        load_settings({"mcp.servers": "{"})
