"""What one conversation can do: its tools, its reflexes and its user's timers, as settings allow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipecat.processors.aggregators.llm_context import LLMContextMessage

from agent.conversation.written_tools import only_reads
from agent.memory.knowledge_tool import knowledge_tool
from agent.memory.tools import memory_tools
from agent.memory.user_memory import UserMemory
from agent.settings.load import Settings
from agent.settings.sections import LlmSettings, Permission
from agent.tools.alarm_words import AlarmWords
from agent.tools.camera import Camera
from agent.tools.choice import ToolChooser
from agent.tools.clock import clock_tool, local_now
from agent.tools.conversion import conversion_tool
from agent.tools.file_tools import file_tools
from agent.tools.hang_up import HangUp
from agent.tools.home import home_tools
from agent.tools.plain_answers import PlainAnswers
from agent.tools.reflex_words import ReflexWords, english_words, words_of
from agent.tools.reflexes import NEEDS, Reflexes
from agent.tools.sums import sums_tool
from agent.tools.timer_tools import timer_tools
from agent.tools.timers import TimerBook
from agent.tools.tool import Tool
from agent.tools.toolbox import Emit, Toolbox
from processors.llm.reflex import FindReflex, Reflex
from processors.manner import Manner

# Typed outside of a call, their words can hardly mean anything else; "write" and "add" can.
SURELY_ASKED = {
    *("set_timer", "set_alarm", "cancel_timer"),
    *("delete_file", "rename_file", "restore_file", "list_files"),
}


@dataclass(frozen=True)
class Abilities:
    """Of one conversation.

    Attributes:
        toolbox: What the language model can call.
        reflexes: Words for what is due, in the conversation's language where there is a table of it, else in English.
        find_reflex: Finds what needs no language model.
        manner: How the agent speaks.
        chooser: Has a model that calls no tools choose what is done; None where that is switched off.
        camera: What it sees with, where that is not off.
        again: The same over the same tools, for other settings of the language and of the persona.
    """

    toolbox: Toolbox
    reflexes: Reflexes
    find_reflex: FindReflex
    manner: Manner
    again: "Callable[[Settings], Abilities]"
    chooser: ToolChooser | None = None
    camera: Camera | None = None


def written_reflexes(settings: Settings) -> FindReflex:
    """What needs no language model where questions are answered in writing alone, for all who ask.

    There nobody can speak up, and nothing is known of anybody's turns: it only reads. Whoever surely asks for what a
    call could do is told so; else the model would say that it is done.

    Args:
        settings: The server's.
    """
    without = settings.tools.model_copy(update=dict.fromkeys(("timers", "files", "memory", "home"), "off"))
    wanted = settings.model_copy(update={"tools": without})
    find_read = abilities(
        wanted, TimerBook(), lambda *_, **__: None, speaks=False, memory_off=memory_off_by(settings)
    ).find_reflex
    words = words_of(settings.tts.language)
    if words is None or not settings.tools.reflexes:
        return find_read
    tools = _tools_of_calls(settings)
    acting = {tool.name for tool in tools if tool.acts}
    surely = [tool for tool in tools if tool.name in SURELY_ASKED]
    remembers = settings.memory.keep and settings.tools.memory != "off"

    async def refer() -> str:
        return words.say("only_in_call")

    def find(text: str, earlier: Sequence[LLMContextMessage]) -> Reflex | None:
        if found := find_read(text, earlier):
            return found
        matched = words.match(text)
        asked = matched.name if matched else ""
        refers = NEEDS.get(asked) in acting or (asked == "undo" and bool(acting or remembers))
        refers = refers or (remembers and (asked == "forget_all" or bool(words.memory.fact(text))))
        turn = words.choice.turn(text)
        refers = refers or any(words.choice.surely_asks_for(tool, turn) for tool in surely)
        return Reflex("only_in_call", False, refer) if refers else None

    return find


def written_tools(settings: Settings) -> list[Tool]:
    """What the language model can call where questions are answered in writing alone, for all who ask: what only reads.

    Args:
        settings: The server's.
    """
    wanted, folder = settings.tools, settings.persona.knowledge
    tools = [
        *permitted([clock_tool()], wanted.clock),
        *permitted([sums_tool(), conversion_tool()], wanted.sums),
        *(permitted([knowledge_tool(folder)], wanted.knowledge) if folder else []),
        *(home_tools(settings.home, asks=wanted.home == "ask") if wanted.home != "off" else []),
    ]
    return list(filter(only_reads, tools))


def _tools_of_calls(settings: Settings) -> list[Tool]:
    tools = settings.tools
    found = timer_tools(TimerBook()) if tools.timers != "off" else []
    return [*found, *(file_tools(tools.folder) if tools.folder and tools.files != "off" else [])]


def abilities(
    settings: Settings,
    book: TimerBook,
    emit: Emit,
    more: Sequence[Tool] = (),
    memory: UserMemory | None = None,
    *,
    speaks: bool = True,
    camera: Camera | None = None,
    hang_up: HangUp | None = None,
    memory_off: str | None = None,
) -> Abilities:
    """What settings allow.

    Args:
        settings: The conversation's.
        book: The user's timers.
        emit: Told of events.
        more: Further tools.
        memory: The user's, if there is one.
        speaks: Whether there is a voice that can be louder or slower.
        camera: The page's, or that there is none.
        hang_up: Ends the telephone call, where the agent may do that.
        memory_off: The setting that keeps the memory off, where that is another one's; see `memory_off_by`.
    """
    wanted = settings.tools
    camera = camera if wanted.camera != "off" else None
    if camera:
        camera.emit = emit
    home = home_tools(settings.home, asks=wanted.home == "ask") if wanted.home != "off" else []
    tools = [
        *permitted([clock_tool()], wanted.clock),
        *permitted([sums_tool(), conversion_tool()], wanted.sums),
        *permitted(timer_tools(book), wanted.timers),
        *(permitted(file_tools(wanted.folder), wanted.files) if wanted.folder else []),
        *(permitted(memory_tools(memory), wanted.memory) if memory else []),
        *(permitted([knowledge_tool(folder)], wanted.knowledge) if (folder := settings.persona.knowledge) else []),
        *(permitted([camera.tool()], wanted.camera) if camera and camera.has_page else []),
        *home,
        # Never asked about: a caller who speaks goes on with the call.
        *([hang_up.tool()] if hang_up else []),
        *more,
    ]
    toolbox = Toolbox(tools)
    toolbox.emit = emit
    if hang_up:
        hang_up.emit, hang_up.amend = emit, toolbox.amend_later
    manner = Manner(settings.tts.speed, settings.tts.gain_db)

    def again(now: Settings) -> Abilities:
        words = words_of(now.tts.language)
        answered = words is not None and now.tools.reflexes
        reflexes = Reflexes(
            words or english_words(),
            toolbox,
            book,
            emit,
            named=now.llm.system_prompt == LlmSettings.model_fields["system_prompt"].default,
            all_of_them=answered,
            manner=manner if speaks else None,
            only_voice=not home and not more,
            camera=camera,
            memory_off=memory_off_by(now) if memory_off is None else memory_off,
        )
        found = Abilities(toolbox, reflexes, reflexes.find, manner, again, camera=camera)
        return _choosing(found, words, now) if now.tools.choice != "off" else found

    return again(settings)


def _choosing(found: Abilities, words: ReflexWords | None, settings: Settings) -> Abilities:
    """With a model that calls no tools choosing what is done."""
    said, toolbox = words or english_words(), found.toolbox
    chooser = ToolChooser(
        toolbox,
        words and words.choice,
        words and words.memory,
        lambda: said.say("unsure"),
        alarms=AlarmWords(words, local_now) if words else None,
        match=words.match if words else lambda _: None,
        always=settings.tools.choice == "always",
    )
    answers = PlainAnswers(said, chooser, lambda: toolbox.tools)

    def find(text: str, earlier: Sequence[LLMContextMessage]) -> Reflex | None:
        return found.reflexes.find(text, earlier) or (None if text else answers.find(earlier))

    return replace(found, find_reflex=find, chooser=chooser)


def memory_off_by(settings: Settings) -> str:
    """The setting that keeps the memory off, as it is switched on; empty where it is on.

    Args:
        settings: The conversation's.
    """
    if not settings.memory.keep:
        return "memory.keep = true"
    return 'tools.memory = "on"' if settings.tools.memory == "off" else ""


def served(tools: Sequence[Tool], permission: Permission) -> list[Tool]:
    """Servers' tools as a setting allows them.

    Args:
        tools: As each server's own settings have them.
        permission: `ask`: the user is asked each time before any of them.
    """
    if permission == "off":
        return []
    return [replace(tool, asks=True) for tool in tools] if permission == "ask" else list(tools)


def permitted(tools: Sequence[Tool], permission: Permission) -> list[Tool]:
    """The tools as a setting allows them.

    Args:
        tools: Of one kind.
        permission: `ask`: the user is asked each time before one of them acts, or before it reads if none acts; one
            that asks by itself does so in any case.
    """
    if permission == "off":
        return []
    some_act = any(tool.acts for tool in tools)
    return [replace(tool, asks=tool.asks or (permission == "ask" and (tool.acts or not some_act))) for tool in tools]
