"""`sotto serve` with servers of tools: shown in /health, and gone with it, however it ends."""

import json
import signal
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.mcp_peers import peer_settings
from tests.support.served import serving

SECS = 60


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.apart
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_of_tools_is_shown_and_does_not_outlive_sotto(ending: signal.Signals, tmp_path: Path) -> None:
    settings = peer_settings(tmp_path)
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    dead = ["[mcp.servers.dead]", 'command = "no-such-program"']
    (tmp_path / "sotto.toml").write_text("\n".join(["[mcp.servers.peer]", *lines, *dead]))
    with serving(tmp_path) as served:
        until = time.monotonic() + SECS
        while (tools := httpx.get(f"{served.url}/health").json()["engines"]["tools"])["model"] != "1 of 2 there":
            assert time.monotonic() < until, tools
            time.sleep(0.2)
        assert tools["note"] == (
            "peer has 12 tools; dead is down: no-such-program cannot be started (No such file or directory)"
        )
        pid = int((tmp_path / "mark").read_text().split()[1])
        assert _runs(pid)
        served.stop(ending)
        until = time.monotonic() + SECS
        while _runs(pid):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert "Traceback" not in "".join(served.lines)
