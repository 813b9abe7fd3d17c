"""What a cut reply must not do: a conversation's events looked through for what follows an interruption.

The words of a reply that a test cuts begin with `cut`, and no other words do.
"""

from collections.abc import Sequence
from typing import Any

from agent.conversation.event_log import Event
from tests.support.scripted_llm import Reply

N_WORDS = 60
# Nothing but a reply has any of these; a new reply has them behind the end of the turn that it answers.
OF_A_REPLY = (
    "llm_first_token",
    "llm_done",
    "bot_planned",
    "bot_written",
    "bot_started_speaking",
    "bot_word",
    "reply_text",
    "filler",
    "tool_call",
    "tool_result",
    "latency",
)


def slow_reply(first_secs: float = 0.2, token_secs: float = 0.05, n_words: int = N_WORDS, **more: Any) -> Reply:
    """A reply whose words come one by one, in sentences of five."""
    words = [f"cut{index}{'.' if index % 5 == 4 else ''} " for index in range(n_words)]
    return Reply(*words, first_delay_secs=first_secs, delay_secs=token_secs, **more)


def cut_index(events: Sequence[Event], name: str = "interruption") -> int:
    """Where the last event of that name is."""
    return max(index for index, event in enumerate(events) if event["event"] == name)


def of_the_cut_reply(events: Sequence[Event]) -> list[Event]:
    """Those that a cut reply has among the events, in the order in which they were told, behind its interruption."""
    left_over: list[Event] = []
    in_new_turn = False
    n_prepared = 0
    for event in events:
        in_new_turn |= event["event"] == "turn_ended"
        n_prepared += event["event"] == "llm_first_token" and "speculative" in event
        says_it = any(str(event.get(key, "")).startswith("cut") for key in ("text", "planned", "heard"))
        is_of_any = event["event"] in OF_A_REPLY and not in_new_turn and "speculative" not in event
        if event["event"] == "llm_done" and n_prepared:
            # A prepared answer may be complete in the very moment in which its turn is judged over.
            n_prepared -= 1
            is_of_any = False
        if says_it or is_of_any:
            left_over.append(event)
    return left_over
