"""The `sotto` command."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from agent import __version__
from agent.commands.usage import Commands, UsageError, show_help, usage_line
from agent.early_signals import SIGNALLED_STATUS, end_on_signals
from agent.errors import InputError, SottoError, one_line
from agent.settings.assignments import parse_assignment
from agent.settings.in_persona import with_persona
from agent.settings.load import Settings, load_settings

app = typer.Typer(
    name="sotto",
    cls=Commands,
    help="A voice agent that lives on your own machine: you talk, it listens, thinks and answers in speech.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Stt = Annotated[str | None, typer.Option("--stt", help="Speech-to-text engine.", metavar="ENGINE")]
Llm = Annotated[str | None, typer.Option("--llm", help="Language model engine.", metavar="ENGINE")]
Tts = Annotated[str | None, typer.Option("--tts", help="Text-to-speech engine.", metavar="ENGINE")]
Device = Annotated[
    str | None, typer.Option("--device", help="Where models run: auto, cpu, cuda or mps.", metavar="DEVICE")
]
Persona = Annotated[
    str | None,
    typer.Option("--persona", help="Who the agent is: a persona's name, or a Markdown file.", metavar="NAME"),
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="Any setting, such as vad.stop_secs=0.3.", metavar="KEY=VALUE")
]
Config = Annotated[Path | None, typer.Option("--config", help="Configuration file, in place of ./sotto.toml.")]


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    api_only: Annotated[
        bool, typer.Option("--api-only", help="Serve the speech API alone: ears and voice, no page, no language model.")
    ] = False,
    https: Annotated[
        bool, typer.Option("--https", help="Serve by https, with a certificate of sotto's own unless one is set.")
    ] = False,
    wyoming: Annotated[
        int | None, typer.Option(help="Port for Home Assistant by its Wyoming protocol; 0 takes a free one.")
    ] = None,
    device: Device = None,
    stt: Stt = None,
    llm: Llm = None,
    tts: Tts = None,
    persona: Persona = None,
    sets: Sets = None,
    config: Config = None,
) -> None:
    """Serve the page to talk on and an OpenAI-compatible speech API, at http://127.0.0.1:7860 by default."""
    flags: dict[str, Any] = {"server.host": host, "server.port": port, "server.https": https or None}
    flags |= {"server.wyoming_port": wyoming, "compute.device": device, "persona.name": persona}
    settings = _settings(stt, llm, tts, sets, config, flags)
    if settings.server.workers > 1:
        from agent.server.workers.front import run_front

        raise typer.Exit(run_front(settings, api_only=api_only))
    from agent.server.run import run_server

    raise typer.Exit(run_server(settings, api_only=api_only))


@app.command()
def replay(
    files: Annotated[list[Path], typer.Argument(help="Recordings, or one conversation file (YAML).")],
    out: Annotated[Path | None, typer.Option(help="Write both sides as a stereo WAV.")] = None,
    events: Annotated[Path | None, typer.Option(help="Write the event log (JSON lines).")] = None,
    room: Annotated[
        str | None,
        typer.Option(help="Hold it in a simulated room with an open loudspeaker: rt60=0.4,echo_db=0.", metavar="SPEC"),
    ] = None,
    stt: Stt = None,
    llm: Llm = None,
    tts: Tts = None,
    persona: Persona = None,
    sets: Sets = None,
    config: Config = None,
) -> None:
    """Hold a conversation with recorded speech, headless and in real time.

    Exits with 0 when every turn was answered, 1 when one was not or a stage failed, 2 for bad input.
    """
    settings = _settings(stt, llm, tts, sets, config, {"persona.name": persona})
    from agent.commands.script import load_script

    script = load_script(files)
    from transports.room import RoomSpec

    around = None if room is None else RoomSpec.parse(room)
    from agent.commands.printer import PipeConsole
    from agent.commands.replay import ReplayFiles
    from agent.commands.replay import replay as hold

    raise typer.Exit(asyncio.run(hold(script, settings, ReplayFiles(out, events), PipeConsole(), around)))


