"""Rules of the house, read from the sources: who may import what, who reads the environment, what may stand where."""

import ast
import asyncio
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, ConnectionBeyondLoopback

ROOMS = ("agent", "processors", "transports")
SETTINGS = "agent/settings/load.py"
SECTIONS = "agent/settings/section.py"
HARD_LIMIT_LINES = 400
SOFT_LIMIT_LINES = 300
TOP_LEVEL = {
    *ROOMS,
    "findings",
    "tests",
    "web",
    "pyproject.toml",
    "docker-compose.yml",
    "Dockerfile",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "sotto.example.toml",
    ".ci",
    ".dockerignore",
    ".env.example",
    ".gitattributes",
    ".gitignore",
    ".pre-commit-config.yaml",
}
# Left behind by tools, for a copy of the sources without git.
LEFTOVERS = {".git", ".venv", "__pycache__", ".pytest_cache", ".ruff_cache", "node_modules", "dist", "build"}

DEVICE_LIBRARIES = {"sounddevice", "pyaudio"}
DOWNLOAD_LIBRARIES = {"huggingface_hub", "requests", "urllib.request"}
MODEL_LIBRARIES = {
    *("ctranslate2", "faster_whisper", "kokoro_onnx", "onnxruntime", "pocketsphinx"),
    *("sherpa_onnx", "silero_vad", "transformers", "torch", "xllamacpp"),
}
# What a room may not import, with everything below that name.
FORBIDDEN_IMPORTS: dict[str, set[str]] = {
    "agent": {"tests"},
    "processors": {"agent", "transports", "tests", *DEVICE_LIBRARIES, *DOWNLOAD_LIBRARIES},
    "transports": {"agent", "processors", "tests", *DOWNLOAD_LIBRARIES, *MODEL_LIBRARIES},
}
# Which room may import which: `x.*` stands for x and every room in it. A room is a folder, or one file where the table
# names it. What stands further down imports only what stands above it, so that no two rooms can need each other.
GROUND = ("agent", "processors.*", "transports")
DOOR = (*GROUND, "agent.settings", "agent.engines", "agent.tools", "agent.conversation", "agent.server.wire")
FRONT_ROOMS = ("agent.engines.process", "agent.server.wire", "agent.server.guard", "agent.server.http_server")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("processors", "transports"), ()),
    **dict.fromkeys(("processors.text", "processors.ear"), ("processors",)),
    **dict.fromkeys(("processors.stt", "processors.tts"), ("processors", "processors.text")),
    "processors.turns": ("processors", "processors.ear", "processors.text"),
    "processors.llm": ("processors", "processors.text", "processors.turns"),
    "processors.wake": ("processors", "processors.ear", "processors.text", "processors.turns"),
    "processors.voice": ("processors", "processors.turns"),
    # early_signals, errors, library_switches, logs, stopping, plain_text, transcripts
    "agent": ("processors", "processors.stt", "transports"),
    **dict.fromkeys(("agent.settings", "agent.models.sources"), GROUND),
    "agent.models": (*GROUND, "agent.models.sources"),
    "agent.engines": (*GROUND, "agent.settings", "agent.models.*"),
    "agent.engines.process": (*GROUND, "agent.settings", "agent.engines"),
    # What the agent does and remembers, below every conversation.
    "agent.tools": (*GROUND, "agent.settings"),
    "agent.memory": (*GROUND, "agent.settings", "agent.tools"),
    "agent.conversation": (*GROUND, "agent.settings", "agent.engines", "agent.tools", "agent.memory"),
    "agent.server.wire": (*GROUND, "agent.settings", "agent.memory", "agent.conversation"),
    "agent.server.guard": (*GROUND, "agent.settings", "agent.server.wire"),
    "agent.server.calls": (*DOOR, "agent.engines.process", "agent.memory"),
    "agent.server.realtime": (*DOOR, "agent.server.guard", "agent.server.calls"),
    "agent.server.telephony": (*DOOR, "agent.server.guard", "agent.server.calls"),
    "agent.server.speech": (*GROUND, "agent.settings", "agent.engines", "agent.server.wire"),
    **dict.fromkeys(("agent.server.metrics", "agent.load", "agent.audit"), GROUND),
    "agent.server.state": (
        *GROUND,
        *("agent.settings", "agent.models", "agent.engines", "agent.conversation"),
        *(f"agent.server.{room}" for room in ("wire", "calls", "guard", "speech", "realtime", "metrics")),
    ),
    "agent.server.routes": (
        *(*GROUND, "agent.settings", "agent.engines", "agent.tools", "agent.memory", "agent.conversation"),
        *("agent.models.*", "agent.server.wire", "agent.server.calls", "agent.server.speech", "agent.server.state"),
    ),
    "agent.server.wyoming": (
        *(*GROUND, "agent.settings", "agent.engines", "agent.conversation"),
        *("agent.server.wire", "agent.server.calls", "agent.server.guard", "agent.server.speech", "agent.server.state"),
    ),
    "agent.server.http_server": (*GROUND, "agent.settings", "agent.server.guard"),
    "agent.server.workers": (*GROUND, "agent.settings", *FRONT_ROOMS),
    "agent.server": (  # app and run
        *(*GROUND, "agent.settings", "agent.engines.*", "agent.memory", "agent.conversation", "agent.server.*"),
    ),
    "agent.commands": (
        *(*GROUND, "agent.audit", "agent.load", "agent.settings", "agent.engines", "agent.tools", "agent.memory"),
        *("agent.conversation", "agent.models", "agent.models.sources"),
    ),
    "agent.cli": (*GROUND, "agent.settings", "agent.commands", "agent.server", "agent.server.workers"),
}
ENVIRONMENT_NAMES = {"environ", "environb", "getenv", "getenvb"}
ENVIRONMENT_LIBRARIES = {"pydantic_settings", "dotenv"}

