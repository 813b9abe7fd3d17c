"""What there is: the answer to `describe`, with every field that Home Assistant looks for.

In:  what is loaded.   Out: Info.
Source: the `wyoming` package's `info.py`, and Home Assistant's integration: it leaves out what is not `installed`,
takes the first program of a kind and the languages of its models, and needs a name and an address of who made each.
"""

import asyncio

from wyoming.event import Event
from wyoming.info import (
    AsrModel,
    AsrProgram,
    Attribution,
    HandleModel,
    HandleProgram,
    Info,
    TtsProgram,
    TtsVoice,
    WakeModel,
    WakeProgram,
)

from agent import __version__
from agent.engines.speaking import Speaking
from agent.server.speech.jobs import TranscriptionJobs
from agent.server.state import ServerState
from agent.server.wire.errors import LoadingError
from agent.server.wyoming.waking import WakeService
from processors.stt.languages import LANGUAGE_NAMES
from processors.stt.recognizer import KnowsLanguages
from processors.tts.synthesizer import Synthesizer, Voice
from processors.wake.detector import WakeEngine, WakeWord

PROGRAM = "sotto"
# Who made what speaks and listens.
_MAKERS = {
    "whisper": ("OpenAI, SYSTRAN", "https://github.com/SYSTRAN/faster-whisper"),
    "nemotron": ("NVIDIA, k2-fsa", "https://github.com/k2-fsa/sherpa-onnx"),
    "moonshine": ("Moonshine AI, k2-fsa", "https://github.com/k2-fsa/sherpa-onnx"),
    "pocketsphinx": ("CMU Sphinx", "https://github.com/cmusphinx/pocketsphinx"),
    "foundry": ("Microsoft", "https://github.com/microsoft/Foundry-Local"),
    "kokoro": ("hexgrad", "https://huggingface.co/hexgrad/Kokoro-82M"),
    "piper": ("Open Home Foundation", "https://github.com/OHF-Voice/piper1-gpl"),
    "pocket": ("Kyutai", "https://github.com/kyutai-labs/pocket-tts"),
    "kitten": ("KittenML", "https://github.com/KittenML/KittenTTS"),
    "espeak": ("eSpeak NG", "https://github.com/espeak-ng/espeak-ng"),
}
_OURS = Attribution("The sotto authors", "")


class Services:
    """What there is, put together once for as long as the same engines are at work.

    Args:
        state: What is loaded.
        wake: Hears wake words.
    """

    def __init__(self, state: ServerState, wake: WakeService) -> None:
        self._state = state
        self._wake = wake
        self._known: tuple[tuple[object, ...], Event] | None = None

    async def info(self) -> Event:
        """All of it, as the event that tells it.

        Raises:
            LoadingError: The models are still being loaded.
        """
        jobs, speaking = self._state.jobs(), self._state.speaking()
        if jobs is None:
            raise LoadingError
        key = (jobs.engine, speaking and speaking.engine)
        if self._known is None or self._known[0] != key:
            self._known = (key, await asyncio.to_thread(self._put_together, jobs, speaking))
        return self._known[1]

    def _put_together(self, jobs: TranscriptionJobs, speaking: Speaking | None) -> Event:
        voice, wake = self._state.settings.tts.voice, self._wake.engine()
        info = Info(
            asr=[_ears(jobs)],
            tts=[_voice(speaking.engine, voice)] if speaking else [],
            handle=[] if self._state.api_only else [_mind()],
            wake=[_waker(wake)] if wake else [],
        )
        # A hundred voices take milliseconds to be written down.
        return info.event()


def _ears(jobs: TranscriptionJobs) -> AsrProgram:
    engine = jobs.engine
    known = engine.languages if isinstance(engine, KnowsLanguages) else ["en"]
    languages = [code for code in known if code in LANGUAGE_NAMES]
    model = AsrModel(
        name=engine.model,
        attribution=_maker(engine.name),
        installed=True,
        description=f"{engine.name} {engine.model}",
        version=None,
        languages=languages,
    )
    return AsrProgram(
        name=PROGRAM,
        attribution=_OURS,
        installed=True,
        description="sotto's ears",
        version=__version__,
        models=[model],
        supports_transcript_streaming=True,
    )


def _voice(engine: Synthesizer, wanted: str | None) -> TtsProgram:
    # Who names none gets the first.
    first = wanted or engine.model
    listed = sorted(engine.voices(), key=lambda one: one.name != first)
    return TtsProgram(
        name=PROGRAM,
        attribution=_OURS,
        installed=True,
        description="sotto's voice",
        version=__version__,
        voices=[_listed(one, engine.name) for one in listed],
        supports_synthesize_streaming=True,
    )


def _listed(voice: Voice, engine: str) -> TtsVoice:
    return TtsVoice(
        name=voice.name,
        attribution=_maker(engine),
        installed=True,
        description=voice.label,
        version=None,
        languages=[_tag(voice.language)],
    )


def _mind() -> HandleProgram:
    # No language: Home Assistant takes it for any.
    model = HandleModel(
        name=PROGRAM, attribution=_OURS, installed=True, description="sotto's mind", version=__version__, languages=[]
    )
    return HandleProgram(
        name=PROGRAM,
        attribution=_OURS,
        installed=True,
        description="sotto answers",
        version=__version__,
        models=[model],
        supports_handled_streaming=True,
    )


def _waker(engine: WakeEngine) -> WakeProgram:
    return WakeProgram(
        name=PROGRAM,
        attribution=_OURS,
        installed=True,
        description="sotto's wake words",
        version=__version__,
        models=[_wake_model(word, engine) for word in engine.words.values()],
    )


def _wake_model(word: WakeWord, engine: WakeEngine) -> WakeModel:
    made_by = Attribution(word.maker, "https://github.com/kahrendt/microWakeWord")
    return WakeModel(
        name=word.name,
        attribution=made_by if engine.name == "pymicro" else _OURS,
        installed=True,
        description=word.phrase,
        version=engine.version,
        languages=list(word.languages),
        phrase=word.phrase,
    )


def _maker(engine: str) -> Attribution:
    return Attribution(*_MAKERS[engine]) if engine in _MAKERS else _OURS


def _tag(language: str) -> str:
    """espeak's name of a language as Home Assistant writes languages: `en-us` is `en-US`."""
    code, _, region = language.partition("-")
    if code == "cmn":
        return "zh-CN"
    return f"{code}-{region.upper()}" if len(region) == 2 else language or "en"
