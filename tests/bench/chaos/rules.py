"""What must hold in every call, whatever happened: rules over its log. Each gives what is wrong, in words."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from processors.text.bare_words import bare
from tests.bench.chaos.log import Asking, CallLog, Message, Told
from tests.bench.chaos.weather import ANYBODY, Struck
from tests.bench.chaos.words import NO_WORD, NOBODYS, NOISE, caller_of, own_words, place_of

# Every apology begins with it, and nothing else that the agent says.
SORRY = "sorry"
# How long an engine that failed is felt, by whoever waits behind it, beside the time for which it does not come back.
FELT_SECS = 30.0
# Until a turn is over, and its answer is due.
ANSWER_SECS = 15.0
# Error events that say that all is well again.
MENDED = ("goes on", "says it", "asked again", "took over")


def problems_of(log: CallLog) -> list[str]:
    """What does not hold in a call; empty if all does."""
    return [*strangers(log), *answered_twice(log), *unanswered(log), *apologies(log), *misremembered(log), *ends(log)]


@dataclass
class Given:
    """A reply as far as it was heard or read.

    Attributes:
        indices: The words, in order.
        places: In how many places it was heard.
    """

    indices: list[int] = field(default_factory=list)
    places: int = 0


def given_replies(log: CallLog) -> dict[int, Given]:
    """What the caller heard or read of each reply."""
    replies: dict[int, Given] = {}
    last: int | None = None
    parts: defaultdict[tuple[int, int], float] = defaultdict(float)
    for heard in log.heard:
        if heard.caller != log.caller:
            continue
        given = replies.setdefault(heard.n_reply, Given())
        given.places += heard.n_reply != last
        last = heard.n_reply
        key = heard.n_reply, heard.index
        if parts[key] < 0.5 <= parts[key] + heard.part:
            given.indices.append(heard.index)
        parts[key] += heard.part
    for told in log.named("reply_text"):
        for word in own_words(told.event["text"]):
            place = place_of(word)
            assert place is not None
            replies.setdefault(place[0], Given(places=1)).indices.append(place[1])
    return replies


def strangers(log: CallLog) -> Iterator[str]:
    """Nobody hears, reads, or is answered with words of another."""
    for told in log.told:
        event = {key: value for key, value in told.event.items() if key not in ("settings", "conversation")}
        for word in own_words(json.dumps(event)):
            if caller_of(word) != log.caller:
                yield f"caller {log.caller} is told {word!r} of caller {caller_of(word)}: {event}"
    for heard in log.heard:
        if heard.caller not in (log.caller, NOBODYS, NOISE):
            whose = "nobody" if heard.caller == NO_WORD else f"caller {heard.caller}"
            yield f"caller {log.caller} hears a word of {whose}"
    for message in log.after:
        for word in own_words(str(message.get("content"))):
            if caller_of(word) != log.caller:
                yield f"the history of caller {log.caller} has {word!r} of caller {caller_of(word)}"
    for asked in log.asked:
        if asked.strangers:
            yield f"the model is asked for caller {log.caller} with {asked.strangers} of others"


def answered_twice(log: CallLog) -> Iterator[str]:
    """No question is answered twice, and no reply is heard in two places."""
    given = given_replies(log)
    for n_reply, reply in given.items():
        if reply.places > 1:
            yield f"reply {n_reply} is heard in {reply.places} places"
    answers: dict[str, list[int]] = {}
    for asked in log.asked:
        if len(given.get(asked.n_reply, Given()).indices) > 1:
            for word in own_words(asked.question):
                answers.setdefault(word, []).append(asked.n_reply)
    for word, n_replies in answers.items():
        if len(n_replies) > 1:
            yield f"{word} is answered {len(n_replies)} times, by replies {n_replies}"


def unanswered(log: CallLog) -> Iterator[str]:
    """What was asked is answered, or an error is told, or the caller cut the answer off."""
    given = given_replies(log)
    answered = {word for asked in log.asked if given.get(asked.n_reply) for word in own_words(asked.question)}
    for asking in log.askings:
        if asking.word not in answered and not _is_excused(log, asking):
            yield f"not answered: {asking.word}, asked at {asking.began_secs - log.began_secs:.2f} s"


def _is_excused(log: CallLog, asking: Asking) -> bool:
    until_secs = asking.ended_secs + FELT_SECS
    # Behind a voice that hangs in a text that was cut, nothing is said until it is given up; nobody is told of it.
    due_secs = ANSWER_SECS + (FELT_SECS if _is_dumb(log, asking) else 0.0)
    left = log.ended_secs - asking.ended_secs < due_secs and asking.word != log.final
    told = [one for one in log.told if asking.began_secs <= one.secs <= until_secs]
    failed = any(one.event["event"] == "error" and one.event["stage"] != "recording" for one in told)
    cut = any(_cuts_unheard(one) for one in told)
    return left or failed or cut or any(_is_deaf(struck, asking) for struck in log.struck)


def _cuts_unheard(told: Told) -> bool:
    event = told.event
    if event["event"] == "started_over":
        return True
    return event["event"] == "interruption" and len(event["heard"].split()) <= 1


def _is_dumb(log: CallLog, asking: Asking) -> bool:
    """Whether the voice may not have come back from its work when the answer was due, for whomever it worked."""
    from_secs, until_secs = asking.began_secs - ANSWER_SECS, asking.ended_secs + ANSWER_SECS
    hanging = (struck for struck in log.struck if (struck.stage, struck.name) == ("tts", "hang"))
    return any(from_secs <= struck.secs <= until_secs for struck in hanging)


def _is_deaf(struck: Struck, asking: Asking) -> bool:
    """Whether what was said may have been lost without anybody's knowing."""
    near = asking.began_secs - ANSWER_SECS <= struck.secs <= asking.ended_secs + ANSWER_SECS
    return near and ((struck.stage == "stt" and struck.name in ("none", "endless")) or struck.stage == "vad")


