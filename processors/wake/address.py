"""The wake word is how the agent is addressed, and no part of what it is asked.

In:  transcripts of every kind.   Out: the same without the word at their beginning; NoWordsFrame where nothing is left.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

from pipecat.frames.frames import Frame, InterimTranscriptionFrame, TranscriptionFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from processors.frames import NoWordsFrame, PauseTranscriptFrame
from processors.text.bare_words import bare

# "Okay, Naboo", "Hey Jarves": recognizers do not know these names.
ALIKE = 0.75
# One word alone has many a neighbour: "Alex is coming to dinner" speaks of somebody, whatever Alexa hears.
ALIKE_ALONE = 0.9
MARKS = ",.!?;:…"


def without_address(text: str, phrases: Sequence[str]) -> str:
    """What was said without a wake word at its beginning.

    Args:
        text: As a recognizer wrote it.
        phrases: As they are said, such as `Hey Jarvis`.

    Returns:
        The rest. The phrase's last word alone, which is what may be left of it, goes only where a mark or nothing
        follows it: "Jarvis, what time is it" is a question to Jarvis, "Jarvis is a name" is none.
    """
    words = text.split()
    for phrase in phrases:
        wanted = bare(phrase).split()
        n_words = len(wanted)
        least = ALIKE if n_words > 1 else ALIKE_ALONE
        if len(words) >= n_words and _alike(words[:n_words], wanted, least):
            return " ".join(words[n_words:])
        is_apart = len(words) == 1 or (words and words[0].endswith(tuple(MARKS)))
        if is_apart and _alike(words[:1], wanted[-1:], least):
            return " ".join(words[1:])
    return text


def _alike(words: Sequence[str], wanted: Sequence[str], least: float) -> bool:
    said = bare(" ".join(words)).replace(" ", "")
    return SequenceMatcher(None, said, "".join(wanted)).ratio() >= least


class WithoutAddress(FrameProcessor):
    """Stands behind speech-to-text.

    Args:
        phrases: As they are said.
    """

    def __init__(self, phrases: Sequence[str]) -> None:
        super().__init__(enable_direct_mode=True)
        self._phrases = phrases

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Pass everything else on."""
        await super().process_frame(frame, direction)
        if isinstance(frame, (TranscriptionFrame, InterimTranscriptionFrame, PauseTranscriptFrame)) and frame.text:
            frame.text = without_address(frame.text, self._phrases)
            if not frame.text and isinstance(frame, TranscriptionFrame):
                await self.push_frame(NoWordsFrame(), direction)
                return
            if not frame.text and isinstance(frame, InterimTranscriptionFrame):
                return
        await self.push_frame(frame, direction)
