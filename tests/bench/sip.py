"""A SIP telephone through a real Asterisk: baresip dials, Asterisk answers, and the agent is spoken to by either door.

    python -m tests.bench.sip [--root /path/to/a/debian] [--doors audiosocket chan_websocket]

Asterisk (22, from Debian's sid) and baresip are looked for in PATH, or below --root, where they are started by chroot;
the latter needs root. Everything stays on 127.0.0.1. The telephone plays one recording: a question, something that cuts
the answer off, and a question again; then a key is pressed, and the agent hangs up. Engines are scripted. A row of the
table tells what came of it; the dialplan is the README's.
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from loguru import logger

from tests.bench.table import show
from tests.support.house import SPEECH
from tests.support.scripted_llm import Reply, ToolCall
from tests.support.telephone_house import Lines, holding_lines
from transports.recording import load_recording

SHOWN = uuid.UUID("40325ec2-5efd-4bd3-805f-53576e581d13")
LINES: dict[str, dict[str, Any]] = {
    "pbx": {"provider": "asterisk", "audiosocket_port": 0, "secret": str(SHOWN), "keys": "answer"}
}
DOORS = {"audiosocket": "100", "chan_websocket": "101"}
HEARD = ("what is the capital of germany", "who wrote hamlet", "goodbye")
LONG_REPLY = "One two three four five six seven eight nine ten eleven twelve."
RATE_HZ = 8_000
WAIT_SECS = 60.0
MODULES = "/usr/lib/x86_64-linux-gnu/asterisk/modules"


class Machine:
    """Where Asterisk and baresip are.

    Args:
        root: Of another system, whose programs are started by chroot; None: of this one.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        base = root / "tmp" if root else Path(tempfile.gettempdir())
        base.mkdir(exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="sotto-sip-", dir=base))

    def seen(self, path: Path) -> str:
        """A path as the programs see it."""
        return f"/{path.relative_to(self._root)}" if self._root else str(path)

    async def start(self, name: str, *arguments: str) -> asyncio.subprocess.Process:
        """Start a program."""
        if self._root:
            command = ["chroot", str(self._root), name, *arguments]
        elif path := shutil.which(name):
            command = [path, *arguments]
        else:
            sys.exit(
                f"{name} is not installed: apt-get install asterisk baresip, or --root DIR of a system that has them"
            )
        log = (self.folder / f"{name.rsplit('/', 1)[-1]}.log").open("wb")
        return await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return bound.getsockname()[1]


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")


def asterisk_files(machine: Machine, folder: Path, sip_port: int, lines: Lines) -> dict[str, str]:
    """The configuration: one telephone, and the README's dialplan."""
    directories = {"astetcdir": folder, **dict.fromkeys(("astrundir", "astlogdir", "astspooldir"), folder / "var")}
    directories |= dict.fromkeys(("astdbdir", "astkeydir", "astvarlibdir", "astagidir"), folder / "var")
    shown = "\n".join(f"{name} => {machine.seen(path)}" for name, path in directories.items())
    codecs, web = "disallow=all\nallow=ulaw", f"ws://127.0.0.1:{lines.port}/telephony/pbx"
    unwanted = ("chan_iax2", "chan_unistim", "chan_motif", "chan_console", "res_hep")
    return {
        "asterisk.conf": f"[directories]\nastmoddir => {MODULES}\nastdatadir => /usr/share/asterisk\n{shown}\n",
        "modules.conf": "[modules]\nautoload=yes\n" + "".join(f"noload={name}.so\n" for name in unwanted),
        "logger.conf": "[logfiles]\nconsole => warning,error,verbose\n",
        "http.conf": "[general]\nenabled=no\n",
        "rtp.conf": "[general]\nrtpstart=20000\nrtpend=20100\n",
        "pjsip.conf": (
            f"[udp]\ntype=transport\nprotocol=udp\nbind=127.0.0.1:{sip_port}\n"
            f"[phone]\ntype=endpoint\ncontext=sotto\n{codecs}\naors=phone\ndirect_media=no\ndtmf_mode=rfc4733\n"
            "[phone]\ntype=aor\nmax_contacts=1\n[phone]\ntype=identify\nendpoint=phone\nmatch=127.0.0.1\n"
        ),
        "websocket_client.conf": (
            f"[sotto]\ntype = websocket_client\nconnection_type = per_call_config\nuri = {web}\n"
            f"protocols = media\nusername = asterisk\npassword = {SHOWN}\n"
        ),
        "extensions.conf": (
            "[sotto]\nexten => 100,1,Answer()\n"
            f" same => n,AudioSocket({SHOWN},127.0.0.1:{lines.audio_ports['pbx']})\n same => n,Hangup()\n"
            "exten => 101,1,Answer()\n same => n,Dial(WebSocket/sotto/c(slin16))\n same => n,Hangup()\n"
        ),
    }


def said() -> np.ndarray[Any, np.dtype[np.int16]]:
    """What the telephone plays, 8 kHz: a question, about a second into its answer another one, and a farewell."""
    parts: list[Any] = []
    for name, silence_secs in (("capital_of_germany", 0.7), ("days_in_a_week", 12.0), ("stop", 60.0)):
        parts += [load_recording(SPEECH / f"{name}.wav").audio_s16[::2], np.zeros(round(silence_secs * RATE_HZ), "<i2")]
    return np.concatenate([np.zeros(2 * RATE_HZ, "<i2"), *parts]).astype("<i2")


