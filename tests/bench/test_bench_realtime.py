"""The bench of the Realtime door, in virtual time: what its own work adds to an answer, apart from what it computes."""

from tests.bench.realtime import serving_both, voice_to_voice
from tests.bench.table import median
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_realtime_client_is_answered_as_soon_as_a_page_on_its_own_line() -> None:
    async with serving_both(0, 10) as url:
        by_page, by_realtime = await voice_to_voice(url, 3)
    assert len(by_page) == len(by_realtime) == 3
    # 0.15 s of ears, 0.25 s of mind and 0.12 s of voice, most of it before the turn is surely over.
    assert 100 < median(by_page) < 1000
    # In pairs: a question that ends just before one of the detector's windows does waits for the next one, 32 ms.
    later_ms = [realtime - page for page, realtime in zip(by_page, by_realtime, strict=True)]
    assert median(later_ms) / median(by_page) <= 0.05
