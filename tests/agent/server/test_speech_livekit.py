"""LiveKit's client and agent, against the real server and its bundled engine."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.house import SPEECH
from tests.support.served import Served, serving
from transports.recording import load_recording

QUESTION = "what is the capital of germany"
QUESTION_FILE = SPEECH / "capital_of_germany.wav"
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("ears"), "--api-only", "--stt", "pocketsphinx") as server:
        yield server


@pytest.mark.parametrize("model", ["gpt-4o-mini-transcribe", "whisper-1"])
async def test_livekits_client_recognizes(ears: Served, model: str) -> None:
    from tests.support.livekit_ears import recognized

    audio_s16 = load_recording(QUESTION_FILE).audio_s16
    # Asked for whisper-1 it reads the language from verbose_json, where it is written out.
    assert await recognized(f"{ears.url}/v1", model, audio_s16) == [(QUESTION, "en")]


# Its own voice activity detection has to keep up with the sound.
@pytest.mark.realtime
async def test_livekits_agent_hears_through_it(ears: Served) -> None:
    from tests.support.livekit_ears import heard_by_agent

    assert await heard_by_agent(f"{ears.url}/v1", load_recording(QUESTION_FILE).audio_s16) == QUESTION


# Its loudspeaker plays at the pace of real time.
@pytest.mark.realtime
@pytest.mark.parametrize("model", ["tts-1", "gpt-4o-mini-tts"])
async def test_livekits_agent_speaks_through_it(ears: Served, model: str) -> None:
    from tests.support.livekit_voice import spoken_by_agent

    text = "The capital of Germany is Berlin."
    async with httpx.AsyncClient(timeout=60) as client:
        body = {"model": model, "voice": "alloy", "input": text, "response_format": "pcm"}
        whole = await client.post(f"{ears.url}/v1/audio/speech", json=body)
    secs, said, errors = await spoken_by_agent(f"{ears.url}/v1", model, "alloy", text)
    assert (said, errors) == ([text], [])
    # Its mp3 begins and ends with a few frames of silence.
    assert secs == pytest.approx(len(whole.content) / 2 / 24_000, abs=0.25)
