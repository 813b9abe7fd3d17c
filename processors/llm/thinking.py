"""Takes a reasoning model's thoughts out of its reply, token by token.

In:  text as the model streams it, tags possibly split anywhere.   Out: the text that is meant for the listener.

Thoughts stand between `<think>` and `</think>` (or `<thinking>`), in any case of letters. Some chat templates
end the prompt with the opening tag, so that the reply starts in the middle of a thought: see `starts_inside`.
"""

OPENING_TAGS = ("<think>", "<thinking>")
CLOSING_TAGS = ("</think>", "</thinking>")


class ThinkFilter:
    """An incremental filter for one reply; each character is looked at a bounded number of times.

    Args:
        starts_inside: The reply begins inside a thought. Nothing comes out before the closing tag; if it never
            comes, `flush` returns everything, because then it was no thought.

    Attributes:
        thinking: Whether the text so far ends inside a thought.
        closed_unopened: Whether a closing tag came whose opening tag was never seen: the next reply of this
            model is best read with `starts_inside`.
    """

    def __init__(self, *, starts_inside: bool = False) -> None:
        self.thinking = starts_inside
        self.closed_unopened = False
        self._assumed = starts_inside
        self._unproven: list[str] = []
        self._rest = ""

    def feed(self, text: str) -> str:
        """Take more of the reply and return what of it may be spoken; a possible half tag waits for its end."""
        pending = self._rest + text
        self._rest = ""
        spoken: list[str] = []
        position = 0
        while (start := pending.find("<", position)) >= 0:
            self._pass_on(pending[position:start], spoken)
            length = self._read_tag(pending[start : start + len(CLOSING_TAGS[-1])])
            if length is None:
                self._rest = pending[start:]
                return "".join(spoken)
            if length == 0:
                self._pass_on("<", spoken)
            position = start + max(length, 1)
        self._pass_on(pending[position:], spoken)
        return "".join(spoken)

    def flush(self) -> str:
        """End the reply and return what was held back; the rest of an unfinished thought is dropped."""
        rest, self._rest = self._rest, ""
        if not self.thinking:
            return rest
        held = "".join(self._unproven) + rest if self._assumed else ""
        self._unproven.clear()
        return held

    def _pass_on(self, text: str, spoken: list[str]) -> None:
        if not self.thinking:
            spoken.append(text)
        elif self._assumed:
            self._unproven.append(text)

    def _read_tag(self, head: str) -> int | None:
        """Length of the tag at the start of `head`, which opens with "<"; 0 for none, None if it may become one."""
        head = head.lower()
        for tag in (*OPENING_TAGS, *CLOSING_TAGS):
            if head.startswith(tag):
                self._turn(opening=tag in OPENING_TAGS)
                return len(tag)
        if any(tag.startswith(head) for tag in (*OPENING_TAGS, *CLOSING_TAGS)):
            return None
        return 0

    def _turn(self, *, opening: bool) -> None:
        if not opening and (self._assumed or not self.thinking):
            self.closed_unopened = True
        self._assumed = False
        self._unproven.clear()
        self.thinking = opening
