"""What the stub server says about itself: its health, and what can be chosen."""

from typing import Any

NOTE = "it answers more slowly than people speak"
HEALTH: dict[str, Any] = {
    "status": "ready",
    "version": "0.1.0",
    "engines": {
        "stt": {
            "engine": "pocketsphinx",
            "model": "en-us",
            "passed_over": [
                {
                    "engine": "nemotron",
                    "reason": "its model is not on disk",
                    "mend": "sotto models pull nemotron",
                },
                {
                    "engine": "whisper",
                    "reason": "its model is not on disk",
                    "mend": "sotto models pull whisper-base.en",
                },
            ],
        },
        "llm": {"engine": "embedded", "model": "SmolLM2-135M-Instruct", "passed_over": [], "note": NOTE},
        "tts": {
            "engine": "espeak",
            "model": "en-us",
            "passed_over": [
                {"engine": "kokoro", "reason": "its model is not on disk", "mend": "sotto models pull kokoro"}
            ],
        },
        "vad": {"engine": "silero", "model": "v6", "passed_over": []},
        "turn": {"engine": "smart-turn", "model": "v3.2", "passed_over": []},
    },
    "sessions": {"active": 0, "max": 4},
}


def _setting(value: Any, description: str = "", *, choices: list[Any] | None = None, **limits: Any) -> dict[str, Any]:
    told = {"value": value, "default": value, "description": description, "choices": choices}
    return {**told, "min": None, "max": None, **limits}


PROMPT = "You are a friendly voice assistant. Your words are spoken aloud: answer in one to three short sentences."
OPTIONS: dict[str, Any] = {
    "settings": {
        "persona.name": _setting("assistant", choices=["assistant", "pirate"]),
        "llm.system_prompt": _setting(PROMPT, "what the agent is told about itself"),
        "llm.engine": _setting("auto", choices=["auto", "ollama", "embedded"]),
        "tts.engine": _setting("auto", choices=["auto", "kokoro", "espeak"]),
        "tts.voice": _setting(None),
        "tts.language": _setting("en-us", "language of the voice, such as en-us or es"),
        "tts.speed": _setting(1.0, "1 is the voice's natural pace", min=0.5, max=2.0),
        "stt.engine": _setting("auto", choices=["auto", "nemotron", "whisper", "pocketsphinx"]),
        "stt.language": _setting("en", "ISO 639-1 code, or auto"),
        "turn.mode": _setting("open", choices=["open", "push_to_talk"]),
        "turn.pace": _setting("normal", "how soon the agent answers", choices=["brisk", "normal", "patient"]),
        "turn.barge_in": _setting("words", choices=["words", "voice"]),
        "turn.speculate": _setting(True, "prepare the answer while the user may still go on", choices=[True, False]),
        "dialogue.filler": _setting("off", choices=["off", "words", "sound"]),
        "tools.clock": _setting("on", choices=["on", "ask", "off"]),
        "llm.max_tokens": _setting(512, "upper limit of one answer", min=1, max=32768),
    },
    "engines": {
        "stt": [
            {
                "engine": "nemotron",
                "model": None,
                "usable": False,
                "reason": "its model is not on disk",
                "mend": "sotto models pull nemotron-en-560ms",
            },
            {"engine": "whisper", "model": "base.en", "usable": True, "reason": None, "mend": ""},
            {"engine": "pocketsphinx", "model": "en-us", "usable": True, "reason": None, "mend": ""},
        ],
        "llm": [
            {
                "engine": "ollama",
                "model": None,
                "usable": False,
                "reason": "no server answers at 127.0.0.1:11434",
                "mend": "ollama serve",
            },
            {
                "engine": "embedded",
                "model": "SmolLM2-135M-Instruct",
                "usable": True,
                "reason": None,
                "mend": "",
            },
        ],
        "tts": [
            {
                "engine": "kokoro",
                "model": None,
                "usable": False,
                "reason": "its model is not on disk",
                "mend": "sotto models pull kokoro",
            },
            {"engine": "espeak", "model": "en-us", "usable": True, "reason": None, "mend": ""},
        ],
    },
    "voices": {
        "espeak": [
            {"name": "en-us", "language": "en-us", "label": "English (America)"},
            {"name": "en-gb", "language": "en-gb", "label": "English (Great Britain)"},
            {"name": "de", "language": "de", "label": "German"},
        ],
        "kokoro": [{"name": "af_heart", "language": "en-us"}, {"name": "bf_emma", "language": "en-gb"}],
    },
    "personas": [
        {"name": "assistant", "description": "The assistant that answers when nothing else was chosen."},
        {"name": "pirate", "description": "Speaks like a pirate."},
    ],
    "live": [
        *("persona.name", "llm.system_prompt", "llm.engine", "tts.engine", "tts.voice", "tts.language", "tts.speed"),
        *("stt.engine", "stt.language", "turn.mode", "turn.pace", "turn.barge_in", "turn.speculate", "dialogue.filler"),
    ],
    "ice_servers": [],
    "recording": True,
}
