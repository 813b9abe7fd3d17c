"""What strace saw of a program and all that it started: files, names and addresses, native code's too.

In:  the files of `strace -ff`, one a thread.   Out: findings, those of its own folders and the loopback among them.
Format: strace(1) with `-yy` (paths and peers of descriptors) and `-xx` (every string in hexadecimal).
"""

import os
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from agent.audit.finding import Finding, Kind, is_loopback

DNS_PORTS = {53, 5353}  # unicast and multicast
_ACCEPTS = ("accept", "accept4")
_CALLS = "connect,accept,accept4,sendto,sendmsg,sendmmsg,execve,clone,clone3,fork,vfork"
_FILE_CALLS = "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,truncate"
_RENAMES = "rename,renameat,renameat2,link,linkat,symlink,symlinkat"
# 512 bytes of a message hold any name that is asked for.
ARGUMENTS = (
    *("strace", "-f", "-ff", "--seccomp-bpf", "-yy", "-xx", "-s", "512"),
    *("-e", f"trace={_CALLS},{_FILE_CALLS},{_RENAMES}", "-e", "signal=none", "-q"),
)

_LINE = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+)(?:<((?:\\x..)*)(.*)>)?")
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FOLDER = re.compile(r"AT_FDCWD<((?:\\x[0-9a-f]{2})*)>")
_INET = re.compile(r'sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]*)"\)')
_INET6 = re.compile(r'sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([^"]*)"')
_PEER = re.compile(r"^(?:\d+<)?\w+:\[.*->(?:\[([0-9a-f.:]+)\]|([0-9.]+)):(\d+)\]")
_BUFFER = re.compile(r'iov_base="((?:\\x[0-9a-f]{2})*)"')
_FRAME = re.compile(r" > (.*?)\((.*)\) \[0x[0-9a-f]+\]")
_WRITING = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC")
_RESOLVED = "io.systemd.Resolve"  # systemd's resolver, asked through a file system socket
_STARTS = ("clone", "clone3", "fork", "vfork")


@dataclass(frozen=True)
class Call:
    """One system call.

    Attributes:
        thread: Its number.
        name: The call's.
        arguments: As strace wrote them.
        result: What it returned; -1 failed.
        opened: The path of the descriptor that it returned, or empty.
        peer: Port and address that the socket which it returned is connected with, if it is one.
        stack: Shared libraries and functions, innermost first; empty without `-k`.
    """

    thread: int
    name: str
    arguments: str
    result: int
    opened: str
    peer: tuple[int, str] | None
    stack: tuple[str, ...]


def findings(notes: Path, folder: Path) -> list[tuple[int, Finding]]:
    """Every file written, name looked up and address called, with the thread that did it.

    Args:
        notes: Where `strace -ff -o notes/strace` wrote.
        folder: Where the program was started, for paths that are relative.
    """
    calls = {int(path.suffix[1:]): list(_calls(path)) for path in sorted(notes.glob("strace.*"))}
    commands = _commands(calls)
    # Who on this machine has called here: to answer them is no call, and theirs is told where they made it.
    accepted = {call.peer for of_thread in calls.values() for call in of_thread if call.name in _ACCEPTS}
    callers = {peer for peer in accepted if peer and is_loopback(peer[1])}
    found: list[tuple[int, Finding]] = []
    for thread, of_thread in calls.items():
        seen = [(*what, call.stack) for call in of_thread for what in (*_files(call, folder), *_network(call, callers))]
        is_named = any(kind == "look-up" and not subject.startswith("(") for kind, subject, _ in seen)
        for kind, subject, stack in seen:
            if not (is_named and kind == "look-up" and subject.startswith("(")):
                found.append((thread, Finding(kind, subject, commands.get(thread, ""), stack)))
    return found


