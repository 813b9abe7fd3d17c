"""Prints a conversation in the terminal as it happens."""

import os
import statistics
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from agent.conversation.activity import Activity
from agent.conversation.event_log import Event

_LATENCY_NAMES = ("turn", "stt", "llm_ttft", "tts_ttfb")


class PipeConsole(Console):
    """A console that falls silent when its reader has gone (`| head`), instead of ending the program."""

    def on_broken_pipe(self) -> None:
        """Print nothing more; what the interpreter flushes at its end goes nowhere."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class ReplayPrinter:
    """A sink that writes to a terminal or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._line_open = False

    def __call__(self, event: Event) -> None:
        """Print one event."""
        match event["event"]:
            case "session_started":
                self._engines(event)
            case "partial_transcript":
                self._line(event, "user", f"[dim]{escape(event['text'])} …[/dim]")
            case "transcript":
                self._line(event, "user", f"[bold]{escape(event['text'])}[/bold]")
            case "bot_started_speaking":
                self._close_line()
                self._console.print(f"{event['t']:8.2f}  agent  ", end="")
                self._line_open = True
            case "bot_word":
                self._console.print(f"[cyan]{escape(event['text'])}[/cyan] ", end="")
                self._line_open = True
            case "bot_stopped_speaking":
                self._close_line()
            case "latency":
                self._latency(event)
            case "interruption":
                self._line(event, "cut", f"[yellow]heard: {escape(event['heard']) or '(nothing)'}[/yellow]")
            case "asleep":
                self._line(event, "asleep", f"[dim]say {escape(' or '.join(event['phrases']))}[/dim]")
            case "awake":
                self._line(event, "awake", f"[dim]{escape(event.get('phrase', event['cause']))}[/dim]")
            case "error":
                self._line(event, "error", f"[red]{escape(event['stage'])}: {escape(event['message'])}[/red]")

    def summary(self, activity: Activity, files: Sequence[str]) -> None:
        """Print what came of it.

        Args:
            activity: The whole conversation's.
            files: What was written, to be named.
        """
        self._close_line()
        parts = [f"{activity.n_turns} turns", f"{activity.n_answered} answered"]
        if activity.latencies_ms:
            parts.append(f"voice-to-voice median {statistics.median(activity.latencies_ms):.0f} ms")
        if activity.errors:
            parts.append(f"{len(activity.errors)} errors")
        self._console.print(", ".join(parts))
        for file in files:
            self._console.print(f"wrote {escape(file)}", soft_wrap=True)

    def _engines(self, event: Event) -> None:
        used = [f"{stage} {choice['engine']} ({choice['model']})" for stage, choice in event["engines"].items()]
        self._console.print(escape("   ".join(used)), style="dim", soft_wrap=True)

    def _latency(self, event: Event) -> None:
        parts = [f"{name} {event[f'{name}_ms']}" for name in _LATENCY_NAMES if f"{name}_ms" in event]
        total = event.get("voice_to_voice_ms", "?")
        self._console.print(f"[green]\\[{total} ms: {', '.join(parts)}][/green] ", end="")

    def _line(self, event: Event, who: str, text: str) -> None:
        self._close_line()
        self._console.print(f"{event['t']:8.2f}  {who:5}  {text}", soft_wrap=True)

    def _close_line(self) -> None:
        if self._line_open:
            self._console.print()
            self._line_open = False
