"""What is logged above DEBUG holds no words."""

import sys
from collections.abc import Iterator

import pytest
from loguru import logger
from pipecat.frames.frames import AggregatedTextFrame
from pipecat.utils.context.aggregated_frame_sequencer import AggregatedFrameSequencer

from agent.logs import configure_logs


@pytest.fixture
def _as_before() -> Iterator[None]:
    yield
    logger.configure(handlers=[{"sink": sys.stderr, "level": "WARNING"}])


@pytest.mark.parametrize(("level", "told"), [("INFO", False), ("WARNING", False), ("DEBUG", True)])
@pytest.mark.usefixtures("_as_before")
async def test_words_that_pipecat_drops_are_told_at_debug_only(
    level: str, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(level)
    sequencer = AggregatedFrameSequencer()
    await sequencer.register_spoken(AggregatedTextFrame("Hello.", "sentence"), "1", "Hello.", True)
    # The voice tells a word that stands in no sentence.
    assert sequencer.process_word("secret", 0, "1") == []
    logger.warning("heard")
    shown = capsys.readouterr().err
    assert "heard" in shown
    assert ("secret" in shown) is told
