"""`sotto serve --https` as other devices meet it: the real server, its own certificate, its token."""

import re
import ssl
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.served import serving
from tests.support.webrtc_peer import Peer


async def test_the_page_and_a_conversation_by_https_with_the_token_of_this_start(tmp_path: Path) -> None:
    with serving(tmp_path, "--https", "--set", "server.token=auto") as server:
        assert server.url.startswith("https://127.0.0.1:")
        ready = next(line for line in server.lines if "ready: " in line)
        (token,) = re.findall(r"ready: https://[\d.:]+/\?token=([\w-]{24})\s", ready)
        certificate = _made_in(tmp_path)
        trust = ssl.create_default_context(cafile=certificate)
        async with httpx.AsyncClient(verify=trust, timeout=30) as client:
            assert (await client.get(server.url)).status_code == 401
            page = await client.get(server.url, params={"token": token}, follow_redirects=True)
            assert (page.status_code, page.url.query) == (200, b"")
            assert "<title>" in page.text
            peer = Peer(server.url)
            body = {"sdp": await peer.offer(), "type": "offer"}
            # The cookie alone opens all else.
            answer = await client.post(f"{server.url}/api/offer", json=body)
            assert answer.json()["type"] == "answer"
            await peer.pc.close()
        fingerprint = re.findall(r"SHA-256 ([\dA-F:]{95})", "".join(server.lines))
        assert len(fingerprint) == 1
        assert server.stop() == 0


def _made_in(folder: Path) -> Path:
    (certificate,) = folder.rglob("https.pem")
    return certificate


def test_a_certificate_that_is_missing_stops_the_start_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agent.cli", "serve", "--port", "0"]
    sets = ["--set", f"server.certificate={tmp_path}/gone.pem", "--set", f"server.private_key={tmp_path}/gone.pem"]
    for flags, message in (
        (sets, f"sotto: server.certificate = {tmp_path}/gone.pem cannot be read (No such file or directory): "),
        (sets[:2], "sotto: invalid setting in a flag: server"),
    ):
        result = subprocess.run(
            [*command, *flags], capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False
        )
        assert result.returncode == 2
        assert result.stderr.strip().splitlines()[-1].startswith(message)
        assert "Traceback" not in result.stderr
