"""The sections of the settings: every key with its default, bounds and meaning."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    model_validator,
)

from agent.settings.addresses import Addresses
from agent.settings.folders import FolderOrNone
from agent.settings.header_values import Token
from agent.settings.max_tokens import read_max_tokens
from agent.settings.section import CommaList, Section
from processors.manner import FASTEST, LOUDEST_DB, QUIETEST_DB, SLOWEST
from processors.stt.languages import read_language
from processors.stt.recognizer import Task

SttEngine = Literal["auto", "openai", "nemotron", "whisper", "moonshine", "pocketsphinx", "foundry"]
LlmEngine = Literal["auto", "endpoint", "ollama", "vllm", "llamacpp", "lmstudio", "embedded", "foundry"]
ComputeDevice = Literal["auto", "cpu", "cuda", "mps"]
# ask: the user is asked each time, and it is done on a yes.
Permission = Literal["on", "ask", "off"]
TtsEngine = Literal["auto", "openai", "kokoro", "pocket", "piper", "kitten", "espeak"]
MaxTokens = Annotated[int | Literal["auto"], PlainValidator(read_max_tokens)]


def spoken_language(text: str) -> str:
    """A recognizer's language has no region."""
    return "auto" if text.strip().lower() == "auto" else read_language(text).split("-", 1)[0]


class ComputeSettings(Section):
    """Where models run."""

    device: ComputeDevice = Field(
        "auto", description="cpu, cuda or mps for every engine that can run there; auto leaves it to each engine"
    )


class SttSettings(Section):
    """Speech to text."""

    engine: SttEngine = Field("auto", description="which recognizer; auto takes the best that is usable")
    model: str | None = Field(None, description="model name or directory; default: the best installed one")
    language: Annotated[str, AfterValidator(spoken_language)] = Field(
        "en", description="what is spoken, such as en, de-DE or Spanish; or auto where the model detects it"
    )
    task: Task = Field("transcribe", description="translate: all is written in English (whisper, openai)")
    prompt: str | None = Field(None, description="text that sets names, spelling and style (whisper, openai)")
    hotwords: CommaList = Field(
        default_factory=list, description="words to listen for, with commas between (whisper, nemotron where it allows)"
    )
    chunk_ms: Literal[80, 160, 320, 560, 1120] | None = Field(
        None, description="which export of nemotron: short chunks are quicker, long ones hear better"
    )
    base_url: Addresses = Field(
        None, description="OpenAI-compatible speech-to-text server, such as http://box:8000/v1; or several"
    )
    api_key: Token = Field(None, description="bearer token of that server, if it wants one")
    timeout_secs: float = Field(10.0, gt=0, le=600, description="that server is given up after this")
    threads: int = Field(0, ge=0, le=64, description="CPU threads of one decoding; 0: half of the cores")
    partial_interval_secs: float = Field(
        0.5, ge=0.1, le=10, description="how often whisper and moonshine decode while the user speaks, at most"
    )
    no_speech_threshold: float = Field(0.6, ge=0, le=1, description="whisper: above this it may not have been speech")
    log_probability_threshold: float = Field(
        -1.0, ge=-10, le=0, description="whisper: below this average a text that may be no speech is dropped"
    )
    compression_ratio_threshold: float = Field(
        2.4, ge=1, le=10, description="whisper: above this a text repeats itself and is dropped"
    )
    phantom_level_dbfs: float = Field(
        -50.0, ge=-100, le=0, description="whisper: below this level known phantom phrases are dropped"
    )
    max_utterance_secs: float = Field(60.0, gt=1, le=600, description="a longer stretch of speech is cut in two")


