"""STUN and TURN servers: none by default, and those that are set as browsers and aiortc take them."""

import pytest

from agent.errors import SettingsError
from agent.server.calls.ice_servers import ice_servers_of, own_ice_servers
from agent.settings.load import load_settings


def test_no_ice_server_is_used_unless_it_is_set() -> None:
    assert ice_servers_of(load_settings()) == []
    assert own_ice_servers(load_settings()) == []
    turn = '{"urls": ["turn:b.example:3478?transport=tcp"], "username": "me", "credential": "secret"}'
    text = f'[{{"urls": "stun:a.example"}}, {turn}]'
    settings = load_settings({"server.ice_servers": text})
    assert ice_servers_of(settings) == [
        {"urls": ["stun:a.example"]},
        {"urls": ["turn:b.example:3478?transport=tcp"], "username": "me", "credential": "secret"},
    ]
    assert [server.credential for server in own_ice_servers(settings)] == [None, "secret"]
    simple = load_settings({"server.ice_servers": "stun:a.example:3478, stuns:b.example"})
    assert ice_servers_of(simple) == [{"urls": ["stun:a.example:3478"]}, {"urls": ["stuns:b.example"]}]


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("http://a.example", "String should match pattern"),
        ("turn:a.example", "a TURN server needs username and credential"),
        ("[1", "expected a JSON list"),
        ('[{"urls": []}]', "at least 1 item"),
        ('[{"urls": "stun:a", "password": "secret"}]', "unknown setting"),
    ],
)
def test_a_broken_ice_server_is_named(value: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=r"server\.ice_servers") as caught:
        load_settings({"server.ice_servers": value})
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)
