"""What the scripted language model says, a token at a time at a fixed rate.

Sentences without commas or figures: a pause within one is none of the voice's own, and each word has one spelling.
"""

import re

from tests.support.scripted_llm import Reply

TOKENS_PER_SEC = 33.0
REPLIES = (
    "The answer is on the second page of the book that you gave me last week. Shall I read it out to you?",
    "It will be warm and dry for the whole day with a little wind from the west.",
    "I have put that on your list. There are four other things on it that you wanted to buy today.",
    "Most people think so but nobody has ever been able to prove it in a way that convinced everybody.",
    "That is a good question. The short answer is that light is scattered by the air above our heads.",
    "The train leaves at noon from the main station. It takes about two hours to reach the sea.",
)


def reply(number: int) -> tuple[str, Reply]:
    """An answer, as text and as a stream: the first token at once, the others at the rate."""
    text = REPLIES[number % len(REPLIES)]
    # A token is a word and the space before it, or a punctuation mark: about what a real vocabulary has.
    tokens = re.findall(r"\s?\w+|[^\w\s]", text)
    return text, Reply(*tokens, delay_secs=1 / TOKENS_PER_SEC)


def sentence_ends(text: str) -> list[int]:
    """After how many words each sentence but the last ends."""
    ends, n_words = [], 0
    for sentence in re.split(r"(?<=[.?!])\s+", text)[:-1]:
        n_words += len(sentence.split())
        ends.append(n_words)
    return ends
