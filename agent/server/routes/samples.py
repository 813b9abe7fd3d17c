"""GET /api/voices/sample?engine=NAME&voice=NAME: how a voice sounds, in one sentence of its language.

In:  an engine that is loaded, and one of its voices.   Out: a WAV, made by that engine; 404 where there is no such
voice, 503 where as many texts are being spoken as may be. The words are ours: nobody makes the engines say much by it.
"""

import asyncio

from fastapi import APIRouter
from fastapi.responses import Response

from agent.engines.speaking import RATE_HZ, Speaking, Wish
from agent.server.state import ServerState
from agent.server.wire.json_body import RequestError
from processors.errors import EngineError, EngineUnavailableError
from processors.stt.languages import language_code
from transports.sound_encoder import MEDIA_TYPES, SoundEncoder

SENTENCES = {
    "ar": "مرحبا، هكذا يبدو صوتي.",
    "cmn": "你好，这就是我的声音。",
    "da": "Hej, sådan lyder min stemme.",
    "de": "Hallo, so klingt meine Stimme.",
    "en": "Hello, this is how my voice sounds.",
    "es": "Hola, así suena mi voz.",
    "fi": "Hei, tältä ääneni kuulostaa.",
    "fr": "Bonjour, voici le son de ma voix.",
    "hi": "नमस्ते, मेरी आवाज़ ऐसी है।",
    "it": "Ciao, ecco come suona la mia voce.",
    "ja": "こんにちは、これが私の声です。",
    "ko": "안녕하세요, 제 목소리는 이렇습니다.",
    "nl": "Hallo, zo klinkt mijn stem.",
    "pl": "Cześć, tak brzmi mój głos.",
    "pt": "Olá, é assim que soa a minha voz.",
    "ru": "Здравствуйте, так звучит мой голос.",
    "sv": "Hej, så här låter min röst.",
    "tr": "Merhaba, sesim böyle.",
    "uk": "Вітаю, так звучить мій голос.",
    "zh": "你好，这就是我的声音。",
}
KEEP = {"Cache-Control": "private, max-age=3600"}


def sample_routes(state: ServerState) -> APIRouter:
    """The route.

    Args:
        state: Gives the engines once they are loaded.
    """
    router = APIRouter()

    @router.get("/api/voices/sample")
    async def sample(engine: str, voice: str) -> Response:
        found = state.sessions().engines.voice_of(engine)
        if found is None:
            raise RequestError(404, f"no voice of {engine[:60]!r} is loaded; choose the engine first")
        choice, threads = found
        voices = await asyncio.to_thread(choice.loaded.voices)
        named = next((one for one in voices if one.name == voice), None)
        if named is None:
            raise RequestError(404, f"{engine[:60]} has no voice {voice[:60]!r}")
        speaking = Speaking(choice.loaded, threads, state.settings.tts)
        with state.speeches.taken():
            sound = await _spoken(speaking, sentence_in(named.language), Wish(named.name, named.language or None))
        return Response(sound, media_type=MEDIA_TYPES["wav"], headers=KEEP)

    return router


def sentence_in(language: str) -> str:
    """What a voice says to show itself; English where we have nothing in its language.

    Args:
        language: espeak's name of it, such as `en-us`.
    """
    code = language.split("-")[0].lower()
    return SENTENCES.get(code) or SENTENCES.get(language_code(language) if language else "en") or SENTENCES["en"]


async def _spoken(speaking: Speaking, text: str, wish: Wish) -> bytes:
    """A whole WAV."""
    encoder = SoundEncoder("wav", RATE_HZ)
    try:
        pcm16 = b"".join([piece async for piece in speaking.speak(text, wish)])
    except (EngineError, EngineUnavailableError) as error:
        raise RequestError(500, f"this voice cannot be heard now: {error}") from error
    return await asyncio.to_thread(lambda: encoder.encode(pcm16) + encoder.finish())
