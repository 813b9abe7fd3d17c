"""LiveKit's client and agent, against the real server and its bundled engine."""

from collections.abc import Iterator

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
