"""What the conversation is doing, told from its events: is anybody speaking, is an answer due."""

from agent.conversation.event_log import Event


class Floor:
    """Who speaks, and what is due; a sink of an observer, which keeps nothing of what it is told.

    Attributes:
        n_timers: Those that will make the agent speak up.
    """

    def __init__(self) -> None:
        self.user_speaking = False
        self.turn_open = False
        self.bot_speaking = False
        self.answer_due = False
        self.n_timers = 0
        # What is said while a tool works, or for want of an answer, is none.
        self._n_tools = 0
        self._bridging = False
        # Whether the answer that comes is read: nobody will begin to speak.
        self._written = False

    @property
    def idle(self) -> bool:
        """Nobody speaks, no turn is open and no answer is due."""
        return not (self.user_speaking or self.turn_open or self.bot_speaking or self.answer_due)

    def give_up(self) -> None:
        """Wait no longer for an answer that does not come."""
        self.answer_due = False
        self.turn_open = False

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event["event"]:
            case "user_started_speaking":
                self.user_speaking = True
            case "user_stopped_speaking":
                self.user_speaking = False
            case "turn_started":
                self.turn_open = True
                # What bridged the wait for an earlier answer has been cut, though nothing of it may have been heard.
                self._bridging = False
            case "turn_ended":
                self.turn_open = False
                self.answer_due |= bool(event["text"])
            case "reply_text":
                self._written = True
            case "llm_done" if self._written:
                self._written = False
                self.answer_due = self._n_tools > 0
            case "bot_started_speaking":
                self.bot_speaking = True
            case "bot_stopped_speaking":
                self.bot_speaking = False
                self.answer_due = self._n_tools > 0 or self._bridging
                self._bridging = False
            case "filler":
                self._bridging = True
            case "interruption":
                self._written = False
                self.answer_due = self._bridging = False
                self._n_tools = 0
            case _:
                self._follow_tools(event)

    def _follow_tools(self, event: Event) -> None:
        match event["event"]:
            case "timer_set":
                self.n_timers += 1
            case "timer_cancelled" | "timer_due":
                self.n_timers = max(0, self.n_timers - 1)
            case "tool_call":
                self._n_tools += 1
            case "tool_cancelled":
                self._n_tools = max(0, self._n_tools - 1)
            # A late one is of a call that was cut: nobody is told of it now.
            case "tool_result" if not event.get("late"):
                self._n_tools = max(0, self._n_tools - 1)
                # After a final one nothing is said that was not due already.
                self.answer_due |= not event.get("final")


class Activity(Floor):
    """The floor, and what came of the conversation so far: turns, answers, latencies, errors."""

    def __init__(self) -> None:
        super().__init__()
        self.n_turns = 0
        self.n_answered = 0
        # Turns whose answer was cut before anything of it was heard or read.
        self.n_cut = 0
        self.errors: list[Event] = []
        # Of answers that were prepared while the turn went on; they count if that answer is kept.
        self._early_errors: list[Event] = []
        self.latencies_ms: list[int] = []
        self.last_event_secs = 0.0

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self.last_event_secs = max(self.last_event_secs, event["t"])
        match event["event"]:
            case "turn_ended":
                self.n_turns += bool(event["text"])
            case "llm_done":
                self.n_answered += self._written
            case "latency":
                self.n_answered += 1
                if "voice_to_voice_ms" in event:
                    self.latencies_ms.append(event["voice_to_voice_ms"])
            case "interruption":
                self.n_cut += self.n_answered + self.n_cut < self.n_turns
            case "error":
                (self._early_errors if event.get("speculative") else self.errors).append(event)
            case "speculation":
                if event["outcome"] == "kept":
                    self.errors += self._early_errors
                self._early_errors = []
        super().__call__(event)
