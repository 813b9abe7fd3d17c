"""What the language model can do with timers and alarms."""

from datetime import datetime, timedelta

from pydantic import Field

from agent.tools.clock import Now, local_now
from agent.tools.timers import MAX_LABEL_CHARS, MAX_SECS, MAX_TIMERS, Timer, TimerBook
from agent.tools.tool import Arguments, NoArguments, Tool, ToolError

UNKEPT = "it cannot be written to the disk now, so it would be lost if the program ended"


class SetTimer(Arguments):
    """A timer."""

    seconds: float = Field(gt=0, le=MAX_SECS, description="the whole duration in seconds")
    label: str = Field("", max_length=MAX_LABEL_CHARS, description="what it is for, if the user said so")


class SetAlarm(Arguments):
    """An alarm."""

    time: str = Field(pattern=r"^([01]?\d|2[0-3]):[0-5]\d$", description="local time of day, HH:MM, 24 hours")
    label: str = Field("", max_length=MAX_LABEL_CHARS, description="what it is for, if the user said so")
    tomorrow: bool = Field(
        False, description="true: not today, where the user said tomorrow and that time is still to come today"
    )


class CancelTimer(Arguments):
    """Which timer."""

    label: str = Field("", max_length=MAX_LABEL_CHARS, description="its label; empty where there is only one")
    seconds: float | None = Field(
        None, gt=0, le=MAX_SECS, description="for how long it was set, where it has no label and there are several"
    )
    numbers: list[int] = Field(
        default_factory=list, max_length=MAX_TIMERS, description="or those that list_timers tells"
    )
    all: bool = Field(False, description="true: all timers and alarms, where the user wants all of them gone")


def timer_tools(book: TimerBook, now: Now = local_now) -> list[Tool]:
    """The tools.

    Args:
        book: Whose timers.
        now: Gives the local time, with its zone.
    """

    async def set_timer(arguments: SetTimer) -> object:
        return _told(book.set(arguments.seconds, arguments.label), book, now)

    async def set_alarm(arguments: SetAlarm) -> object:
        secs = (next_time(arguments.time, now(), tomorrow=arguments.tomorrow) - now()).total_seconds()
        return _told(book.set(secs, arguments.label, alarm=True), book, now)

    async def list_timers(_: NoArguments) -> object:
        return [_told(timer, book, now) for timer in book.pending()] or "there are no timers and no alarms"

    async def cancel_timer(arguments: CancelTimer) -> object:
        pending = book.pending()
        there = ", ".join(map(_named, pending)) or "none"
        if arguments.numbers and not arguments.all:
            if not (cancelled := book.cancel_numbered(arguments.numbers)):
                raise ToolError(f"there is none of these numbers; there are: {there}")
            return {"cancelled": len(cancelled)}
        if len(pending) > 1 and not (arguments.label or arguments.seconds or arguments.all):
            raise ToolError(f"there are {len(pending)} timers and alarms ({there}); ask the user which one is meant")
        cancelled = book.cancel() if arguments.all else book.cancel(arguments.label or None, arguments.seconds)
        if not cancelled:
            named = f" named {arguments.label!r}" if arguments.label else ""
            length = f" of {arguments.seconds:g} seconds" if arguments.seconds else ""
            raise ToolError(f"there is no timer{named}{length}; there are: {there}")
        return {"cancelled": len(cancelled)}

    return [
        Tool("set_timer", "Set a timer that goes off after a while.", SetTimer, set_timer, acts=True),
        Tool("set_alarm", "Set an alarm for a time of day, today or tomorrow.", SetAlarm, set_alarm, acts=True),
        Tool("list_timers", "All timers and alarms that are set, with the time left.", NoArguments, list_timers),
        Tool("cancel_timer", "Cancel a timer or an alarm.", CancelTimer, cancel_timer, acts=True),
    ]


def _named(timer: Timer) -> str:
    """What tells a timer from others."""
    if timer.label:
        return timer.label
    return "an alarm" if timer.whole_secs is None else f"one of {_in_words(timer.whole_secs)}"


def _in_words(secs: float) -> str:
    mins, left = divmod(round(secs), 60)
    hours, mins = divmod(mins, 60)
    parts = [
        f"{n} {unit}{'s' if n > 1 else ''}" for n, unit in ((hours, "hour"), (mins, "minute"), (left, "second")) if n
    ]
    return " and ".join(parts)


def next_time(text: str, now: datetime, *, tomorrow: bool = False) -> datetime:
    """The next time that the clock shows this.

    Args:
        text: HH:MM.
        now: The local time, with its zone.
        tomorrow: Whether not today.
    """
    hour, minute = map(int, text.split(":"))
    day = now.date() + timedelta(days=1 if tomorrow else 0)
    while True:
        # By the local calendar, so that a night with a changed clock is right.
        found = datetime(day.year, day.month, day.day, hour, minute).astimezone()
        if found > now:
            return found
        day += timedelta(days=1)


def _told(timer: Timer, book: TimerBook, now: Now) -> dict[str, object]:
    left_secs = timer.left_secs(book.now_secs())
    at = now() + timedelta(seconds=left_secs)
    shown: dict[str, object] = {
        "number": timer.number,
        "goes_off_at": f"{at:%A %H:%M:%S}",
        "seconds_left": round(left_secs),
    }
    if book.problem:
        shown["note"] = UNKEPT
    return {"label": timer.label, **shown} if timer.label else shown
