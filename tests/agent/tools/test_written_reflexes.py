"""What is written into files without a language model: as it was said, in every language, and nothing merely alike."""

from pathlib import Path

import pytest

from agent.settings.load import Settings
from agent.tools.reflex_words import TABLES, Matched, words_of
from tests.agent.tools.test_files_in_conversation import contents
from tests.support.house import hold, hosting, say
from tests.support.llm_session import options
from tests.support.scripted_engines import ScriptedRecognizerEngine, ScriptedSynthesizer
from tests.support.scripted_llm import Reply, ScriptedLLM
from tests.support.virtual_time import in_virtual_time

SAID = {
    "en": ("Please create a file named notes saying Buy 2 eggs, milk.", "Buy 2 eggs, milk"),
    "de": ("Erstelle eine Datei namens Notizen, in der steht: Milch kaufen.", "Milch kaufen"),
    "fr": ("Crée un fichier nommé notes qui dit acheter du lait.", "acheter du lait"),
    "es": ("Crea un archivo llamado notas que diga comprar leche.", "comprar leche"),
    "it": ("Crea un file chiamato note che dice comprare il latte.", "comprare il latte"),
    "pt": ("Cria um ficheiro chamado notas que diz comprar leite.", "comprar leite"),
}
# After "create a file named", and what is written into it.
TEXTS = {
    "a saying Call Anna at 5 p.m.": "Call Anna at 5 p.m.",
    "a saying Call Anna at five.": "Call Anna at five",
    "a saying Buy milk. Buy eggs.": "Buy milk. Buy eggs.",
    "a saying Milk, eggs, etc.": "Milk, eggs, etc.",
    'a, saying "It is the meeting at 5 p.m."': "It is the meeting at 5 p.m.",
    'a, saying "that".': "that",
    "a that says: I love you!": "I love you!",
}
# What is said about a text, and what is to be done besides.
ASKED_FOR = {
    "en": [
        *("Add a poem about the sea to my file notes.", "Add that to the file notes.", "Add milk to my file notes."),
        "Create a file named poem containing a short poem about the sea.",
        "Make a file called primes containing a function that checks primes",
        "Create a file named notes with the content of my last letter",
        *("Create a file named notes saying that.", "Create a file named notes saying the same thing."),
        "Create a file named notes saying what we talked about.",
        "Create a file named poem saying a poem about the sea.",
        "Create a file named date saying today's date",
        "Create a file named notes saying hello, and then read it back to me.",
        "Create a file named notes saying hello and read it to me.",
        "Create a file named notes saying hello. Then delete it.",
        "Create a file named a saying one and create a file named b saying two.",
        "Create a file named a saying one and delete file b.",
        "Create a file named notes with the text saying hello",
        "Create a file named notes in the folder work saying hello",
        "Create a file named it saying hello",
        "Create a file named notes saying hello, please.",
    ],
    "de": [
        *("Schreib ein Gedicht in die Datei Notizen.", "Füge das zur Datei Notizen hinzu."),
        "Erstelle eine Datei namens Gedicht mit dem Inhalt eines Gedichts.",
        "Erstelle eine Datei namens Gedicht, in der steht ein Gedicht über das Meer.",
        "Erstelle eine Datei namens Notizen, in der steht Milch und dann lies es mir vor.",
    ],
    "fr": [
        *("Ajoute ça au fichier notes.", "Crée un fichier nommé poème contenant un poème sur la mer."),
        "Crée un fichier nommé notes qui dit l'heure.",
        "Crée un fichier nommé notes qui dit bonjour, puis lis-le.",
    ],
    "es": ["Añade eso al archivo notas.", "Crea un archivo llamado poema que diga un poema sobre el mar."],
    "it": ["Aggiungi questo al file note.", "Crea un file chiamato poesia che dice una poesia sul mare."],
    "pt": ["Adiciona isso ao ficheiro notas.", "Cria um ficheiro chamado poema que diz um poema sobre o mar."],
}


def test_words_to_be_written_keep_their_capitals_numbers_and_commas() -> None:
    words = words_of("en")
    assert words
    matched = words.match("Please create a file named notes dot text, saying Buy 2 eggs, milk and tea.")
    assert matched == Matched("create_file", said={"name": "notes dot text", "text": "Buy 2 eggs, milk and tea"})


@pytest.mark.parametrize(("asked", "text"), TEXTS.items())
def test_only_the_full_stop_that_ends_the_turn_is_left_out(asked: str, text: str) -> None:
    words = words_of("en")
    assert words
    assert words.match(f"create a file named {asked}") == Matched("create_file", said={"name": "a", "text": text})


@pytest.mark.parametrize("language", sorted(path.stem for path in TABLES.glob("*.toml")))
def test_every_table_creates(language: str) -> None:
    words = words_of(language)
    assert words
    said, text = SAID[language]
    matched = words.match(said)
    assert matched
    assert (matched.name, matched.said["text"]) == ("create_file", text)


@pytest.mark.parametrize(
    ("language", "text"), [(language, text) for language in ASKED_FOR for text in ASKED_FOR[language]]
)
def test_what_is_asked_for_is_never_written_instead_of_being_done(language: str, text: str) -> None:
    words = words_of(language)
    assert words
    assert words.match(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "How do I create a file named notes saying hello in Python?",
        "Create a file named notes.",
        "Create a file.",
        "Add milk to the shopping list.",
        "What does it mean to create a file named notes saying hello?",
        "Could a file named notes saying hello be created?",
    ],
)
def test_what_is_only_alike_is_the_models(text: str) -> None:
    words = words_of("en")
    assert words
    assert words.match(text) is None


@pytest.mark.parametrize("files", ["on", "ask", "off"])
@in_virtual_time
async def test_the_file_is_there_once_or_after_a_yes_or_not_at_all(files: str, tmp_path: Path) -> None:
    heard = ["Create a file named notes dot text saying buy milk.", "Yes."]
    stt = ScriptedRecognizerEngine(*heard, early=True)
    settings = Settings.model_validate({"tools": {"files": files, "folder": tmp_path}})
    async with ScriptedLLM() as server, hosting(stt, options(server), ScriptedSynthesizer()) as host:
        server.otherwise = Reply("The model speaks.")
        held = await hold(host, [say("days_in_a_week.wav")] * 2, settings=settings, reflexes=True)
    assert contents(tmp_path) == ({} if files == "off" else {"notes.txt": "buy milk\n"})
    answers = {
        "on": "Done. The model speaks.",
        "ask": "Shall I create the file notes dot txt? Done.",
        "off": "The model speaks. The model speaks.",
    }
    assert " ".join(held.texts("bot_word")) == answers[files]
