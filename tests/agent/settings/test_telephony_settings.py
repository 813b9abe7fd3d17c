"""Settings of telephone lines: one line for each mistake, and no secret in any."""

from pathlib import Path

import pytest

from agent.errors import SettingsError
from agent.server.telephony.lines import telephone_lines
from agent.settings.load import effective_values, load_settings, public_values


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[telephony.lines."A B"]\nprovider="twilio"', "'A B' is no name of a line: up to 32 small letters, digits"),
        ('[telephony.lines."../x"]\nprovider="twilio"', "'../x' is no name of a line: up to 32 small letters, digits"),
        (
            '[telephony.lines.x]\nprovider="t0psecret"',
            "telephony.lines.x.provider: Input should be 'twilio', ",
        ),
        ('[telephony.lines.x]\nprovider="twilio"\nsecret="t0psecret\\n1"', "telephony.lines.x.secret: it holds"),
        (
            '[telephony.lines.x]\nprovider="telnyx"\nsecret="t0psecret"',
            "telephony.lines.x: secret must be the account's public key at Telnyx: 32 bytes in base 64",
        ),
        (
            '[telephony.lines.x]\nprovider="asterisk"\nsecret="t0psecret"',
            "telephony.lines.x: secret must be a UUID, as `uuidgen` makes one: AudioSocket shows it, and",
        ),
        (
            '[telephony.lines.x]\nprovider="asterisk"\naudiosocket_port=1\naudiosocket_host="0.0.0.0"',
            "telephony.lines.x: secret is missing: without it, audiosocket_host must be 127.0.0.1",
        ),
        (
            '[telephony.lines.x]\nprovider="twilio"\naudiosocket_port=1',
            "telephony.lines.x: audiosocket_port belongs to a line whose provider is asterisk",
        ),
        ("[telephony.lines.x]", "telephony.lines.x.provider: Field required"),
        ('[telephony.lines.x]\nprovider="twilio"\nsecrte="t0psecret"', "unknown setting in {path}: telephony.lines.x"),
        ('[telephony]\nurl="wss://h/"', "telephony.url = 'wss://h/': expected an address without a password, such as"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_place(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "sotto.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(config=path)
    assert problem.format(path=path) in str(caught.value)
    assert "t0psecret" not in str(caught.value)


def test_a_secret_is_shown_nowhere() -> None:
    lines = '{"office": {"provider": "twilio", "secret": "t0psecret"}}'
    settings = load_settings({"telephony.url": "https://agent.example.org/", "telephony.lines": lines}, alone=True)
    assert settings.telephony.lines["office"].secret
    assert "t0psecret" not in str([*effective_values(settings), public_values(settings)])


def test_whoever_starts_the_server_is_told_of_its_lines() -> None:
    lines = {
        "a": {"provider": "twilio", "secret": "t0psecret"},
        "b": {"provider": "twilio"},
        "c": {"provider": "asterisk", "audiosocket_port": 0},
    }
    settings = load_settings({"telephony.url": "https://agent.example.org/", "telephony.lines": lines}, alone=True)
    assert list(telephone_lines(settings.telephony, {"c": 9092})) == [
        "telephone line a (twilio): webhook https://agent.example.org/telephony/a",
        "telephone line b (twilio): webhook https://agent.example.org/telephony/b; "
        "for this machine alone until telephony.lines.b.secret is set",
        "telephone line c (asterisk): WebSocket at /telephony/c and AudioSocket at 127.0.0.1:9092; "
        "for this machine alone until telephony.lines.c.secret is set",
    ]