@app.command()
def desktop(
    list_devices: Annotated[bool, typer.Option("--list-devices", help="List sound devices, and end.")] = False,
    microphone: Annotated[
        str | None, typer.Option("--input", help="Microphone: its number or part of its name.", metavar="NAME")
    ] = None,
    loudspeaker: Annotated[
        str | None, typer.Option("--output", help="Loudspeaker: its number or part of its name.", metavar="NAME")
    ] = None,
    half_duplex: Annotated[bool, typer.Option("--half-duplex", help="Do not listen while the agent speaks.")] = False,
    no_aec: Annotated[bool, typer.Option("--no-aec", help="Do not cancel echo: for headphones.")] = False,
    wake: Annotated[
        str | None,
        typer.Option(help="Sleep until this: alexa, hey_jarvis, hey_mycroft or okay_nabu.", metavar="WORD"),
    ] = None,
    device: Device = None,
    stt: Stt = None,
    llm: Llm = None,
    tts: Tts = None,
    persona: Persona = None,
    sets: Sets = None,
    config: Config = None,
) -> None:
    """Talk on this machine's own microphone and loudspeaker."""
    if half_duplex and no_aec:
        raise InputError("--half-duplex and --no-aec exclude each other")
    echo = "half_duplex" if half_duplex else "off" if no_aec else None
    flags = {"echo.mode": echo, "wake.words": wake, "compute.device": device, "persona.name": persona}
    settings = _settings(stt, llm, tts, sets, config, flags)
    from agent.commands.device_check import check_devices

    if not list_devices:
        check_devices(microphone, loudspeaker)
    from agent.commands.desktop import DesktopOptions
    from agent.commands.desktop import desktop as hold
    from agent.commands.printer import PipeConsole

    options = DesktopOptions(microphone, loudspeaker, list_devices)
    raise typer.Exit(asyncio.run(hold(options, settings, PipeConsole())))


@app.command()
def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Sound files, or videos with sound.")],
    kind: Annotated[
        str, typer.Option("--format", help="text, srt, vtt, json or verbose_json.", metavar="FORMAT")
    ] = "text",
    language: Annotated[str | None, typer.Option(help="ISO 639-1 code, or auto; default: stt.language.")] = None,
    translate: Annotated[bool, typer.Option("--translate", help="Write English whatever is spoken.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Hear it in real time and show words as they come.")] = False,
    channels: Annotated[
        str,
        typer.Option(
            help="split: each side of a stereo recording on its own, as of telephone calls; mono stays as it is.",
            metavar="HOW",
        ),
    ] = "mix",
    out: Annotated[Path | None, typer.Option(help="Directory for one file a recording.", metavar="DIR")] = None,
    stt: Stt = None,
    sets: Sets = None,
    config: Config = None,
) -> None:
    """Write down what is said in recordings, as text or subtitles."""
    task = "translate" if translate else None
    settings = _settings(stt, None, None, sets, config, {"stt.language": language, "stt.task": task})
    from agent.commands.transcribe import run_transcribe

    run_transcribe(files, settings, kind=kind, out=out, live=live, channels=channels)


@app.command()
def say(
    words: Annotated[list[str] | None, typer.Argument(help="The text; - or none: standard input.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write it into this file, in place of the loudspeaker; -: standard output.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--format", help="mp3, opus, aac, flac, wav or pcm; default: by the file's ending.")
    ] = None,
    voice: Annotated[str | None, typer.Option(help="A voice's name, of the engine or of OpenAI's.")] = None,
    language: Annotated[str | None, typer.Option(help="The text's, such as es or German.")] = None,
    speed: Annotated[float, typer.Option(help="0.25 to 4; 1 is the natural pace.")] = 1.0,
    tts: Tts = None,
    sets: Sets = None,
    config: Config = None,
) -> None:
    """Say a text, or write its sound into a file."""
    settings = _settings(None, None, tts, sets, config, {})
    from agent.commands.say import run_say

    run_say(words or [], settings, out=out, kind=kind, voice=voice, language=language, speed=speed)


@app.command()
def doctor(
    stt: Stt = None,
    llm: Llm = None,
    tts: Tts = None,
    sets: Sets = None,
    config: Config = None,
) -> None:
    """Print every setting and engine, what is usable, and the command that mends what is not.

    Exits with 1 if a conversation could not be held.
    """
    settings = _settings(stt, llm, tts, sets, config, {})
    from agent.commands.doctor import examine

    raise typer.Exit(asyncio.run(examine(settings)))


@app.command()
def audit(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="As `sotto replay` takes them; one spoken and one typed question if none."),
    ] = None,
    stt: Stt = None,
    llm: Llm = None,
    tts: Tts = None,
    sets: Sets = None,
    config: Config = None,
) -> None:
    """Hold a conversation in an empty home, and show all that it wrote, looked up, called and read.

    Exits with 1 if anything left this machine, or if no conversation came about. Of settings, only flags and --config
    count. Unless they name a server, there is no network but the loopback, where the system allows that.
    """
    settings = _settings(stt, llm, tts, sets, config, {}, alone=True)
    from agent.commands.audit import run_audit
    from agent.commands.printer import PipeConsole
    from agent.settings.load import whole_environment
    from agent.settings.servers import servers_named

    named = {"--stt": stt, "--llm": llm, "--tts": tts, "--config": config and config.absolute()}
    flags = [part for flag, value in named.items() if value is not None for part in (flag, str(value))]
    flags += [part for one in sets or () for part in ("--set", one)]
    servers = servers_named(settings)
    raise typer.Exit(run_audit(files or (), flags, whole_environment(), PipeConsole(), servers=servers))


