"""`llm.max_tokens = auto`: how long an answer a turn wants, and where one ends that says more."""

import asyncio
import re
from typing import Any

import pytest
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.services.llm_service import FunctionCallParams

from processors.llm.reply_bound import LONG_SHARE, RUN_ON, TOKENS, ReplyBound
from processors.llm.requests import Length, wanted_length
from processors.llm.service import LocalLLMService
from tests.support.llm_session import options, question, session, text_of
from tests.support.scripted_llm import Reply, ScriptedLLM, ToolCall
from tests.support.virtual_time import in_virtual_time

# What people say, in the languages of the bundled voices.
BRIEF = [
    "What is the capital of France?",
    "Who wrote Faust?",
    "Wie hoch ist der Eiffelturm?",
    "Wer war Ada Lovelace?",
    "Quelle est la capitale du Pérou ?",
    "¿Cuántos años tiene el papa?",
    "Quanto è alto il Monte Bianco?",
    "Qual é a capital do Chile?",
    "Thank you.",
]
PLAIN = [
    "Why is the sky blue?",
    "Should I take the train or the bus?",
    "Warum ist der Himmel blau?",
    "Pourquoi le ciel est-il bleu ?",
    "¿Por qué el cielo es azul?",
    "Perché il cielo è blu?",
    "Por que o céu é azul?",
    "I was at the lake with my sister this morning and we saw a heron there.",
]
LONG = [
    "Tell me a story about a fox.",
    "Explain in detail how a bicycle stays upright.",
    "Write a Python function that adds two numbers.",
    "Give me a list of trees.",
    "Go on.",
    "Erzähl mir eine Geschichte.",
    "Erklär mir ausführlich, wie ein Motor läuft.",
    "Mach eine Liste der Bäume.",
    "Raconte-moi une histoire.",
    "Explique-moi ça en détail.",
    "Fais une liste des arbres.",
    "Cuéntame un cuento.",
    "Explícame esto paso a paso, con detalle.",
    "Hazme una lista de árboles.",
    "Raccontami una storia.",
    "Spiegami nel dettaglio come funziona.",
    "Fammi un elenco di alberi.",
    "Conta-me uma história.",
    "Explica isso em detalhe.",
    "Faz uma lista de árvores.",
]
# Seven characters a word are 2 tokens by bytes (3.5 a token): a sentence of 9 words and its dot is a bit over 18.
WORD = "mellow "
SENTENCE = "Mellow " + WORD * 7 + "mellow. "


@pytest.mark.parametrize(
    ("length", "turns"),
    [(Length.BRIEF, BRIEF), (Length.PLAIN, PLAIN), (Length.LONG, LONG)],
    ids=lambda one: getattr(one, "name", ""),
)
def test_what_is_asked_says_how_long_an_answer_it_wants(length: Length, turns: list[str]) -> None:
    assert {turn: wanted_length(turn) for turn in turns} == dict.fromkeys(turns, length)


def pieces(text: str, width: int) -> list[str]:
    return [text[start : start + width] for start in range(0, len(text), width)]


def said(words: str, text: str, *, width: int = 7, max_tokens: int = 2048, written: bool = False) -> str:
    bound = ReplyBound(words, max_tokens, written=written)
    return "".join(bound.take(piece) for piece in pieces(text, width))


@pytest.mark.parametrize("width", [7, 50, 100_000])
def test_a_short_question_is_answered_up_to_the_end_of_a_sentence(width: int) -> None:
    text = said("Who wrote Faust?", SENTENCE * 40, width=width)
    # 80 tokens are 280 characters: within the fifth sentence of 64.
    assert TOKENS[Length.BRIEF] == 80
    assert text.rstrip() == (SENTENCE * 5).rstrip()


def test_a_number_and_a_title_end_no_sentence() -> None:
    text = SENTENCE * 4 + "It was 3.5 m long, said Dr. Smith to Mr. J. Brown, e.g. here. And then. " * 3
    assert said("Who wrote Faust?", text).endswith("Brown, e.g. here.")


