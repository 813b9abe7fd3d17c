"""What must hold in every conversation, as rules over what was heard, said, told and remembered in it."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from processors.text.bare_words import bare
from tests.support.dynamics_scenario import Outcome
from tests.support.dynamics_scripts import (
    FINAL,
    WORD_SAMPLES,
    signs_of,
)
from tests.support.scripted_engines import RATE_HZ

# So many signs one after another belong to one place of one word.
KEY_SAMPLES = 48
# A cut falls between two frames; after it a few signs agree by chance.
CHANCE_SAMPLES = 40
# 20 ms.
LOST_SAMPLES = 480
# The virtual card has started to play 20 ms when they are taken from it.
CARD_SECS = 0.021


@dataclass(frozen=True)
class Stretch:
    """Samples of one word of the agent that were played one after another."""

    word: str
    start: int
    end: int


def stretches(heard_s16: np.ndarray[Any, np.dtype[np.int16]], words: set[str]) -> list[Stretch]:
    """What was played of the agent, silence left out."""
    played = np.sign(heard_s16[heard_s16 != 0]).astype(np.int16)
    places = {
        signs_of(word)[start : start + KEY_SAMPLES].tobytes(): (word, start)
        for word in words
        for start in range(WORD_SAMPLES - KEY_SAMPLES + 1)
    }
    found: list[Stretch] = []
    at = 0
    while at < len(played):
        word, start = places.get(played[at : at + KEY_SAMPLES].tobytes(), ("?", 0))
        if word == "?":
            found.append(Stretch("?", at, len(played)))
            break
        sound = signs_of(word)[start : start + len(played) - at]
        same = sound == played[at : at + len(sound)]
        length = len(sound) if same.all() else int(np.argmin(same))
        found.append(Stretch(word, start, start + length))
        at += length
    return found


@dataclass
class Played:
    """A reply as far as it was heard.

    Attributes:
        n_samples: How much of each word.
        jumps: Samples left out (above 0) or played again (below 0), other than at its end.
    """

    n_request: int
    n_samples: dict[int, int]
    jumps: list[int]

    def words(self, reply: list[str]) -> list[str]:
        """Those of which at least half was heard."""
        return [reply[index] for index, n_samples in self.n_samples.items() if 2 * n_samples >= WORD_SAMPLES]


def played_replies(outcome: Outcome) -> tuple[list[Played], list[str]]:
    """The replies that were heard, in order; and what is wrong with them."""
    place = {word: (n, index) for n, reply in enumerate(outcome.replies) for index, word in enumerate(reply)}
    replies: list[Played] = []
    problems: list[str] = []
    position = 0
    for stretch in stretches(outcome.heard_s16, outcome.spoken):
        if stretch.word == "?":
            problems.append(f"from sample {stretch.start} on, what was played is no word of the agent's")
            break
        if stretch.word not in place:
            continue  # an apology
        n_request, index = place[stretch.word]
        if not replies or replies[-1].n_request != n_request:
            replies.append(Played(n_request, {}, []))
            position = 0
        reply = replies[-1]
        start = index * WORD_SAMPLES + stretch.start
        if abs(start - position) > CHANCE_SAMPLES:
            reply.jumps.append(start - position)
        position = index * WORD_SAMPLES + stretch.end
        reply.n_samples[index] = reply.n_samples.get(index, 0) + stretch.end - stretch.start
    twice = [n for n in {reply.n_request for reply in replies} if sum(r.n_request == n for r in replies) > 1]
    problems += [f"reply {n} is heard in two places" for n in twice]
    return replies, problems


def problems_of(outcome: Outcome) -> list[str]:
    """What does not hold in this conversation; empty if all does."""
    replies, problems = played_replies(outcome)
    return [
        *problems,
        *_wrong_sound(outcome, replies),
        *_wrong_user_messages(outcome),
        *_wrong_agent_messages(outcome, replies),
        *_wrong_answers(outcome, replies),
        *_behind_a_cut(outcome),
        *_wrong_end(outcome),
    ]


def _wrong_sound(outcome: Outcome, replies: list[Played]) -> Iterator[str]:
    for reply in replies:
        excused = outcome.n_dumb > 0
        for jump in reply.jumps:
            if abs(jump) > LOST_SAMPLES and not (excused and jump > 0 and abs(jump) % WORD_SAMPLES < CHANCE_SAMPLES):
                yield f"reply {reply.n_request}: {jump} samples left out within it"


def _wrong_user_messages(outcome: Outcome) -> Iterator[str]:
    lost = list(outcome.misheard)
    pattern = ""
    for text, needed in outcome.utterances:
        words = bare(text).split()
        missing = [word for word in text.split() if word in lost]
        if not needed:
            pattern += f"(?:{' '.join(words)} )?"
        elif missing:
            pattern += "".join(f"(?:{word} )?" for word in words)
        else:
            pattern += " ".join(words) + " "
    said = bare(" ".join(message["content"] for message in outcome.history if message["role"] == "user")) + " "
    for typed in outcome.typed:
        if said.count(f"{typed} ") != 1:
            yield f"{typed!r} was typed, and is {said.count(f'{typed} ')} times in {said!r}"
        said = said.replace(f"{typed} ", "")
    if not re.fullmatch(pattern, said):
        yield f"the user's messages are {said!r}, but said was {pattern!r}"


def _wrong_agent_messages(outcome: Outcome, replies: list[Played]) -> Iterator[str]:
    """History is what was heard, to within one word, and each reply stands where its question was asked."""
    messages = list(outcome.history)
    n_of = {word: n for n, reply in enumerate(outcome.replies) for word in reply}
    heard = {reply.n_request: reply.words(outcome.replies[reply.n_request]) for reply in replies}
    in_history: list[int] = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        words = bare(message["content"]).split()
        numbers = {n_of.get(word, -1) for word in words}
        if len(numbers) != 1 or -1 in numbers:
            yield f"an assistant's message mixes replies {sorted(numbers)}: {message['content']!r}"
            continue
        n_request = numbers.pop()
        in_history.append(n_request)
        if not _within_one_word(words, heard.get(n_request, [])):
            yield f"reply {n_request}: history has {words}, heard was {heard.get(n_request, [])}"
        before = itertools.takewhile(lambda message: message["role"] == "user", reversed(messages[:index]))
        asked = " ".join(message["content"] for message in reversed(list(before)))
        if bare(asked) != bare(outcome.requests[n_request]):
            yield f"reply {n_request} answers {outcome.requests[n_request]!r}, but follows {asked!r}"
    if in_history != sorted(in_history):
        yield f"replies are remembered in the order {in_history}"
    played = [n_request for n_request, words in heard.items() if len(words) > 1]
    forgotten = [n_request for n_request in played if n_request not in in_history]
    if forgotten:
        yield f"replies {forgotten} were heard and are not in history"


def _within_one_word(ones: list[str], others: list[str]) -> bool:
    shorter, longer = sorted([ones, others], key=len)
    return len(longer) - len(shorter) <= 1 and longer[: len(shorter)] == shorter


def _wrong_answers(outcome: Outcome, replies: list[Played]) -> Iterator[str]:
    """Every turn is answered, unless the user went on or an engine failed."""
    history = outcome.history
    faulty = [bare(outcome.requests[n]) for n in outcome.faulty]
    # By a key or a typed turn an answer may be cut before its first word, and is not asked for again.
    n_excused = sum(len(event["heard"].split()) <= 1 for event in outcome.told if event["event"] == "interruption")
    n_excused *= outcome.has_hands
    for message, following in itertools.zip_longest(history, history[1:]):
        if message["role"] != "user" or (following and following["role"] == "assistant"):
            continue
        if outcome.n_dumb or any(bare(message["content"]) in asked for asked in faulty):
            continue
        n_excused -= 1
        if n_excused >= 0:
            continue
        yield f"not answered: {message['content']!r}, followed by {following}"
    cut = {event["heard"] for event in outcome.events if event["event"] == "interruption"}
    for reply in replies:
        whole = outcome.replies[reply.n_request]
        words = reply.words(whole)
        broke_off = len(words) < len(whole) and reply.n_request not in outcome.faulty and not outcome.n_dumb
        if broke_off and not any(_within_one_word(words, bare(heard).split()) for heard in cut):
            yield f"reply {reply.n_request} broke off after {words}, and no interruption says so"


def _behind_a_cut(outcome: Outcome) -> Iterator[str]:
    """Nothing of a reply that was asked for by then follows an interruption, neither told nor heard.

    No two replies share a word; apologies do.
    """
    n_of = {word: n for n, reply in enumerate(outcome.replies) for word in reply}
    n_cut = 0
    for event, n_asked in zip(outcome.told, outcome.n_asked, strict=True):
        words = bare(str(event.get("text", ""))).split()
        if event["event"] == "interruption":
            n_cut = max(n_cut, n_asked)
        elif event["event"] in ("transcript", "partial_transcript", "turn_ended", "speculation"):
            continue
        elif any(n_of.get(word, n_cut) < n_cut for word in words):
            yield f"behind its interruption: {event}"
    yield from _sound_behind_a_cut(outcome, n_of)


def _sound_behind_a_cut(outcome: Outcome, n_of: dict[str, int]) -> Iterator[str]:
    cuts = [
        (round((event["t"] + CARD_SECS) * RATE_HZ), n_asked)
        for event, n_asked in zip(outcome.told, outcome.n_asked, strict=True)
        if event["event"] == "interruption"
    ]
    places = np.flatnonzero(outcome.heard_s16)
    at = 0
    for stretch in stretches(outcome.heard_s16, outcome.spoken):
        at += stretch.end - stretch.start
        # The first signs of what comes next may agree by chance.
        ended = int(places[max(at - 1 - CHANCE_SAMPLES, at - stretch.end + stretch.start)])
        for cut, n_asked in cuts:
            if ended > cut and n_of.get(stretch.word, n_asked) < n_asked:
                yield f"reply {n_of[stretch.word]} is heard {ended - cut} samples behind its interruption"


def _wrong_end(outcome: Outcome) -> Iterator[str]:
    faults = bool(outcome.faulty or outcome.n_dumb or outcome.misheard)
    if not faults:
        yield from (f"never idle: {doing}" for doing in outcome.never_idle)
        yield from (
            f"error: {event['stage']}: {event['message']}" for event in outcome.events if event["event"] == "error"
        )
    yield from (f"left over: {name}" for name in outcome.left_over)
    asked, answer = [{}, {}, *outcome.history][-2:]
    if asked.get("role") != "user" or not bare(asked.get("content", "")).endswith(bare(FINAL)):
        yield f"the final question is not the last but one message: {asked}"
    elif bare(answer.get("content", "")).split() != outcome.replies[-1]:
        yield f"the final answer is not remembered whole: {answer}"
