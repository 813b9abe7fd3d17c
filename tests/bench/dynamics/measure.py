"""What a scene tells, read from the samples that were played and from what is remembered.

In:  a Scene.   Out: Measured; all pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tests.bench.dynamics.code import (
    LEVEL_S16,
    RATE_HZ,
    Pcm16,
    Stretch,
    coded,
    find_stretches,
    heard_words,
    playings,
    words_of,
)
from tests.bench.dynamics.scene import Scene

# -50 dBFS: quieter is not heard.
AUDIBLE_S16 = 104
# Nothing is lost with them.
HESITATIONS = {"uh", "um"}
DUCKED_DB = 10.0
LEVEL_WINDOW_SAMPLES = RATE_HZ * 5 // 1000


@dataclass
class Measured:
    """Seconds where a name says so; None where there is nothing to measure.

    Attributes:
        voice_to_voice_secs: From the true end of speech to the agent's first audible sample after it.
        decision_secs: From the true end of speech to the decision that the turn is over.
        rest_secs: The voice-to-voice time after that decision.
        excess_secs: What voice-to-voice has above the later of that decision and the engines' three delays.
        cut_off: Whether the agent spoke before the speaker had ended, or answered a part of the words.
        ducked_secs: From the onset of what is said over the agent until it is 10 dB quieter.
        silent_secs: From there to the last sample that the agent plays of what it was saying.
        missed: The agent said all that it had to say in spite of a barge-in.
        words_arrived: The barge-in's words became a turn.
        ended_turn: The agent did not say all that it had to say.
        pause_secs: Silence within what it was saying.
        lost_secs: Planned samples within it that were never played.
        repeated_secs: Samples that were played twice.
        history_difference: Words by which the history differs from what was heard.
        n_replies: Replies that reached the history.
        n_turns: Turns that the person took; a backchannel is none.
        lag_secs: How late the event loop was at worst.
        spoken_over: Whether the agent was speaking at the onset.
    """

    name: str
    kind: str
    source: str
    n_requests: int
    n_replies: int
    n_turns: int
    lag_secs: float
    n_kept: int = 0
    n_thrown_away: int = 0
    voice_to_voice_secs: float | None = None
    decision_secs: float | None = None
    rest_secs: float | None = None
    excess_secs: float | None = None
    cut_off: bool | None = None
    ducked_secs: float | None = None
    silent_secs: float | None = None
    missed: bool | None = None
    words_arrived: bool | None = None
    ended_turn: bool | None = None
    pause_secs: float | None = None
    lost_secs: float | None = None
    repeated_secs: float | None = None
    history_difference: int | None = None
    spoken_over: bool | None = None


def measure(scene: Scene) -> Measured:
    """Everything that the scene tells."""
    outcomes = [event.get("outcome") for event in scene.named("speculation")]
    measured = Measured(
        scene.item.name,
        scene.item.kind,
        scene.item.source,
        n_requests=scene.n_requests,
        n_replies=replies_in(scene),
        n_turns=2 if scene.item.kind == "barge_in" else 1,
        lag_secs=scene.lag_secs,
        n_kept=outcomes.count("kept"),
        n_thrown_away=outcomes.count("thrown_away"),
    )
    if scene.over_agent:
        _measure_over_agent(scene, measured)
    else:
        _measure_answer(scene, measured)
    if scene.reply:
        measured.history_difference = history_difference(scene)
    return measured


def first_sound_secs(heard_s16: Pcm16, from_secs: float, until_secs: float) -> float | None:
    """The agent's first audible sample in a stretch of the timeline."""
    start, stop = round(from_secs * RATE_HZ), round(until_secs * RATE_HZ)
    audible = np.flatnonzero(np.abs(heard_s16[start:stop].astype(np.int32)) > AUDIBLE_S16)
    return (start + int(audible[0])) / RATE_HZ if audible.size else None


def ducked_secs(heard_s16: Pcm16, onset_secs: float, until_secs: float) -> float | None:
    """From an onset until 5 ms of the agent's voice are 10 dB below what they would be; None if they never are."""
    start, stop = round(onset_secs * RATE_HZ), round(until_secs * RATE_HZ)
    n_windows = (stop - start) // LEVEL_WINDOW_SAMPLES
    windows = heard_s16[start : start + n_windows * LEVEL_WINDOW_SAMPLES].astype(np.float64)
    level = np.sqrt((windows.reshape(-1, LEVEL_WINDOW_SAMPLES) ** 2).mean(axis=1))
    quiet = np.flatnonzero(level <= LEVEL_S16 * 10 ** (-DUCKED_DB / 20))
    return int(quiet[0]) * LEVEL_WINDOW_SAMPLES / RATE_HZ if quiet.size else None


def gaps_secs(stretches: Sequence[Stretch]) -> tuple[float, float, float]:
    """Between the stretches of one reply: silence, planned samples left out, samples played again."""
    silent = lost = repeated = 0
    for before, after in pairwise(stretches):
        silent += after.played_at - before.played_until
        step = after.planned_at - before.planned_until
        lost += max(0, step)
        repeated += max(0, -step)
    return silent / RATE_HZ, lost / RATE_HZ, repeated / RATE_HZ