def test_other_turns_have_more_room_and_long_ones_what_the_server_gives() -> None:
    endless = SENTENCE * 1000
    brief, plain = (len(said(words, endless)) for words in ("Who wrote Faust?", "Why is the sky blue?"))
    assert len(SENTENCE) * 13 < plain < len(SENTENCE) * 15
    assert brief < plain / 2
    story = said("Tell me a story.", endless, max_tokens=1000)
    # Before the server would cut it, and with its sentence.
    assert LONG_SHARE * 1000 <= len(story) / 3.5 < 1000
    assert story.rstrip().endswith("mellow.")


def test_what_is_shorter_is_left_as_it_is() -> None:
    text = "Goethe did, I think; but"
    assert said("Who wrote Faust?", text) == text


def test_a_sentence_without_an_end_is_cut_at_a_word() -> None:
    text = said("Who wrote Faust?", WORD * 500, width=3)
    assert re.fullmatch(r"(mellow )+", text)
    # A piece of three characters counts as a token, for at most servers it is one.
    assert len(text) / 3 == pytest.approx(RUN_ON * 80, abs=4)


def test_lines_of_a_list_and_sentences_of_any_script_are_ends() -> None:
    items = "".join(f"- mellow mellow mellow number{n}\n" for n in range(100))
    assert re.fullmatch(r"(- mellow mellow mellow number\d+\n?)+", said("Who wrote Faust?", items))
    text = said("Who wrote Faust?", "这是一个很长的句子。" * 100, width=1)
    assert (text[-1], len(text) % 10) == ("。", 0)


def test_code_is_not_cut_in_the_middle() -> None:
    code = "```py\n" + "x = 1.\ny = 2.\n" * 30 + "```\nThat is all. More. "
    assert said("Who wrote Faust?", code * 3) == "```py\n" + "x = 1.\ny = 2.\n" * 30 + "```"


def test_what_is_read_may_be_longer() -> None:
    assert len(said("Who wrote Faust?", SENTENCE * 40, written=True)) == len(said("Why so?", SENTENCE * 40))


@in_virtual_time
async def test_the_server_is_hung_up_on_where_the_answer_ends() -> None:
    reply = Reply(*[word + " " for word in (SENTENCE * 100).split()], delay_secs=0.02)
    async with ScriptedLLM(reply, Reply("Goethe.")) as server:
        asked = options(server, by_question=True, max_tokens=2048)
        async with session(LocalLLMService(asked)) as running:
            frames, errors = await running.ask(question("Who wrote Faust?"))
            assert (text_of(frames).rstrip(), errors) == ((SENTENCE * 5).rstrip(), [])
            await asyncio.wait_for(server.requests[0].closed_by_client.wait(), 1.0)
            assert server.requests[0].body["max_tokens"] == 2048
            assert text_of((await running.ask(question("Who wrote Faust?")))[0]) == "Goethe."


@in_virtual_time
async def test_without_it_a_reply_is_as_long_as_the_server_makes_it() -> None:
    reply = Reply(*[word + " " for word in (SENTENCE * 20).split()])
    async with ScriptedLLM(reply) as server, session(LocalLLMService(options(server))) as running:
        assert text_of((await running.ask(question("Who wrote Faust?")))[0]) == SENTENCE * 20


@in_virtual_time
async def test_a_call_behind_too_many_words_is_made_all_the_same() -> None:
    made: list[str] = []

    async def set_timer(params: FunctionCallParams) -> None:
        made.append(params.function_name)
        await params.result_callback({})

    words = [word + " " for word in (SENTENCE * 10).split()]
    async with ScriptedLLM(Reply(*words, tool_calls=[ToolCall("set_timer")])) as server:
        service = LocalLLMService(options(server, by_question=True, max_tokens=2048))
        service.register_function("set_timer", set_timer)
        context: Any = question("Set a timer.")
        context.set_tools(ToolsSchema([FunctionSchema("set_timer", "Sets one.", {}, [])]))
        async with session(service) as running:
            frames, _ = await running.ask(context)
            assert text_of(frames).rstrip() == (SENTENCE * 5).rstrip()
            assert made == ["set_timer"]