def _calls(path: Path) -> Iterator[Call]:
    thread = int(path.suffix[1:])
    pending: tuple[str, str, int, str, tuple[int, str] | None] | None = None
    stack: list[str] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if frame := _FRAME.match(line):
            stack.append(f"{frame.group(1)}({frame.group(2)})")
        elif match := _LINE.match(line):
            if pending:
                yield Call(thread, *pending, tuple(stack))
            opened, socket = _text(match.group(4) or ""), match.group(5) or ""
            pending = (match.group(1), match.group(2), int(match.group(3)), opened, _peer(socket))
            stack = []
    if pending:
        yield Call(thread, *pending, tuple(stack))


def _commands(calls: dict[int, list[Call]]) -> dict[int, str]:
    """Command line by thread: its own last one, or that of the thread that started it."""
    parents: dict[int, int] = {}
    own: dict[int, str] = {}
    for thread, of_thread in calls.items():
        for call in of_thread:
            if call.name in _STARTS and call.result > 0:
                parents[call.result] = thread
            elif call.name == "execve" and call.result == 0:
                own[thread] = " ".join(_text(part) for part in _STRING.findall(call.arguments)[1:])
    for thread in calls:
        above = thread
        while above not in own and above in parents:
            above = parents[above]
        own.setdefault(thread, own.get(above, ""))
    return own


def _files(call: Call, folder: Path) -> Iterator[tuple[Kind, str]]:
    if call.result < 0 or call.name not in f"{_FILE_CALLS},{_RENAMES}".split(","):
        return
    if call.name in ("open", "openat", "openat2") and not any(flag in call.arguments for flag in _WRITING):
        return
    names = _STRING.findall(call.arguments)
    if not call.opened and not names:
        return
    start = _FOLDER.search(call.arguments)
    # The last name is where something ends: the new name of what is renamed or linked.
    path = call.opened or os.path.join(_text(start.group(1)) if start else folder, _text(names[-1]))
    yield "file", os.path.normpath(os.path.join(folder, path))


def _network(call: Call, callers: Set[tuple[int, str]]) -> Iterator[tuple[Kind, str]]:
    if call.name not in ("connect", "sendto", "sendmsg", "sendmmsg"):
        return
    if call.name != "connect" and _RESOLVED in (sent := _sent(call).decode("ascii", errors="replace")):
        for name in re.findall(r'"name":"([^"]+)"', sent):
            yield "look-up", name
    for port, address in _addresses(call):
        if (port, address) in callers and call.name != "connect":
            continue
        if port not in DNS_PORTS:
            yield "connection", f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        elif call.name == "connect":
            yield "look-up", f"(through {address}:{port})"
        else:
            for name in _questions(call):
                yield "look-up", name


def _addresses(call: Call) -> Iterator[tuple[int, str]]:
    """Where a call goes: the addresses in it, or the peer of its socket."""
    found = [
        (int(port), _text(address)) for pattern in (_INET, _INET6) for port, address in pattern.findall(_bare(call))
    ]
    if not found and call.name != "connect" and (peer := _peer(call.arguments)):
        found = [peer]
    yield from found


def _peer(socket: str) -> tuple[int, str] | None:
    """Whom a socket is connected with; it stands at the beginning, with or without the number of its descriptor."""
    found = _PEER.match(socket)
    return (int(found.group(3)), found.group(1) or found.group(2)) if found else None


def _bare(call: Call) -> str:
    """The arguments behind the socket."""
    return call.arguments.partition(">, ")[2]


def _sent(call: Call) -> bytes:
    return b"\0".join(_bytes(text) for text in _BUFFER.findall(call.arguments) or _STRING.findall(call.arguments)[:1])


def _questions(call: Call) -> Iterator[str]:
    """Names that messages of the domain name system ask for (RFC 1035, section 4.1)."""
    for text in _BUFFER.findall(call.arguments) or _STRING.findall(call.arguments)[:1]:
        message, labels, at = _bytes(text), [], 12
        while at < len(message) and 0 < message[at] < 64:
            labels.append(message[at + 1 : at + 1 + message[at]].decode("ascii", errors="replace"))
            at += 1 + message[at]
        if labels:
            yield ".".join(labels)


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def _text(escaped: str) -> str:
    """A string as strace writes it: hexadecimal, or plain where it had no need to."""
    return os.fsdecode(_bytes(escaped)) if escaped.startswith("\\x") else escaped
