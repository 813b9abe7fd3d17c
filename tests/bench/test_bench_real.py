"""The bench with real weights: what it reads from sound and words is right, and a row that cannot run says why."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.bench.real.questions import Question, load_questions
from tests.bench.real.replies import REPLIES, reply, sentence_ends
from tests.bench.real.report import Result, Turn, figures, show_table
from tests.bench.real.rows import Crew, Row, make_rows
from tests.bench.real.sound import Understood, silences
from tests.bench.real.worker import parts_ms
from transports.recorded import OUT_RATE_HZ


def tone(seconds: float, peak: int = 8000) -> np.ndarray:
    return (peak * np.sin(np.arange(int(seconds * OUT_RATE_HZ)) * 0.3)).astype(np.int16)


def test_a_reply_comes_token_by_token_at_the_rate_and_reads_as_it_is_spoken() -> None:
    for number, text in enumerate(REPLIES):
        spoken, streamed = reply(number)
        assert spoken == text
        assert "".join(str(delta["content"]) for _, delta in streamed.deltas) == text
        assert [delay for delay, _ in streamed.deltas] == [0.0] + [1 / 33] * (len(streamed.deltas) - 1)


def test_a_sentence_ends_after_its_last_word() -> None:
    assert sentence_ends("One two. Three four five? Six.") == [2, 5]
    assert sentence_ends("One two three.") == []


def test_only_silence_between_two_sounds_is_a_gap() -> None:
    quiet, hiss = np.zeros(OUT_RATE_HZ // 5, np.int16), tone(0.2, peak=50)
    heard = np.concatenate([quiet, tone(1.0), hiss, tone(0.5), quiet[: OUT_RATE_HZ // 10], tone(0.5), quiet])
    # 0.2 s of silence at either end is none, nor are 0.1 s; hiss below -50 dBFS is.
    assert silences(heard) == [(pytest.approx(1.2, abs=0.002), pytest.approx(1.4, abs=0.002))]


def result(voice_to_voice_ms: float | None, *, cut_off: bool = False, gaps: tuple[float, ...] = ()) -> Result:
    told = {
        "voice_to_voice_ms": voice_to_voice_ms,
        "cut_off": cut_off,
        "cpu_secs": 2.0,
        "peak_mb": 500.0,
        "turn_ms": 300,
    }
    turn = Turn("sotto: a", Question(Path("a.wav"), "people", "one two three four"), "Yes.", Path("a.npz"), told)
    return Result(turn, n_wrong=1, n_words=4, lags_ms=[1.0, 3.0], understood=Understood(list(gaps), 0, 2))


def test_the_figures_are_of_the_turns_that_were_answered() -> None:
    results = [result(1000.0), result(2000.0, gaps=(0.4, 0.2)), result(3000.0), result(None, cut_off=True)]
    assert figures(results) == {
        "answers": 3,
        "cut_off": 1,
        "p50_ms": 2000.0,
        "p95_ms": 3000.0,
        "turn_ms": 300,
        "stt_ms": None,
        "llm_ttft_ms": None,
        "tts_ttfb_ms": None,
        "word_errors": 0.25,
        "cpu_secs": 2.0,
        "peak_mb": 500.0,
        "lag_p99_ms": 3.0,
        "gaps": 2,
        "longest_gap_secs": 0.4,
        "misheard": 0.0,
    }


def test_the_parts_of_a_stock_turn_are_read_from_its_events() -> None:
    events = [
        {"t": 4.4, "event": "turn_judged_over"},
        {"t": 5.0, "event": "turn_ended", "text": "hello"},
        {"t": 6.0, "event": "latency", "llm_ttft_ms": 20, "tts_ttfb_ms": 900},
    ]
    # 4.4 - 4.0; 5.0 - 4.4
    expected = {"turn_ms": 400, "stt_ms": 600, "llm_ttft_ms": 20, "tts_ttfb_ms": 900}
    assert parts_ms(events, 4.0) == pytest.approx(expected)
    events[2] |= {"turn_ms": 310, "stt_ms": 5}
    assert parts_ms(events, 4.0) == {"turn_ms": 310, "stt_ms": 5, "llm_ttft_ms": 20, "tts_ttfb_ms": 900}


async def test_a_row_whose_engine_is_missing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"stt.engine": "whisper", "stt.model": str(tmp_path), "models_dir": str(tmp_path)}
    crew = Crew(
        Row("sotto: nothing", "sotto", settings=settings, llm_url="http://127.0.0.1:9/v1", llm_model="none"), tmp_path
    )
    await crew.start()
    await crew.close()
    assert f"model {tmp_path} is neither installed nor a directory with a model.bin" in crew.missing
    show_table("real weights", [crew], [])
    assert f"✗ sotto: nothing: {crew.missing}" in capsys.readouterr().out


def test_every_wiring_shares_weights_and_language_model(tmp_path: Path) -> None:
    rows = list(make_rows(Path("/m"), tmp_path, "http://127.0.0.1:1/v1", "x"))
    assert [row.name for row in rows] == [
        "stock: tiny.en + kokoro",
        "sotto: as installed",
        "sotto: auto of these",
        "sotto: tiny.en + piper",
        "sotto: base + piper",
        "sotto: tiny.en + kokoro",
    ]
    assert {(row.llm_url, row.llm_model) for row in rows} == {("http://127.0.0.1:1/v1", "x")}
    stock, ours = rows[0], rows[-1]
    assert (stock.whisper, stock.kokoro) == (ours.settings["stt.model"], ours.settings["tts.model"])


def test_questions_are_made_once(tmp_path: Path) -> None:
    (tmp_path / "questions.json").write_text(json.dumps([{"name": "a.wav", "source": "people", "words": "hello"}]))
    assert load_questions(Path("nowhere"), tmp_path) == [Question(tmp_path / "a.wav", "people", "hello")]