class LlmSettings(Section):
    """The language model."""

    engine: LlmEngine = Field("auto", description="which server; auto takes the best that is usable")
    base_url: Addresses = Field(
        None, description="OpenAI-compatible endpoint, such as http://127.0.0.1:11434/v1; or several"
    )
    api_key: Token = Field(None, description="bearer token of the endpoint, if it wants one")
    model: str | None = Field(None, description="model name at the endpoint, or a GGUF name or file for embedded")
    system_prompt: str = Field(
        "You are a friendly voice assistant. Your words are spoken aloud: answer in one to three short "
        "sentences of plain speech, without lists, markdown, emoji or code unless you are asked for them.",
        description="what the agent is told about itself",
    )
    temperature: float = Field(0.7, ge=0, le=2)
    top_p: float = Field(0.95, gt=0, le=1)
    max_tokens: MaxTokens = Field(512, description="upper limit of one answer; auto: as long as suits what was asked")
    first_token_timeout_secs: float = Field(15.0, gt=0, description="a silent endpoint is given up after this")
    token_stall_timeout_secs: float = Field(10.0, gt=0, description="a reply that stops is given up after this")
    thinking: bool = Field(
        False, description="let a reasoning model think before it answers; its thoughts are never spoken"
    )
    images: Literal["auto", "on", "off"] = Field(
        "auto", description="whether the model takes pictures; auto asks the server, where it is one that tells"
    )
    empty_retries: int = Field(1, ge=0, le=5, description="how often an empty reply is asked for again")
    keep_answers: bool = Field(
        False, description="the same first question of a call gets the same answer at once, sound and all"
    )
    apology: str = Field(
        "Sorry, I can't think right now. Please try again in a moment.",
        description="said when the endpoint is down or slow",
    )
    threads: int = Field(0, ge=0, le=64, description="CPU threads of the embedded model; 0: half of the cores")


class LargeSettings(Section):
    """A larger language model beside that of [llm]: it takes what is hard, and each answers where the other fails."""

    engine: LlmEngine = Field("auto", description="where it runs; none where neither this, base_url nor model is set")
    base_url: Addresses = Field(None, description="its OpenAI-compatible endpoint; default: that of the first model")
    api_key: Token = Field(None, description="bearer token of its endpoint, if it wants one")
    model: str | None = Field(None, description="model name at the endpoint, or a GGUF name or file for embedded")
    max_tokens: MaxTokens | None = Field(None, description="upper limit of one answer; default: as llm's")
    code: bool = Field(True, description="it answers what is about code")
    min_words: int = Field(40, ge=0, le=10_000, description="it answers turns of so many words or more; 0: of any")
    tools: bool = Field(True, description="it answers what needs a tool, where the first model can call none")
    images: bool = Field(True, description="it answers what comes with an image")

    @property
    def is_set(self) -> bool:
        """Whether there is one."""
        return bool(self.base_url or self.model or self.engine != "auto")


class TtsSettings(Section):
    """Text to speech."""

    engine: TtsEngine = Field("auto", description="which synthesizer; auto takes the best that is usable")
    model: str | None = Field(None, description="model name or directory; default: the best installed one")
    voice: str | None = Field(None, description="voice name; default: the engine's own")
    language: Annotated[str, AfterValidator(read_language)] = Field(
        "en-us", description="language of the voice, such as en-us, es-MX or German"
    )
    speed: float = Field(1.0, ge=SLOWEST, le=FASTEST, description="1 is the voice's natural pace")
    base_url: Addresses = Field(
        None, description="OpenAI-compatible text-to-speech server, such as http://box:8880/v1; or several"
    )
    api_key: Token = Field(None, description="bearer token of that server, if it wants one")
    timeout_secs: float = Field(5.0, gt=0, le=10, description="that server is given up after so long without sound")
    gain_db: float = Field(
        0.0, ge=QUIETEST_DB, le=LOUDEST_DB, description="louder or quieter than the voice is; never clipped"
    )


class VadSettings(Section):
    """Voice activity detection."""

    confidence: float = Field(0.7, ge=0, le=1, description="speech probability that counts as speech")
    start_secs: float = Field(0.2, ge=0.03, le=2, description="speech this long starts an utterance")
    stop_secs: float = Field(0.2, ge=0.03, le=3, description="silence this long ends an utterance")
    min_volume: float = Field(0.3, ge=0, le=1, description="loudness (EBU R128, scaled) that counts as speech")


class TurnSettings(Section):
    """Turn-taking: when the user's turn begins, and when it is over."""

    mode: Literal["open", "push_to_talk"] = Field(
        "open", description="push_to_talk: the microphone counts only while the key or button is held"
    )
    barge_in: Literal["words", "voice"] = Field(
        "words", description="what cuts the agent off: words that want the floor, or any voice"
    )
    speculate: bool = Field(True, description="prepare the answer while the user may still go on; never heard before")
    max_speculations: int = Field(5, ge=0, le=20, description="how many answers are prepared in one turn, at most")
    pace: Literal["brisk", "normal", "patient"] = Field(
        "normal", description="how soon the agent answers: brisk for quick talkers, patient for those who hesitate"
    )
    min_pause_secs: float = Field(
        0.2, ge=0.1, le=2, description="the shortest pause that ends the turn, when voice and words agree"
    )
    max_pause_secs: float = Field(
        1.6, ge=0.2, le=10, description="a pause this long ends the turn even if more is expected"
    )

    min_speech_secs: float = Field(
        0.0,
        ge=0,
        le=5,
        description="a turn with less voice is skipped, a short `stop` too; the log says so; 0: none",
    )

    @model_validator(mode="after")
    def _in_order(self) -> "TurnSettings":
        if self.min_pause_secs > self.max_pause_secs:
            raise ValueError(
                f"min_pause_secs = {self.min_pause_secs:g} is longer than max_pause_secs = {self.max_pause_secs:g}"
            )
        return self


