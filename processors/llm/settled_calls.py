"""What tools have answered since the latest cut: their results are remembered, but no longer asked about once cut.

A result cannot be interrupted, since the history must know it. It makes Pipecat's aggregator ask the language model for
the rest of the reply, from behind everything that an interruption has yet to pass.

Of the calls of one reply, the last result makes it ask. Pipecat asks with each result that comes before the next call
has begun, as those of quick tools do: the user would hear two replies. A final result asks for nothing by itself; as
the last one it asks where another would have asked.
"""

from dataclasses import dataclass, replace

from pipecat.frames.frames import (
    Frame,
    FunctionCallCancelFrame,
    FunctionCallResultFrame,
    FunctionCallResultProperties,
    FunctionCallsStartedFrame,
)


@dataclass
class FinalResult(FunctionCallResultProperties):
    """Of a result with which the model is not asked for more."""

    run_llm: bool | None = False


class SettledCalls:
    """Those of one conversation."""

    def __init__(self) -> None:
        self._settled: list[FunctionCallResultFrame | FunctionCallCancelFrame] = []
        # Calls of the latest reply that have no result yet.
        self._open: set[str] = set()
        # Whether one of them that came before the last wanted more of the model.
        self._owed = False

    @property
    def ask_for_more(self) -> bool:
        """Whether a request for the rest of a reply can be about one that has not been cut."""
        return bool(self._settled)

    def note(self, frame: Frame) -> None:
        """Look at a frame that leaves the language model."""
        if isinstance(frame, FunctionCallsStartedFrame):
            self._open = {call.tool_call_id for call in frame.function_calls}
            self._owed = False
        elif isinstance(frame, (FunctionCallResultFrame, FunctionCallCancelFrame)):
            self._open.discard(frame.tool_call_id)
            if self._open:
                self._owed |= _asks(frame)
                _only_remember(frame)
            elif self._owed and isinstance(frame, FunctionCallResultFrame) and frame.properties:
                frame.properties = replace(frame.properties, run_llm=None)
            self._settled.append(frame)

    def cut(self) -> None:
        """The reply is cut: what is on its way is only to be remembered."""
        for frame in self._settled:
            _only_remember(frame)
        self._settled = []


def _only_remember(frame: FunctionCallResultFrame | FunctionCallCancelFrame) -> None:
    if isinstance(frame, FunctionCallResultFrame):
        frame.properties = replace(frame.properties or FunctionCallResultProperties(), run_llm=False)


def _asks(frame: FunctionCallResultFrame | FunctionCallCancelFrame) -> bool:
    if isinstance(frame, FunctionCallResultFrame):
        return frame.properties is None or frame.properties.run_llm is not False
    return bool(frame.run_llm)
