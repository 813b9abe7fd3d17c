"""What doing things costs: a reflex beside the bundled model, a tool beside none, an interpreter beside whole turns.

    uv run python -m tests.bench.doing [--rounds 5]

Both sides of each row are held in turn within one run, and compared by their medians. The reflex and the model that it
is compared with are the bundled engines; the other rows are scripted engines (words 150 ms after a pause, 250 ms to the
first token, 120 ms to the first sound), which say nothing about users.
"""

import argparse
import asyncio
from typing import Any

from agent.commands.script import Step
from agent.engines.host import ModelHost, start_model_host
from agent.settings.load import Settings, load_settings
from agent.tools.tool import NoArguments, Tool
from tests.bench.table import median, show
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.support.sounds import SAMPLE_RATE_HZ, then, voice, with_pause

STT_SECS, LLM_SECS, TTS_SECS, TOOL_SECS = 0.150, 0.250, 0.120, 0.050
TARGET_REFLEX, TARGET_INTERPRETER, TARGET_TOOL_SECS = 0.35, 0.7, LLM_SECS + 0.080
PAUSE_SECS = 0.5
FIRST, SECOND = voice("how late is it now"), voice("the train leaves at eight")
SOURCE = ("Wie spät ist es?", "Der Zug fährt um acht.")
# Of a pair's second sentence, which is said in English; the words that come out are the script's.
BACK = "The train leaves at eight."
TRANSLATIONS = ("What time is it?", "Departure is at eight.")


def decided_to_sound_ms(held: Held) -> float:
    """From the decision that the turn is over to the first sound."""
    (latency,) = held.named("latency")
    return latency["voice_to_voice_ms"] - latency["turn_ms"]


async def bundled(host: ModelHost, settings: Settings, *, reflexes: bool) -> float:
    """The time, asked of the bundled engines."""
    return decided_to_sound_ms(await hold(host, [say("what_time_is_it.wav")], settings=settings, reflexes=reflexes))


async def scripted(*heard_as: str, script: list[Reply], about: dict[str, Any], **how: Any) -> Held:
    """A conversation with scripted engines."""
    continued = {heard_as[0]: heard_as[1]} if how.pop("joined", False) else None
    stt = ScriptedRecognizerEngine(
        *heard_as,
        finish_secs=STT_SECS,
        early=True,
        language="de",
        continued=continued,
        spoken_in=how.pop("spoken_in", None),
    )
    async with (
        ScriptedLLM(*script) as server,
        hosting(stt, options(server), ScriptedSynthesizer(first_secs=TTS_SECS)) as host,
    ):
        return await hold(host, settings=Settings.model_validate(about), **how)


async def with_tool(*, calls: bool) -> float:
    """Voice-to-voice of a reply, in seconds, with or without a tool that takes 50 ms."""

    async def look(_: NoArguments) -> str:
        await asyncio.sleep(TOOL_SECS)
        return "seven"

    answer = Reply("Seven days.", first_delay_secs=LLM_SECS)
    call = Reply(tool_calls=[ToolCall("look", ("{}",))], first_delay_secs=LLM_SECS)
    held = await scripted(
        "how many days are in a week",
        script=[call, answer] if calls else [answer],
        about={"turn": {"speculate": False}},
        steps=[say("days_in_a_week.wav")],
        tools=[Tool("look", "Looks.", NoArguments, look)],
    )
    return held.named("latency")[0]["voice_to_voice_ms"] / 1000


async def waits_secs(*, interpreter: bool, pair: bool = False) -> list[float]:
    """From the end of each sentence to the first word of its translation; of a pair, the second goes the other way."""
    spoken = with_pause(FIRST, SECOND, pause_secs=PAUSE_SECS)
    replies = [Reply(text, first_delay_secs=LLM_SECS) for text in TRANSLATIONS]
    if interpreter:
        ways = {"languages": ["de", "en"]} if pair else {"into": "en"}
        about: dict[str, Any] = {"interpreter": ways, "stt": {"language": "auto"}}
        heard_as = (SOURCE[0], BACK) if pair else SOURCE
        held = await scripted(*heard_as, script=replies, about=about, steps=[then(spoken)], spoken_in={BACK: "en"})
    else:
        whole = [Reply(" ".join(TRANSLATIONS), first_delay_secs=LLM_SECS)] * 6
        halves = ("Wie spät ist es und", " ".join(SOURCE))
        held = await scripted(*halves, script=whole, about={}, steps=[Step(spoken)], joined=True)
    words = {event["text"]: event["t"] for event in held.named("bot_word")}
    first_secs = FIRST.voiced_end_secs
    second_secs = len(FIRST.audio_s16) / SAMPLE_RATE_HZ + PAUSE_SECS + SECOND.voiced_end_secs
    starts = [words[text.split()[0]] for text in TRANSLATIONS]
    said_at = spoken_at(held)
    return [start - said_at - end for start, end in zip(starts, (first_secs, second_secs), strict=True)]


def spoken_at(held: Held) -> float:
    """Where on the timeline the recording begins: its last voiced sample is where the user's side falls silent."""
    loud = abs(held.said_s16.astype(int)) > 300
    return float(loud.argmax()) / SAMPLE_RATE_HZ - _first_voice_secs()


def _first_voice_secs() -> float:
    return float((abs(FIRST.audio_s16.astype(int)) > 300).argmax()) / SAMPLE_RATE_HZ


async def measure(rounds: int) -> None:
    """Hold everything in turn, and print."""
    settings = load_settings({"llm.engine": "embedded", "tts.engine": "espeak"})
    host = await start_model_host(settings)
    reflex, model = list[float](), list[float]()
    tool, plain = list[float](), list[float]()
    sentence, both, turn = list[float](), list[float](), list[float]()
    try:
        for _ in range(rounds):
            reflex.append(await bundled(host, settings, reflexes=True))
            model.append(await bundled(host, settings, reflexes=False))
    finally:
        await host.close()
    for _ in range(rounds):
        tool.append(await with_tool(calls=True))
        plain.append(await with_tool(calls=False))
        sentence += await waits_secs(interpreter=True)
        both += await waits_secs(interpreter=True, pair=True)
        turn += await waits_secs(interpreter=False)
    show(
        f"what doing costs, medians of {rounds}",
        [
            (
                "reflex: decision to first sound, beside SmolLM2, ms",
                f"{median(reflex):.0f} / {median(model):.0f} = {median(reflex) / median(model):.2f}",
                f"{TARGET_REFLEX}",
            ),
            (
                "one tool of 50 ms: added voice-to-voice, s",
                f"{median(tool):.3f} - {median(plain):.3f} = {median(tool) - median(plain):.3f}",
                f"{TARGET_TOOL_SECS:.2f}",
            ),
            (
                "interpreter: end of a sentence to its translation, beside a whole turn's, s",
                f"{median(sentence):.2f} / {median(turn):.2f} = {median(sentence) / median(turn):.2f}",
                f"{TARGET_INTERPRETER}",
            ),
            (
                "interpreter both ways: the same, s",
                f"{median(both):.2f} / {median(turn):.2f} = {median(both) / median(turn):.2f}",
                f"{TARGET_INTERPRETER}",
            ),
        ],
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is held")
    asyncio.run(measure(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