def played(scene: Scene, text: str) -> list[list[Stretch]]:
    """Where a reply was played within the scene, each time; places count from the conversation's first sample."""
    start = round(_scene_start_secs(scene) * RATE_HZ)
    stop = round(scene.until_secs * RATE_HZ)
    found = find_stretches(scene.heard_s16[start:stop], coded(text))
    return playings([Stretch(start + one.played_at, one.planned_at, one.n_samples) for one in found])


def replies_in(scene: Scene) -> int:
    """How many replies reached the history; one may lie there in several pieces."""
    roles = [message.get("role") for message in scene.messages if message.get("role") in ("user", "assistant")]
    return sum(role == "assistant" and before != "assistant" for before, role in zip(["", *roles], roles, strict=False))


def history_difference(scene: Scene) -> int:
    """By how many words (left out, added, other) the history differs from what was heard.

    What else stands in the history, such as a remark that a reply was cut, is no word that it claims was spoken.
    """
    texts = [text for text in (scene.reply, scene.next_reply) if text]
    times = sorted(
        (stretches[0].played_at, heard_words(stretches, text)) for text in texts for stretches in played(scene, text)
    )
    heard = [word for _, words in times for word in words]
    known = {word for text in texts for word in words_of(text)}
    said = " ".join(str(message.get("content")) for message in scene.messages if message.get("role") == "assistant")
    return edit_distance([word for word in words_of(said) if word in known], heard)


def edit_distance(one: Sequence[str], other: Sequence[str]) -> int:
    """Levenshtein's distance in words."""
    row = list(range(len(other) + 1))
    for index, word in enumerate(one, 1):
        diagonal, row[0] = row[0], index
        for place, against in enumerate(other, 1):
            best = min(diagonal + (word != against), row[place] + 1, row[place - 1] + 1)
            diagonal, row[place] = row[place], best
    return row[-1]


def decision_secs(scene: Scene) -> float | None:
    """When the turn that was answered first was judged over."""
    for event in scene.named("latency"):
        if "turn_ms" in event and "voice_to_voice_ms" in event:
            return event["t"] - (event["voice_to_voice_ms"] - event["turn_ms"]) / 1000
    # Without a decision of its own, a turn that smart-turn never judged over was ended by a timeout.
    ends = [event["t"] for event in scene.events if event["event"] in ("turn_judged_over", "turn_ended")]
    late = [end_secs for end_secs in ends if end_secs >= scene.end_secs]
    return min(late, default=None)


def _measure_answer(scene: Scene, measured: Measured) -> None:
    first_secs = first_sound_secs(scene.heard_s16, scene.onset_secs, scene.until_secs)
    answer_secs = first_sound_secs(scene.heard_s16, scene.end_secs, scene.until_secs)
    measured.cut_off = first_secs is not None and (first_secs < scene.end_secs or _answers_a_part(scene, first_secs))
    decided_secs = decision_secs(scene)
    if measured.cut_off or answer_secs is None:
        return
    measured.voice_to_voice_secs = answer_secs - scene.end_secs
    if decided_secs is not None:
        measured.decision_secs = decided_secs - scene.end_secs
        measured.rest_secs = answer_secs - decided_secs
        if scene.delays_secs is not None:
            due_secs = max(measured.decision_secs, scene.delays_secs)
            measured.excess_secs = measured.voice_to_voice_secs - due_secs


def _answers_a_part(scene: Scene, answer_secs: float) -> bool:
    """Whether words were missing when the turn was handed over; real recognizers lose words for other reasons."""
    if not scene.reply:
        return False
    turns = " ".join(event["text"] for event in scene.named("turn_ended") if event["t"] <= answer_secs)
    return not set(words_of(scene.item.text)) - HESITATIONS <= set(words_of(turns))


def _measure_over_agent(scene: Scene, measured: Measured) -> None:
    # Where it is begun again, the first time counts.
    stretches = next(iter(played(scene, scene.reply)), [])
    onset = round(scene.onset_secs * RATE_HZ)
    measured.spoken_over = bool(stretches) and stretches[0].played_at <= onset < stretches[-1].played_until
    if not measured.spoken_over:
        return
    complete = heard_words(stretches, scene.reply) == words_of(scene.reply)
    last_secs = stretches[-1].played_until / RATE_HZ
    ducked = ducked_secs(scene.heard_s16, scene.onset_secs, scene.until_secs)
    if scene.item.kind == "barge_in":
        measured.missed = complete
        measured.words_arrived = _arrived(scene)
        if not complete:
            measured.ducked_secs, measured.silent_secs = ducked, last_secs - scene.onset_secs
        return
    measured.ended_turn = not complete
    if complete:
        measured.pause_secs, measured.lost_secs, measured.repeated_secs = gaps_secs(stretches)
        if scene.onset_secs + (ducked or 0.0) < last_secs:
            measured.ducked_secs = ducked


def _arrived(scene: Scene) -> bool:
    turns = " ".join(event["text"] for event in scene.named("turn_ended") if event["t"] >= scene.onset_secs)
    return set(words_of(scene.item.text)) <= set(words_of(turns))


def _scene_start_secs(scene: Scene) -> float:
    """Where the reply may begin at the earliest: after the scene's first event."""
    return min([scene.said_secs, *(event["t"] for event in scene.events)])
