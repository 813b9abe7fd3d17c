"""What people say for a reflex, in every language that has a table, and what only sounds like it."""

from datetime import UTC, datetime

import pytest

from agent.tools.reflex_words import TABLES, Matched, english_words, words_of

LANGUAGES = sorted(path.stem for path in TABLES.glob("*.toml"))


def timer(secs: float, label: str = "") -> Matched:
    return Matched("set_timer", secs, label)


SAID = {
    "en": {
        "What time is it?": Matched("time"),
        "What's the time?": Matched("time"),
        "What day is it today?": Matched("date"),
        "what's today's date": Matched("date"),
        "Set a timer for five seconds.": timer(5),
        "Set a timer for 25 minutes, please.": timer(1500),
        "Could you set me a timer for an hour and a half?": timer(5400),
        "set a timer for two and a half hours": timer(9000),
        "Set a timer for half an hour": timer(1800),
        "set a timer for a quarter of an hour": timer(900),
        "Set a ten-minute timer.": timer(600),
        "Set a five second timer.": timer(5),
        "Set a thirty-second timer.": timer(30),
        "Set timer for 5 minutes": timer(300),
        "Start the timer for one hour, two minutes and three seconds": timer(3723),
        "Set a tea timer for three minutes and thirty seconds.": timer(210, "tea"),
        "Cancel the timer.": Matched("cancel_timer"),
        "Cancel all my timers, please.": Matched("cancel_timers"),
        "12 - 7": Matched("sum", sum="12 - 7"),
        "12 / 4": Matched("sum", sum="12 / 4"),
        "What is 12÷4?": Matched("sum", sum="12 / 4"),
        "delete it": Matched("cancel_it"),
        "Stop it.": Matched("stop"),
        "Thank you. Stop, please.": Matched("stop"),
        "Set a timer for a hundred seconds, thanks.": timer(100),
        "Set a five-minute timer for the eggs.": timer(300, "eggs"),
        "Set a timer for an hour called bread": timer(3600, "bread"),
        "How much is a hundred and one minus one?": Matched("sum", sum="101 - 1"),
        "How long is left?": Matched("time_left"),
        "How much time is left on my timer?": Matched("time_left"),
        "What's two and two?": Matched("sum", sum="2 + 2"),
        "What is twelve times seven?": Matched("sum", sum="12 * 7"),
        "What's 1,000 plus 5?": Matched("sum", sum="1000 + 5"),
        "what is fifteen percent of eighty": Matched("sum", sum="15 % of 80"),
        "What is 15% of 80?": Matched("sum", sum="15 % of 80"),
        "12.5 * 4": Matched("sum", sum="12.5 * 4"),
        "What is 3x4?": Matched("sum", sum="3 * 4"),
        "What is minus five plus two?": Matched("sum", sum="-5 + 2"),
        "Stop.": Matched("stop"),
        "Never mind.": Matched("never_mind"),
        "Say that again, please.": Matched("repeat"),
        "Who are you?": Matched("who"),
    },
    "de": {
        "Wie spät ist es?": Matched("time"),
        "Welcher Tag ist heute?": Matched("date"),
        "Stell bitte einen Timer auf fünfundzwanzig Minuten.": timer(1500),
        "Stelle einen Timer auf eine halbe Stunde": timer(1800),
        "Timer auf 1 Stunde und 5 Minuten": timer(3900),
        "Stell einen Timer auf anderthalb Stunden.": timer(5400),
        "Was ist zwölf mal sieben?": Matched("sum", sum="12 * 7"),
        "Wie viel ist 2,5 plus 1,5?": Matched("sum", sum="2.5 + 1.5"),
        "Wie lange noch?": Matched("time_left"),
        "Brich den Timer ab!": Matched("cancel_timer"),
        "Lösche alle Timer.": Matched("cancel_timers"),
        "Lösch ihn.": Matched("cancel_it"),
        "Stell einen Timer auf fünf Minuten für die Eier, danke.": timer(300, "eier"),
        "Was ist eine Million plus eins?": Matched("sum", sum="1000000 + 1"),
        "Stopp!": Matched("stop"),
        "Wie heißt du?": Matched("who"),
    },
    "fr": {
        "Quelle heure est-il ?": Matched("time"),
        "Quel jour sommes-nous aujourd'hui ?": Matched("date"),
        "Mets un minuteur de cinq minutes.": timer(300),
        "Mets un minuteur d'une heure et demie, s'il te plaît.": timer(5400),
        "Combien font douze fois sept ?": Matched("sum", sum="12 * 7"),
        "Combien de temps reste-t-il ?": Matched("time_left"),
        "Annule le minuteur": Matched("cancel_timer"),
        "Annule tous les minuteurs": Matched("cancel_timers"),
        "Mets un minuteur de cinq minutes pour les œufs, merci.": timer(300, "œufs"),
    },
    "es": {
        "¿Qué hora es?": Matched("time"),
        "Pon un temporizador de cinco minutos.": timer(300),
        "Pon un temporizador de hora y media": timer(5400),
        "¿Cuánto es doce por siete?": Matched("sum", sum="12 * 7"),
        "¿Cuánto queda?": Matched("time_left"),
        "Cancela el temporizador": Matched("cancel_timer"),
        "Cancela todos los temporizadores": Matched("cancel_timers"),
        "Pon un temporizador de cinco minutos para los huevos, gracias.": timer(300, "huevos"),
    },
    "it": {
        "Che ore sono?": Matched("time"),
        "Imposta un timer di cinque minuti.": timer(300),
        "Imposta un timer di mezz'ora": timer(1800),
        "Quanto fa dodici per sette?": Matched("sum", sum="12 * 7"),
        "Quanto manca?": Matched("time_left"),
        "Annulla il timer": Matched("cancel_timer"),
        "Annulla tutti i timer": Matched("cancel_timers"),
        "Imposta un timer di cinque minuti per la pasta, grazie.": timer(300, "pasta"),
    },
    "pt": {
        "Que horas são?": Matched("time"),
        "Coloque um temporizador de cinco minutos.": timer(300),
        "Quanto é doze vezes sete?": Matched("sum", sum="12 * 7"),
        "Quanto falta?": Matched("time_left"),
        "Cancela o temporizador": Matched("cancel_timer"),
        "Cancela todos os temporizadores": Matched("cancel_timers"),
        "Coloque um temporizador de cinco minutos para os ovos, obrigado.": timer(300, "ovos"),
    },
}
# Close to a reflex, and the language model's all the same.
LEFT_ALONE = {
    "en": [
        *("What time is it in Tokyo?", "What time is it when you wake up?", "Set a timer for the eggs.", "two", "12"),
        *("Set a timer for tomorrow.", "Set a timer for five.", "Don't set a timer for five minutes.", "minutes"),
        *("What is love?", "What is two?", "Stop the music.", "Never mind the gap", "", "?!", "What day is Christmas?"),
        *("I said to him: set a timer for five minutes", "Cancel my subscription.", "and", "5 minutes", "a" * 3000),
        *("24/7", "What is 9/11?", "555-1234", "2026-11-28", "10-12", "3/4", "Cancel all.", "Cancel my order"),
        *("One and two.", "five and five", "One twenty over eighty.", "Set a timer for five minutes and ten minutes."),
        *("Set a timer for five minutes and tell me a story.", "What is 5 plus?", "who are you talking to"),
    ],
    "de": [
        *("Wie spät ist es in Tokio?", "Stell einen Timer auf morgen.", "Was ist Liebe?", "Eins und zwei."),
        *("Stell keinen Timer auf fünf Minuten.", "Sie sagte, stopp den Timer.", "Soll ich den Timer stoppen?"),
        *("Stoppe den Timer nicht.", "Er spricht zu schnell.", "Mach die Musik lauter.", "Nicht lauter."),
    ],
    "fr": [
        *("Un et deux.", "Trois sur quatre.", "Ne mets pas de minuteur de cinq minutes.", "Il parle trop vite."),
        *("N'annule pas le minuteur.", "Elle a dit : annule le minuteur.", "Pas plus fort."),
    ],
    "es": [
        *("No pongas un temporizador de cinco minutos.", "No canceles el temporizador.", "¿Para qué?"),
        *("Ella dijo: cancela el temporizador.", "Él habla demasiado rápido.", "No más alto."),
    ],
    "it": [
        *("Non impostare un timer di cinque minuti.", "Non annullare il timer.", "Non più forte."),
        *("Ha detto: annulla il timer.", "Lui parla troppo veloce."),
    ],
    "pt": [
        *("Não coloque um temporizador de cinco minutos.", "Não cancele o temporizador.", "Para quê?"),
        *("Ela disse: cancela o temporizador.", "Ele fala muito rápido.", "Não mais alto."),
    ],
}