class DialogueSettings(Section):
    """What the agent says beside its answers."""

    greeting: str | None = Field(None, description="said at the start; it may be interrupted")
    idle_prompt: str | None = Field(None, description="said once to a user who has long been silent")
    idle_after_secs: float = Field(20.0, ge=1, le=3600, description="how long that is, after the agent has spoken")
    filler: Literal["off", "words", "sound"] = Field("off", description="bridges the wait for a reply that is slow")
    filler_after_secs: float = Field(1.0, ge=0.1, le=30, description="how long a reply may take before that")
    filler_words: CommaList = Field(
        default_factory=lambda: ["Hmm.", "Let me think."], min_length=1, description="said in turn, with commas between"
    )
    tool_words: str | None = Field("One moment, please.", description="said when a tool takes long")
    tool_after_secs: float = Field(1.5, ge=0.1, le=60, description="how long a tool may take before that")


class ToolsSettings(Section):
    """What the agent can do beside talking."""

    clock: Permission = Field("on", description="tell the time and the date; ask: only after a yes")
    sums: Permission = Field("on", description="calculate and convert units exactly")
    timers: Permission = Field("on", description="set timers and alarms; it speaks up when one is due")
    files: Permission = Field("on", description="create, read and change files in tools.folder; none without one")
    folder: FolderOrNone = Field(None, description="the one folder whose files the agent may use; made when needed")
    memory: Permission = Field("on", description="remember, recall and forget in calls, where memory.keep is on")
    knowledge: Permission = Field("on", description="search the documents of persona.knowledge, where it is set")
    camera: Permission = Field(
        "on", description="take one picture with the page's camera when you ask the agent to look; never by itself"
    )
    home: Permission = Field(
        "on", description="see and switch what is at home ([home]); what opens or guards the house asks always"
    )
    servers: Permission = Field(
        "on", description="use the servers of tools in [mcp.servers]; ask: every call after a yes"
    )
    reflexes: bool = Field(
        True, description="answer the time, timers, sums and the like at once, without the language model"
    )
    choice: Literal["auto", "always", "off"] = Field(
        "auto",
        description="have a language model that calls no tools choose one: where the words may ask for it; always; off",
    )


PERMISSIONS = tuple(name for name, field in ToolsSettings.model_fields.items() if field.annotation == Permission)


class TimersSettings(Section):
    """Timers and alarms."""

    keep: bool = Field(
        False, description="they outlive a restart: due time and label alone are then on disk, until they are due"
    )


class MemorySettings(Section):
    """What is remembered from one conversation to the next."""

    keep: bool = Field(
        False, description="what you ask the agent in a call to remember is kept on disk, until you forget it"
    )
    conversations: bool = Field(False, description="what is said in conversations, too; needs memory.keep")

    @model_validator(mode="after")
    def _both(self) -> "MemorySettings":
        if self.conversations and not self.keep:
            raise ValueError("memory.conversations needs memory.keep=true")
        return self


class PersonaSettings(Section):
    """Who the agent is."""

    name: str = Field("assistant", description="who the agent is: a persona's name, or a Markdown file")
    folder: FolderOrNone = Field(None, description="where your own personas are; default: personas beside sotto.toml")
    knowledge: FolderOrNone = Field(None, description="a folder of documents that the agent may search")


class InputSettings(Section):
    """The user's sound before anything listens to it."""

    auto_gain: bool = Field(True, description="raise a quiet microphone for the ears; nothing is ever clipped")
    target_dbfs: float = Field(-20.0, ge=-40, le=-6, description="level (RMS) that speech is raised to")
    max_gain_db: float = Field(30.0, ge=0, le=40, description="the most that it is raised by")


class EchoSettings(Section):
    """The agent's own voice in the microphone, on the desktop; on the page the browser takes it out."""

    mode: Literal["auto", "cancel", "half_duplex", "off"] = Field(
        "auto",
        description="auto measures what is needed; half_duplex does not listen while the agent speaks",
    )