def is_felt(log: CallLog, from_secs: float, until_secs: float, *stages: str) -> bool:
    """Whether an engine that fails may have to do with what happened within a time."""
    return any(
        struck.secs <= until_secs
        and struck.until_secs + FELT_SECS >= from_secs
        and struck.stage in stages
        and (struck.stage != "llm" or struck.caller in (ANYBODY, log.caller))
        for struck in log.struck
    )


def apologies(log: CallLog) -> Iterator[str]:
    """The agent apologises once for what failed, and for nothing else."""
    due = 0
    for at, told in enumerate(log.told):
        event = told.event
        if event["event"] == "error" and event["stage"] in ("stt", "llm") and not _is_mended(event["message"]):
            due += 1
            if event["stage"] == "llm" and "speculative" not in event and not _is_told(log, at):
                yield f"no apology for {event['message']!r} at {told.secs - log.began_secs:.2f} s"
        elif event["event"] == "bot_word" and bare(event["text"]) == SORRY:
            if due == 0 and not is_felt(log, told.secs, told.secs, "stt", "vad", "turn"):
                yield f"an apology for nothing at {told.secs - log.began_secs:.2f} s"
            due = max(0, due - 1)


def _is_mended(message: str) -> bool:
    return any(words in message for words in MENDED)


def _is_told(log: CallLog, at: int) -> bool:
    """Whether an apology follows, or cannot: it was cut, is read as an error, or the voice fails."""
    failed = log.told[at]
    for told in log.told[at + 1 :]:
        event = told.event
        if event["event"] in ("interruption", "turn_started", "session_ended", "started_over"):
            return True
        if event["event"] == "bot_word" and bare(event["text"]) == SORRY:
            return True
        if event["event"] == "error" and event["stage"] == "tts":
            return True
        if event["event"] == "turn_ended":
            break
    written = [asking for asking in log.askings if asking.began_secs <= failed.secs]
    return bool(written) and written[-1].written


def misremembered(log: CallLog) -> Iterator[str]:
    """History is what was said and what was heard, each once, in order."""
    started_over = any(told.event["event"] == "started_over" for told in log.told)
    before, after = _words_of(log.before), _words_of(log.after)
    if not started_over and after[: len(before)] != before:
        yield f"remembered before the call was {log.before}, and after it {log.after}"
    said = [word for role, word in after if role == "user" and own_words(word)]
    yield from (f"{word} is remembered {n} times" for word, n in Counter(said).items() if n > 1)
    given = given_replies(log)
    in_history: list[int] = []
    endless = {asked.n_reply for asked in log.asked if asked.fault == "endless"}
    old = {message["content"] for message in log.before}
    for message in log.after:
        if message["role"] == "assistant" and message["content"] not in old:
            places = [place_of(word) for word in bare(message["content"]).split()]
            if places[0] and places[0][0] in endless:
                # It is cut at a character, and how often each word was heard is not counted.
                in_history.append(places[0][0])
                continue
            numbers = {place[0] if place else None for place in places}
            (n_reply, *others) = numbers
            if n_reply is None or others:
                yield f"an answer in the history is no reply's: {message['content']!r}"
                continue
            in_history.append(n_reply)
            yield from _compare(n_reply, [place[1] for place in places if place], given)
    if in_history != sorted(set(in_history)):
        yield f"replies are remembered in the order {in_history}"
    if not started_over:
        forgotten = [n for n, reply in given.items() if len(reply.indices) > 1 and n not in in_history]
        yield from (f"reply {n} was heard and is not in the history" for n in forgotten)


def _words_of(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """(role, word) in order: messages that follow one another without an answer may have become one."""
    return [(message["role"], word) for message in messages for word in bare(message["content"]).split()]


def _compare(n_reply: int, remembered: list[int], given: dict[int, Given]) -> Iterator[str]:
    heard = given.get(n_reply, Given()).indices
    shorter, longer = sorted((remembered, heard), key=len)
    if not (len(longer) - len(shorter) <= 1 and longer[: len(shorter)] == shorter):
        yield f"of reply {n_reply} the words {remembered} are remembered, and {heard} were heard"


def ends(log: CallLog) -> Iterator[str]:
    """A call comes to rest and ends; what is asked in peace at its end is answered whole, and remembered."""
    yield from (f"left over: {name}" for name in log.left_over)
    last_secs = log.askings[-1].began_secs if log.askings else log.began_secs
    if not is_felt(log, log.began_secs, log.ended_secs, "stt", "llm", "tts", "vad", "turn"):
        yield from (f"never idle: {doing}" for doing in log.never_idle)
        yield from (
            f"error: {told.event['message']}" for told in log.named("error") if told.event["stage"] != "recording"
        )
    if log.final is None or is_felt(log, last_secs - FELT_SECS, log.ended_secs, "stt", "llm", "tts", "vad", "turn"):
        return
    answers = [asked for asked in log.asked if log.final in asked.question]
    heard = given_replies(log).get(answers[-1].n_reply, Given()).indices if answers else []
    if not answers or heard != list(range(len(answers[-1].words))):
        yield f"the last question, {log.final}, is not answered whole: {heard} of {answers}"