@pytest.mark.parametrize(("language", "said"), [(language, said) for language in SAID for said in SAID[language]])
def test_the_words_ask_for_the_reflex(language: str, said: str) -> None:
    words = words_of(language)
    assert words is not None
    assert words.match(said) == SAID[language][said]


@pytest.mark.parametrize(
    ("language", "said"), [(language, said) for language in LEFT_ALONE for said in LEFT_ALONE[language]]
)
def test_what_is_merely_alike_is_left_to_the_language_model(language: str, said: str) -> None:
    words = words_of(language)
    assert words is not None
    assert words.match(said) is None


def test_every_table_is_tried_here_and_says_all_that_english_does() -> None:
    assert set(SAID) == set(LANGUAGES)
    for language in LANGUAGES:
        words = words_of(f"{language}-XX")
        assert words is not None
        assert set(words.answers) == set(english_words().answers)


def test_a_language_without_a_table_has_no_reflexes() -> None:
    assert words_of("ja") is None
    assert words_of("../de") is None


@pytest.mark.parametrize(
    ("language", "duration", "time", "date", "number"),
    [
        ("en", "1 hour, 5 minutes, and 5 seconds", "2:05 PM", "Saturday, November 28, 2026", "0.5"),
        ("de", "1 Stunde, 5 Minuten und 5 Sekunden", "14:05", "Samstag, 28. November 2026", "0,5"),
        ("fr", "1 heure, 5 minutes et 5 secondes", "14:05", "samedi 28 novembre 2026", "0,5"),
    ],
)
def test_answers_are_written_as_the_language_does(
    language: str, duration: str, time: str, date: str, number: str
) -> None:
    words, at = words_of(language), datetime(2026, 11, 28, 14, 5, tzinfo=UTC)
    assert words is not None
    assert (words.duration(3905), words.time(at), words.date(at), words.number("0.5")) == (duration, time, date, number)
    assert words.duration(0.4).startswith("0 ")
