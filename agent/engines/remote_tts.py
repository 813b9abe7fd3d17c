"""The voice of another machine: any OpenAI-compatible speech server, taken by `auto` where its address is set."""

from agent.engines.addresses import group_of, looked_at
from agent.engines.candidates import Candidate
from agent.engines.remote_stt import url_problem
from agent.settings.load import Settings
from processors.errors import EngineUnavailableError
from processors.tts.synthesizer import Synthesizer

BASE_URL_EXAMPLE = "--set tts.base_url=http://127.0.0.1:8880/v1"


def openai_voice(settings: Settings) -> Candidate[Synthesizer]:
    """The server that `tts.base_url` names; whether it answers shows when it is loaded."""
    tts = settings.tts
    base_url = tts.base_url or ""
    problem = url_problem("tts", base_url)

    def load() -> Synthesizer:
        from processors.tts.openai_speech import OpenAISynthesizer

        if problem:
            raise EngineUnavailableError(problem, BASE_URL_EXAMPLE)
        group = group_of("tts", tts, settings)
        return OpenAISynthesizer(
            base_url,
            api_key=tts.api_key.get_secret_value() if tts.api_key and not group else None,
            addresses=group and looked_at(group),
            model=tts.model,
            voice=tts.voice,
            language=tts.language,
            speed=tts.speed,
            timeout_secs=tts.timeout_secs,
        )

    return Candidate(
        "openai", tts.voice, load, problem, BASE_URL_EXAMPLE if problem else "", measurable=False, named=bool(base_url)
    )
