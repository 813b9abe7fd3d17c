"""Slower, faster, louder, quieter: the user's words change how the agent speaks, from its next words on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pipecat.frames.frames import TTSAudioRawFrame

from agent.conversation.abilities import abilities
from agent.settings.load import Settings
from agent.tools.reflex_words import TABLES, words_of
from agent.tools.timers import TimerBook
from agent.tools.tool import Arguments, Tool
from processors.manner import FASTEST, GAIN_STEP_DB, LOUDEST_DB, PACE_STEP, QUIETEST_DB, SLOWEST, Manner
from processors.voice.loudness import FULL_SCALE, Level, scaled
from tests.processors.voice.test_playout_gate import play
from tests.support.house import Held, hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

Samples = np.ndarray[Any, np.dtype[np.int16]]
QUESTION = "days_in_a_week.wav"
SAID = {
    "en": {
        "slower": [
            "Slower, please.",
            "Could you speak a bit slower?",
            "Not so fast!",
            "You're talking too fast.",
            *("Speak a little bit slower.", "Slow down a little bit.", "You speak too fast.", "That's too fast!"),
            *("Slow it down.", "even slower", "You talk way too fast", "a lot slower please"),
        ],
        "faster": [
            "Faster.",
            "Speak faster please",
            "Speed up a little.",
            "can you talk more quickly",
            *("Much faster!", "go faster", "That's too slow.", "you speak too slowly"),
        ],
        "quieter": [
            "Quieter.",
            "Speak more quietly.",
            "Not so loud!",
            "You're too loud.",
            "Be quieter.",
            "much quieter",
            "lower your voice a little",
        ],
        "turn_down": ["Turn it down a bit.", "Volume down", "Turn that down.", "Lower the volume", "That's too loud!"],
        "turn_up": ["Turn up the volume.", "Turn it up a little bit, please.", "volume up"],
        "louder": [
            "Louder!",
            "Speak up, please.",
            "Much louder!",
            "can you speak a little louder",
            "Can you speak up a bit?",
        ],
    },
    "de": {
        "slower": [
            "Langsamer bitte.",
            "Kannst du etwas langsamer sprechen?",
            "Sprich langsamer!",
            "Nicht so schnell!",
            "Viel langsamer bitte",
            "Du redest zu schnell.",
            "Das ist viel zu schnell.",
        ],
        "faster": ["Sprich ein bisschen schneller.", "Schneller!"],
        "quieter": ["Leiser bitte.", "Nicht so laut."],
        "louder": ["Lauter!", "Viel lauter", "Noch etwas lauter", "Du bist zu leise."],
        "turn_down": ["Mach das leiser.", "Mach ein bisschen leiser!", "Das ist zu laut."],
        "turn_up": ["Mach lauter.", "Dreh den Ton etwas lauter."],
    },
    "fr": {
        "slower": [
            "Parle plus lentement, s'il te plaît.",
            "Moins vite.",
            "Vous parlez trop vite !",
            "C'est trop rapide.",
            "Ralentis un peu",
        ],
        "faster": ["Plus vite !", "Accélère."],
        "quieter": ["Moins fort.", "Beaucoup moins fort.", "Baisse la voix."],
        "turn_down": ["Baisse le volume.", "Baisse un peu le son"],
        "turn_up": ["Monte le volume."],
        "louder": ["Parle un peu plus fort.", "Beaucoup plus fort"],
    },
    "es": {
        "slower": [
            "Habla más despacio, por favor.",
            "No tan rápido.",
            "Hablas muy rápido",
            "Eso es demasiado rápido.",
            "un poquito más despacio",
        ],
        "faster": ["Más rápido."],
        "quieter": ["Habla más bajo.", "Baja la voz."],
        "turn_down": ["Baja el volumen.", "Baja un poco el volumen"],
        "turn_up": ["Sube el volumen un poco."],
        "louder": ["Más alto.", "Mucho más fuerte."],
    },
    "it": {
        "slower": [
            "Parla più lentamente, per favore.",
            "Rallenta.",
            "Rallenta un po'.",
            "Parli troppo veloce.",
            "È troppo veloce",
            "un po' più lento",
        ],
        "faster": ["Più veloce."],
        "quieter": ["Parla più piano.", "Abbassa la voce."],
        "louder": ["Più forte!", "Molto più forte"],
        "turn_down": ["Abbassa il volume."],
        "turn_up": ["Alza il volume.", "Alza un po' il volume"],
    },
    "pt": {
        "slower": [
            "Fale mais devagar, por favor.",
            "Não tão rápido.",
            "Fala muito rápido.",
            "Isso é muito rápido",
            "um pouco mais lento",
        ],
        "faster": ["Mais rápido."],
        "quieter": ["Fala mais baixo.", "Muito mais baixo."],
        "turn_down": ["Abaixa o volume."],
        "turn_up": ["Aumenta o volume."],
        "louder": ["Mais alto.", "Muito mais alto"],
    },
}
LEFT_ALONE = [
    "Which animal is faster?",
    "Turn it.",
    "Play it louder than that",
    "Be faster than light",
    "How loud is it?",
    "Slow down the music",
    "Turn it down at seven",
    "The car is too fast",
]


async def talk(*heard_as: str, settings: dict[str, object] | None = None) -> tuple[Held, ScriptedSynthesizer]:
    stt, tts = ScriptedRecognizerEngine(*heard_as), ScriptedSynthesizer()
    async with ScriptedLLM() as server, hosting(stt, options(server), tts) as host:
        server.otherwise = Reply("This is it.")
        wanted = Settings.model_validate(settings or {})
        held = await hold(host, [say(QUESTION)] * len(heard_as), settings=wanted, reflexes=True)
    return held, tts


def levels_db(held: Held) -> list[float]:
    """How loud each answer was."""
    found: list[float] = []
    starts, stops = (
        [event["t"] for event in held.named(name)] for name in ("bot_started_speaking", "bot_stopped_speaking")
    )
    rate_hz = 24_000
    for start, stop in zip(starts, stops, strict=True):
        spoken = held.heard_s16[int((start + 0.05) * rate_hz) : int(stop * rate_hz)].astype(float)
        spoken = spoken[np.abs(spoken) > 20]
        found.append(20 * np.log10(np.sqrt(np.mean(spoken**2))))
    return found


@pytest.mark.parametrize(
    ("language", "name", "said"),
    [(language, name, said) for language, named in SAID.items() for name, several in named.items() for said in several],
)
def test_what_people_say_changes_it(language: str, name: str, said: str) -> None:
    words = words_of(language)
    assert words
    matched = words.match(said)
    assert matched
    assert matched.name == name


def test_every_language_is_tried_here_and_what_is_merely_alike_is_left_alone() -> None:
    assert set(SAID) == {path.stem for path in TABLES.glob("*.toml")}
    words = words_of("en")
    assert words
    assert [words.match(said) for said in LEFT_ALONE] == [None] * len(LEFT_ALONE)


@in_virtual_time
async def test_a_slower_voice_is_another_pace_of_the_same_engine_from_the_next_words_on() -> None:
    held, tts = await talk("And now?", "Speak slower, please.", "Slower.", "Faster.", settings={"tts": {"speed": 1.2}})
    assert held.texts("bot_written") == [
        "This is it.",
        *["I'll speak more slowly."] * 2,
        "I'll speak faster.",
    ]
    assert [speed for _, _, speed in tts.voices_taken] == [1.0, 0.83, 1.0]
    assert [event["name"] for event in held.named("reflex")] == ["slower", "slower", "faster"]
    assert held.named("error") == []


@in_virtual_time
async def test_a_louder_voice_is_louder_by_a_step_and_a_quieter_one_quieter() -> None:
    held, tts = await talk("And now?", "Quieter.", "Quieter.", "Louder.", "And then?")
    first, *others = levels_db(held)
    # 0 dB, one step down, two, one, and one.
    steps = [-1, -2, -1, -1]
    assert [level - first for level in others] == pytest.approx([GAIN_STEP_DB * n for n in steps], abs=0.5)
    assert tts.voices_taken == []


class Nothing(Arguments):
    """Nothing."""


async def nothing(_: Nothing) -> str:
    return "nothing"


@pytest.mark.parametrize("said", ["Turn it down.", "Turn the volume up a bit.", "That's too loud."])
def test_what_may_be_said_of_a_loudspeaker_is_the_voices_only_where_there_is_none(said: str) -> None:
    def found(settings: dict[str, object], *, own: bool = False, served: bool = False) -> str | None:
        tool = Tool("radio", "A radio.", Nothing, nothing)
        able = abilities(Settings.model_validate(settings), TimerBook(), lambda *_, **__: None, [tool] if own else [])
        if served:
            able.toolbox.serve([tool])
        reflex = able.find_reflex(said, [])
        assert able.find_reflex("Speak more quietly.", [])
        return reflex.name if reflex else None

    assert found({}) in ("turn_down", "turn_up")
    home: dict[str, object] = {"home": {"url": "http://127.0.0.1:8123", "token": "t"}}
    assert [found(home), found({}, own=True), found({}, served=True)] == [None] * 3
    assert found({**home, "tools": {"home": "off"}}) in ("turn_down", "turn_up")


@in_virtual_time
async def test_turning_it_down_is_a_step_like_any_other() -> None:
    held, _ = await talk("And now?", "Turn it down.", "Turn it up.")
    first, *others = levels_db(held)
    assert [level - first for level in others] == pytest.approx([-GAIN_STEP_DB, 0.0], abs=0.5)
    assert held.texts("bot_written")[1:] == ["I'll speak more quietly.", "I'll speak louder."]


@in_virtual_time
async def test_the_settings_say_how_loud_it_begins() -> None:
    plain, _ = await talk("And now?")
    quiet, _ = await talk("And now?", settings={"tts": {"gain_db": -12.0}})
    assert levels_db(quiet)[0] - levels_db(plain)[0] == pytest.approx(-12.0, abs=0.5)


@in_virtual_time
async def test_there_is_an_end_to_it_and_the_agent_says_so() -> None:
    held, tts = await talk("Slower.", "Louder.", settings={"tts": {"speed": SLOWEST, "gain_db": LOUDEST_DB}})
    assert held.texts("bot_written") == ["I can't go any further."] * 2
    assert tts.voices_taken == []


def steps(change: Sequence[bool]) -> int:
    return sum(change)


def test_a_pace_and_a_gain_stay_within_the_settings_bounds() -> None:
    manner = Manner()
    assert steps([manner.hasten(1) for _ in range(20)]) == 4
    assert manner.speed == FASTEST
    assert [manner.hasten(-1) for _ in range(20)].count(True) == 8
    assert manner.speed == SLOWEST
    assert Manner().hasten(-1)
    assert PACE_STEP**4 > FASTEST > PACE_STEP**3
    assert [manner.raise_voice(1) for _ in range(9)].count(True) == 2
    assert manner.gain_db == LOUDEST_DB
    assert [manner.raise_voice(-1) for _ in range(20)].count(True) == 8
    assert manner.gain_db == QUIETEST_DB


def played(frames: Sequence[Samples], gains: Sequence[float], *, looks_ahead: bool) -> Samples:
    """What the gate plays of these frames, each of which is itself times a gain, whole."""
    level, told = Level(), [np.zeros(0, "<i2")]
    for index, (frame, gain) in enumerate(zip(frames, gains, strict=True)):
        following = frames[index + 1].tobytes() if looks_ahead and index + 1 < len(frames) else b""
        from_gain, to_gain = level.ramp(frame.tobytes(), gain, following)
        told.append(np.frombuffer(scaled(frame.tobytes(), from_gain, to_gain), "<i2"))
        # 5 ms at 24 kHz from one gain to the other.
        wanted = frame * np.interp(np.arange(len(frame)), [0, max(1, min(len(frame), 120) - 1)], [from_gain, to_gain])
        assert np.abs(told[-1] - wanted).max(initial=0) <= 0.51
        assert min(from_gain, to_gain) <= 2.0
    return np.concatenate(told)


@given(
    frames=st.lists(
        st.lists(st.integers(-32_768, 32_767), max_size=200).map(lambda one: np.array(one, "<i2")),
        min_size=5,
        max_size=5,
    ),
    gains=st.lists(st.floats(0.0, 2.0), min_size=5, max_size=5),
    looks_ahead=st.booleans(),
)
def test_no_frame_after_any_other_at_any_gain_is_clipped(
    frames: list[Samples], gains: list[float], looks_ahead: bool
) -> None:
    assert len(played(frames, gains, looks_ahead=looks_ahead)) == sum(map(len, frames))


WAVE = np.sin(np.arange(480) * 2 * np.pi / 48)


@pytest.mark.parametrize("looks_ahead", [True, False])
@pytest.mark.parametrize("peak", [0, 1, 8_000, 20_000, 32_767])
def test_a_loud_frame_after_a_quiet_one_is_as_loud_as_can_be_and_not_clipped(peak: int, looks_ahead: bool) -> None:
    quiet, loud = (np.round(level * WAVE).astype("<i2") for level in (6_000, peak))
    told = played([quiet, loud, loud, quiet, quiet], [2.0] * 5, looks_ahead=looks_ahead)
    assert np.abs(told[480:960].astype(int)).max() == pytest.approx(min(2 * peak, FULL_SCALE), abs=1)
    assert np.abs(told[-480:].astype(int)).max() == 12_000


def test_the_gain_falls_before_a_loud_frame_and_makes_no_step_into_it() -> None:
    quiet, loud = np.full(480, 5_000, "<i2"), np.full(480, 30_000, "<i2")
    frames = [quiet, quiet, loud, quiet]
    gains = played(frames, [2.0] * 4, looks_ahead=True) / np.concatenate(frames)
    assert gains[479] == 2.0
    # From 1 to 2, to 32767 / 30000 and back, in 119 steps each, rounding included.
    assert np.abs(np.diff(gains)).max() < 1.0 / 119 + 1 / 5_000


@in_virtual_time
async def test_a_voice_at_its_loudest_is_whole_where_it_is_heard() -> None:
    wave = [np.round(level * WAVE).astype("<i2") for level in (6_000, 32_000, 6_000, 32_000)]
    sound = TTSAudioRawFrame(np.concatenate(wave).tobytes(), 24_000, 1)
    loudspeaker, _ = await play(sound, manner=Manner(gain_db=LOUDEST_DB))
    heard = np.frombuffer(b"".join(frame.audio for _, frame in loudspeaker.sound()), "<i2").astype(int)
    # A sine that was cut off would stay at its peak for more than two samples.
    assert np.abs(heard).max() <= FULL_SCALE
    flat = np.abs(heard) >= FULL_SCALE
    assert not (flat[:-2] & flat[1:-1] & flat[2:]).any()
