"""What is logged above DEBUG holds no words."""

import sys
from collections.abc import Iterator

import pytest
from loguru import logger
from pipecat.utils.context import aggregated_frame_sequencer

from agent.logs import configure_logs


@pytest.fixture
def _as_before() -> Iterator[None]:
    yield
    logger.configure(handlers=[{"sink": sys.stderr, "level": "WARNING"}])


@pytest.mark.parametrize(("level", "told"), [("INFO", False), ("WARNING", False), ("DEBUG", True)])
@pytest.mark.usefixtures("_as_before")
def test_words_that_pipecat_drops_are_told_at_debug_only(
    level: str, told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(level)
    # As the module itself logs, which says the word.
    exec("logger.warning('Dropping word secret')", aggregated_frame_sequencer.__dict__)  # noqa: S102
    logger.warning("heard")
    shown = capsys.readouterr().err
    assert "heard" in shown
    assert ("secret" in shown) is told
