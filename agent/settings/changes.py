"""What differs between two settings of one conversation, and whether it may change while the call goes on.

In:  the settings before and after.   Out: dotted keys.
"""

from agent.settings.load import Settings
from agent.settings.section import Section
from agent.settings.session import SESSION_KEYS

# What a running conversation takes: of what it may choose, all but what it can do; and a greeting, since whoever is in
# a call has been greeted.
LIVE_KEYS = frozenset(key for key in SESSION_KEYS if not key.startswith(("tools.", "interpreter."))) | {
    "dialogue.greeting"
}


def changed_keys(before: Settings, after: Settings) -> list[str]:
    """The settings that differ, as dotted keys in their order.

    Args:
        before: Of the conversation now.
        after: As they are to be.
    """
    return [
        f"{section}.{name}"
        for section in type(before).model_fields
        if isinstance(was := getattr(before, section), Section)
        for name in type(was).model_fields
        if getattr(was, name) != getattr(getattr(after, section), name)
    ]


def that_need_a_call(before: Settings, after: Settings) -> list[str]:
    """Of those, the ones that take effect with a new call only.

    Args:
        before: Of the conversation now.
        after: As they are to be.
    """
    changed = changed_keys(before, after)
    # An interpreter is another pipeline; and what waits for its name is behind a gate that a key has no use for.
    by_mode = after.interpreter.is_on or bool(after.wake.words and "turn.mode" in changed)
    return [key for key in changed if key not in LIVE_KEYS or (by_mode and key != "tts.speed")]