def baresip_files(machine: Machine, folder: Path, sip_port: int, control_port: int) -> dict[str, str]:
    """The telephone's configuration."""
    modules = ("account", "menu", "g711", "aufile", "sndfile", "ctrl_tcp", "uuid")
    loaded = "".join(f"module {name}.so\n" for name in modules)
    sound = machine.seen(folder / "said.wav")
    return {
        "config": (
            "module_path /usr/lib/baresip/modules\n"
            f"sip_listen 127.0.0.1:{sip_port}\nctrl_tcp_listen 127.0.0.1:{control_port}\n"
            f"audio_source aufile,{sound}\naudio_player aufile,{machine.seen(folder / 'played.wav')}\n"
            f"audio_alert aufile,{machine.seen(folder / 'alert.wav')}\n"
            f"snd_path {machine.seen(folder)}\nrtp_ports 21000-21100\nnet_interface 127.0.0.1\n{loaded}"
        ),
        "accounts": "<sip:phone@127.0.0.1>;regint=0;audio_codecs=PCMU;answermode=manual\n",
        "contacts": "",
    }


async def command(port: int, name: str, params: str = "") -> None:
    """Tell the telephone what to do."""
    text = json.dumps({"command": name, "params": params, "token": "1"})
    for _ in range(100):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except OSError:
            await asyncio.sleep(0.2)
    else:
        sys.exit("the telephone does not take commands; see its log")
    writer.write(f"{len(text)}:{text},".encode())
    await writer.drain()
    await asyncio.sleep(0.3)
    writer.close()


@asynccontextmanager
async def exchange(machine: Machine, lines: Lines) -> AsyncIterator[int]:
    """Asterisk, ready; the port where it takes SIP."""
    folder, sip_port = machine.folder / "asterisk", free_port()
    write(folder, asterisk_files(machine, folder, sip_port, lines))
    (folder / "var").mkdir()
    asterisk = await machine.start("asterisk", "-C", machine.seen(folder / "asterisk.conf"), "-f", "-vvv", "-n")
    try:
        async with asyncio.timeout(WAIT_SECS):
            while b"Asterisk Ready" not in (machine.folder / "asterisk.log").read_bytes():
                if asterisk.returncode is not None:
                    sys.exit(f"Asterisk ended: see {machine.folder / 'asterisk.log'}")
                await asyncio.sleep(0.2)
        yield sip_port
    finally:
        if asterisk.returncode is None:
            asterisk.terminate()
        await asterisk.wait()


async def call(machine: Machine, lines: Lines, sip_port: int, door: str) -> list[str]:
    """Hold one call; what the telephone heard, and what came of it."""
    folder, control_port = machine.folder / door, free_port()
    write(folder, baresip_files(machine, folder, free_port(), control_port))
    soundfile.write(folder / "said.wav", said(), RATE_HZ, "PCM_16")
    phone = await machine.start("baresip", "-f", machine.seen(folder))
    try:
        await command(control_port, "dial", f"sip:{DOORS[door]}@127.0.0.1:{sip_port}")
        cut = await lines.until_event("interruption")
        await lines.until_event("bot_stopped_speaking", 2)
        await command(control_port, "sndcode", "5")
        key = await lines.until_event("dtmf")
        ended = await lines.until_event("session_ended")
        await asyncio.sleep(1.0)
    finally:
        if phone.returncode is None:
            phone.terminate()
        await phone.wait()
    dumps = sorted(folder.glob("dump-*-dec.wav"))
    heard_s16 = soundfile.read(dumps[0], dtype="int16")[0] if dumps else np.zeros(0, "<i2")
    loud_secs = (np.abs(heard_s16.astype(int)) > 1000).sum() / RATE_HZ
    turns = [event["text"] for event in lines.named("turn_ended")]
    return [" / ".join(turns), cut["heard"], key["key"], ended["reason"], f"{loud_secs:.2f} s"]


async def measure(root: Path | None, doors: Sequence[str]) -> list[tuple[str, str, str]]:
    """Rows of the table."""
    rows: list[tuple[str, str, str]] = []
    goodbye = Reply(tool_calls=[ToolCall("hang_up", ("{}",))])
    replies = (LONG_REPLY, "Shakespeare.", "Five it is.", goodbye, "Goodbye.")
    for door in doors:
        machine = Machine(root)
        # What is asked in advance would take a reply of the script.
        settings = {"turn.speculate": False}
        async with (
            holding_lines(LINES, *HEARD, replies=replies, settings=settings) as lines,
            exchange(machine, lines) as sip_port,
        ):
            turns, heard, key, ended, loud = await call(machine, lines, sip_port, door)
        rows += [
            (f"{door}: turns", turns, ""),
            (f"{door}: of the answer that was cut, heard", heard, ""),
            (f"{door}: key", key, "5"),
            (f"{door}: why it ended", ended, "the agent hung up"),
            (f"{door}: loud sound that came out of the telephone", loud, ""),
        ]
        shutil.rmtree(machine.folder)
    return rows


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=None, help="of a system that has the programs, for chroot")
    parser.add_argument("--doors", nargs="+", choices=sorted(DOORS), default=list(DOORS))
    given = parser.parse_args()
    logger.remove()
    if given.root and os.geteuid():
        sys.exit("--root takes chroot, and so root")
    show("A SIP telephone", asyncio.run(measure(given.root, given.doors)))


if __name__ == "__main__":
    main()