@app.command()
def load(
    url: Annotated[str | None, typer.Option(help="The server; default: the one on this machine.")] = None,
    calls: Annotated[
        int | None, typer.Option(min=1, max=1000, help="How many at a time; with --find the most that are tried.")
    ] = None,
    door: Annotated[str, typer.Option(help="webrtc, websocket or realtime.")] = "webrtc",
    secs: Annotated[float, typer.Option(min=1, max=86400, help="How long, once all callers are there.")] = 60.0,
    ramp: Annotated[float, typer.Option(min=0, max=3600, help="Seconds within which they come.")] = 5.0,
    find: Annotated[bool, typer.Option("--find", help="Find the largest number of calls within the limits.")] = False,
    max_p95: Annotated[float, typer.Option(min=0, help="95 of 100 answers begin within so many seconds.")] = 2.0,
    max_unanswered: Annotated[float, typer.Option(min=0, max=100, help="Percent of the questions.")] = 1.0,
    patience: Annotated[float, typer.Option(min=1, max=600, help="Unanswered after so many seconds.")] = 15.0,
    say: Annotated[
        list[Path] | None, typer.Option(help="A recording that callers say, again for more; a.txt has a.wav's words.")
    ] = None,
    token: Annotated[str | None, typer.Option(help="The server's; default: server.token, without --url.")] = None,
    out: Annotated[Path | None, typer.Option("--json", help="Write the figures there; - for standard output.")] = None,
    sets: Sets = None,
    config: Config = None,
) -> None:
    """Have callers hold conversations with a running server, and tell how it does.

    Exits with 0 within the limits, 1 beyond them, 2 for bad input.
    """
    settings = _settings(None, None, None, sets, config, {})
    from agent.commands.load import Limits, LoadOptions, Plan, run_load, server_here

    # The token of this machine's server is for no other one.
    own_url, own_token = server_here(settings.server)
    named = (url, token) if url else (own_url, token or own_token)
    limits, plan = Limits(max_p95, max_unanswered), Plan(secs, ramp, patience)
    options = LoadOptions(*named, door, calls, find, plan, limits, say or (), out)
    raise typer.Exit(asyncio.run(run_load(options)))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def common(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """A voice agent that lives on your own machine: you talk, it listens, thinks and answers in speech."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _models_app() -> typer.Typer:
    from agent.commands.models import models_app

    return models_app


app.add_typer(_models_app(), name="models")


def _memory_app() -> typer.Typer:
    from agent.commands.memory import memory_app

    return memory_app


app.add_typer(_memory_app(), name="memory")


def _settings(
    stt: str | None,
    llm: str | None,
    tts: str | None,
    sets: Sequence[str] | None,
    config: Path | None,
    more: dict[str, Any],
    *,
    alone: bool = False,
) -> Settings:
    from agent.logs import configure_logs

    overrides: dict[str, Any] = dict(parse_assignment(text) for text in sets or ())
    flags = {"stt.engine": stt, "llm.engine": llm, "tts.engine": tts, **more}
    overrides.update({key: value for key, value in flags.items() if value is not None})
    settings = load_settings(overrides, config=config, alone=alone)
    settings = with_persona(settings, settings.persona.name, any_file=True)
    configure_logs(settings.log_level)
    return settings


def main() -> None:
    """Run the command line; expected failures are one line on standard error."""
    from processors.child_process import kill_children
    from processors.engine_threads import any_hangs

    end_on_signals(kill_children)
    try:
        _run()
    except SystemExit as end:
        if any_hangs():
            # The interpreter would wait for a thread that does not come back.
            sys.stdout.flush()
            kill_children()
            os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise


def _run() -> None:
    from processors.errors import EngineError
    from transports.errors import TransportError

    try:
        status = app(standalone_mode=False)
    except UsageError as error:
        if show_help(error):
            sys.exit(InputError.exit_status)
        _fail(InputError(usage_line(error, app, sys.argv[1:])), InputError.exit_status)
    except typer.Abort:
        _fail(SottoError("called off: nothing was done"), SottoError.exit_status)
    except SottoError as error:
        _fail(error, error.exit_status)
    except (EngineError, TransportError) as error:
        _fail(error, 1)
    except KeyboardInterrupt:
        sys.exit(SIGNALLED_STATUS + signal.SIGINT)
    else:
        sys.exit(status)


def _fail(error: Exception, status: int) -> None:
    typer.echo(f"sotto: {one_line(str(error))}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