# Joined here, so that this file passes its own rules.
REGISTRY_HOSTS = ["".join(parts) for parts in (("py", "pi.org"), ("python", "hosted"), ("npm", "js."))] + [
    "".join(parts) for parts in (("yarn", "pkg.com"), ("crates", ".io"), ("anaconda", ".org"))
]
MACHINE_PATHS = re.compile(r"(?<![\w.~\-/])/(?:" + "|".join(["work/", "root/", r"home/\w", r"Users/\w"]) + ")")


def house_files() -> list[Path]:
    """Files of the repository: those that git tracks, or all of them in a copy without git."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True)  # noqa: S607
    paths = [REPOSITORY / name for name in listing.stdout.split("\0") if name]
    if not paths:
        paths = [
            path
            for path in REPOSITORY.rglob("*")
            if not LEFTOVERS.intersection(path.relative_to(REPOSITORY).parts)
            and not any(part.endswith(".egg-info") for part in path.parts)
            and path != REPOSITORY / "uv.lock"
        ]
    return sorted(path for path in paths if path.is_file())


FILES = house_files()
# Those that git does not know yet, too: the rules hold before the first `git add`.
SOURCES = sorted(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def texts() -> Iterator[tuple[str, str]]:
    """Every file that holds text, with its name."""
    for path in FILES:
        content = path.read_bytes()
        if b"\0" not in content:
            yield name_of(path), content.decode("utf-8", errors="replace")


def imports_of(tree: ast.AST, file: str) -> Iterator[tuple[int, str]]:
    """Every absolute dotted name that a source imports, with its line; `from a import b` gives `a` and `a.b`.

    Args:
        tree: The parsed source.
        file: Its path from the repository's root, which relative imports start from.
    """
    package = file.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            name = node.args[0]
            if function in ("import_module", "__import__") and isinstance(name, ast.Constant):
                yield node.lineno, str(name.value)


def forbidden_imports(source: str, file: str) -> list[str]:
    """Imports that the room of `file` may not make, as `file:line imports name`."""
    forbidden = FORBIDDEN_IMPORTS[file.split("/")[0]]
    found = {
        (line, rule)
        for line, module in imports_of(ast.parse(source), file)
        for rule in forbidden
        if module == rule or module.startswith(rule + ".")
    }
    return [f"{file}:{line} imports {rule}" for line, rule in sorted(found)]


def module_of(path: Path) -> str:
    """The dotted name of a source; of a package's `__init__.py`, the package's own."""
    return name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def room_of(module: str) -> str:
    """The room that a module stands in."""
    if module in MAY_IMPORT:
        return module
    return module.rpartition(".")[0]


def own_imports(sources: dict[str, str]) -> dict[str, set[str]]:
    """Which of the modules each of them imports, for type checking or late as well.

    Args:
        sources: Text by dotted name.
    """
    return {
        module: {name for _, name in imports_of(ast.parse(text), module.replace(".", "/"))} & sources.keys() - {module}
        for module, text in sources.items()
    }


def wrong_directions(imports: dict[str, set[str]]) -> list[str]:
    """Imports from one room into another that the table does not allow."""

    def is_allowed(room: str, other: str) -> bool:
        for rule in MAY_IMPORT[room]:
            whole = rule.removesuffix(".*")
            if other == rule or (whole != rule and (other == whole or other.startswith(whole + "."))):
                return True
        return room == other

    return sorted(
        f"{module} imports {other}"
        for module, others in imports.items()
        for other in others
        if not is_allowed(room_of(module), room_of(other))
    )


def circles(imports: dict[str, set[str]]) -> set[str]:
    """Modules that need each other: what is left once those are taken away, again and again, that need nothing left."""
    left = dict(imports)
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    # And those that are only needed by nothing in a circle, from the other end.
    while unneeded := left.keys() - set().union(*left.values()):
        for module in unneeded:
            del left[module]
    return set(left)


def environment_reads(source: str, file: str) -> list[str]:
    """Places that read the environment, whatever name `os` goes by, as `file:line name`."""
    tree = ast.parse(source)
    found: set[tuple[int, str]] = set()
    for line, module in imports_of(tree, file):
        found |= {(line, part) for part in module.split(".") if part in ENVIRONMENT_NAMES | ENVIRONMENT_LIBRARIES}
        if module == "os.*":
            found.add((line, module))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ENVIRONMENT_NAMES:
            found.add((node.lineno, node.attr))
        elif isinstance(node, ast.keyword) and node.arg == "envvar":
            found.add((node.value.lineno, "envvar"))
    return [f"{file}:{line} {name}" for line, name in sorted(found)]


def test_every_room_has_sources() -> None:
    assert {name_of(path).split("/")[0] for path in SOURCES} == set(ROOMS)


def test_no_room_imports_what_it_may_not() -> None:
    assert [line for path in SOURCES for line in forbidden_imports(path.read_text(), name_of(path))] == []


SOURCE_TEXTS = {module_of(path): path.read_text() for path in SOURCES}


def test_every_source_stands_in_a_room_of_the_table() -> None:
    assert {room_of(module) for module in SOURCE_TEXTS if module not in MAY_IMPORT} - MAY_IMPORT.keys() == set()


def test_imports_go_from_room_to_room_as_the_table_says() -> None:
    assert wrong_directions(own_imports(SOURCE_TEXTS)) == []


def test_no_two_files_need_each_other() -> None:
    assert circles(own_imports(SOURCE_TEXTS)) == set()


def test_a_wrong_direction_and_a_circle_are_found() -> None:
    sources = {
        "agent.models.a": "from agent.engines import b",
        "agent.engines.b": "def f():\n    from agent.models.a import x",
        "agent.engines.c": "import agent.engines.b",
        "processors.ear.d": "from processors.turns.e import x\nimport numpy",
        "processors.turns.e": "",
    }
    imports = own_imports(sources)
    assert wrong_directions(imports) == [
        "agent.models.a imports agent.engines.b",
        "processors.ear.d imports processors.turns.e",
    ]
    assert circles(imports) == {"agent.models.a", "agent.engines.b"}


def test_only_the_settings_read_the_environment() -> None:
    others = [path for path in SOURCES if name_of(path) != SETTINGS]
    reads = [line for path in others for line in environment_reads(path.read_text(), name_of(path))]
    # The sections mark fields for the reader, with an annotation of its library.
    # NumPy's threads and every library's reports are told of before anything imports them; nothing is read there.
    # The audit watches who else reads it, within the program under audit.
    wanted = [
        *("agent/__init__.py environ", "agent/audit/python_hook.py environ", "agent/library_switches.py environ"),
        f"{SECTIONS} pydantic_settings",
    ]
    assert sorted({line.split(":")[0] + " " + line.split()[-1] for line in reads}) == wanted


@pytest.mark.parametrize(
    ("file", "source", "found"),
    [
        ("agent/pipeline.py", "from processors.stt import service\nimport transports.replay", []),
        ("processors/tts/a.py", "from . import b\nfrom ..errors import E\nimport pipecat.frames", []),
        ("processors/tts/a.py", "import agent", ["processors/tts/a.py:1 imports agent"]),
        ("processors/tts/a.py", "from ...agent import x", ["processors/tts/a.py:1 imports agent"]),
        ("processors/a.py", "def f():\n    from agent.settings.load import S", ["processors/a.py:2 imports agent"]),
        ("processors/a.py", "import agents", []),
        ("processors/a.py", "from urllib import parse", []),
        ("processors/a.py", "from urllib import request", ["processors/a.py:1 imports urllib.request"]),
        ("transports/a.py", "import processors.errors as e", ["transports/a.py:1 imports processors"]),
        ("transports/a.py", "importlib.import_module('agent.x')", ["transports/a.py:1 imports agent"]),
        ("transports/a.py", "import sounddevice", []),
    ],
)
def test_an_import_against_the_rules_is_found(file: str, source: str, found: list[str]) -> None:
    assert forbidden_imports(source, file) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os\nos.path.join('a', 'environ')", []),
        ("import os\nos.environ['A']", ["agent/a.py:2 environ"]),
        ("import os as o\nx = o.getenv('A')", ["agent/a.py:2 getenv"]),
        ("from os import getenv as g", ["agent/a.py:1 getenv"]),
        ("import os.environ", ["agent/a.py:1 environ"]),
        ("from os import *", ["agent/a.py:1 os.*"]),
        ("import pydantic_settings", ["agent/a.py:1 pydantic_settings"]),
        ("typer.Option(8, envvar='PORT')", ["agent/a.py:1 envvar"]),
    ],
)
def test_a_read_of_the_environment_is_found(source: str, found: list[str]) -> None:
    assert environment_reads(source, "agent/a.py") == found


def test_the_top_level_holds_only_what_the_design_allows() -> None:
    assert {name_of(path).split("/")[0] for path in FILES} - TOP_LEVEL == set()


def test_no_file_names_a_package_registry() -> None:
    named = [(name, host) for name, text in texts() for host in REGISTRY_HOSTS if host in text.lower()]
    assert named == []


def test_no_file_holds_a_path_of_one_machine() -> None:
    assert [(name, found[0]) for name, text in texts() if (found := MACHINE_PATHS.search(text))] == []


@pytest.mark.parametrize("text", ["cd {}work/main", "'{}root/.cache'", "={}home/ada/x", "{}Users/ada"])
def test_a_path_of_one_machine_is_found(text: str) -> None:
    assert MACHINE_PATHS.search(text.format("/"))


@pytest.mark.parametrize("text", ["framework/x", "https://example.com/home/page", "~/src/x", "a{}root/b", "/rooted"])
def test_other_paths_are_allowed(text: str) -> None:
    assert not MACHINE_PATHS.search(text.format("/"))


def test_sources_stay_short_enough_to_walk_through(capsys: pytest.CaptureFixture[str]) -> None:
    n_lines = {name: text.count("\n") for name, text in texts() if name.endswith((".py", ".js"))}
    long = {name: n for name, n in n_lines.items() if n > SOFT_LIMIT_LINES}
    with capsys.disabled():
        for name, n in sorted(long.items()):
            print(f"\nnote: {name} has {n} lines; aim for {SOFT_LIMIT_LINES}", end="")
    assert {name: n for name, n in long.items() if n > HARD_LIMIT_LINES} == {}


async def test_a_test_cannot_reach_beyond_loopback(refused_connections: list[str]) -> None:
    # 192.0.2.0/24 and 2001:db8::/32 are for documentation: nothing answers there.
    with pytest.raises(ConnectionBeyondLoopback), socket.socket() as tcp:
        tcp.connect(("192.0.2.1", 80))
    with pytest.raises(ConnectionBeyondLoopback):
        await asyncio.open_connection("2001:db8::1", 443)
    assert refused_connections == ["192.0.2.1:80", "2001:db8::1:443"]
    refused_connections.clear()


async def test_a_test_can_talk_to_itself_and_send_datagrams() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b"hello"
        writer.close()
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.connect(("192.0.2.1", 9))
