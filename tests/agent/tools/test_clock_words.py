"""Times of day as people say them, in every language that has a table, and when the next such one is."""

from datetime import datetime

import pytest

from agent.tools.clock_words import SaidTime
from agent.tools.reflex_words import TABLES, Matched, words_of

LANGUAGES = sorted(path.stem for path in TABLES.glob("*.toml"))


def at(time: str, day: str = "", *, sure: bool = False) -> SaidTime:
    hour, minute = map(int, time.split(":"))
    return SaidTime(hour * 60 + minute, sure, day)


def alarm(time: SaidTime, label: str = "") -> Matched:
    return Matched("set_alarm", label=label, at=time)


def timer(secs: float) -> Matched:
    return Matched("set_timer", secs)


SAID = {
    "en": {
        "Set an alarm for seven thirty.": alarm(at("7:30")),
        "Wake me at 6 am tomorrow.": alarm(at("6:00", "tomorrow", sure=True)),
        "Alarm at half past six": alarm(at("6:30")),
        "Could you set an alarm for a quarter to eight, please?": alarm(at("7:45")),
        "Set an alarm for 7:30 a.m.": alarm(at("7:30", sure=True)),
        "Wake me up tomorrow morning at six forty-five.": alarm(at("6:45", "tomorrow", sure=True)),
        "Get me up at seven oh five.": alarm(at("7:05")),
        "Set my alarm to seven o'clock.": alarm(at("7:00")),
        "Set an alarm for 730.": alarm(at("7:30")),
        "Set an alarm for 19:30": alarm(at("19:30", sure=True)),
        "Set an alarm for 07:30": alarm(at("7:30", sure=True)),
        "Set an alarm for ten past six p.m.": alarm(at("18:10", sure=True)),
        "Set an alarm for twelve thirty in the afternoon.": alarm(at("12:30", sure=True)),
        "Set an alarm for 12:30 am.": alarm(at("0:30", sure=True)),
        "Wake me at 6am.": alarm(at("6:00", sure=True)),
        "Set an alarm for noon.": alarm(at("12:00", sure=True)),
        "Set an alarm for midnight.": alarm(at("0:00", sure=True)),
        "Set an alarm for 8 tonight.": alarm(at("20:00", sure=True)),
        "Set a work alarm for 7 a.m.": alarm(at("7:00", sure=True), "work"),
        "Set an alarm for six for the train.": alarm(at("6:00"), "train"),
        "Set a 7:30 alarm.": alarm(at("7:30")),
        "Wake me in ten minutes.": timer(600),
        "Set an alarm for five minutes.": timer(300),
        "Set an alarm.": Matched("alarm_time"),
        "Wake me up tomorrow.": Matched("alarm_time", day="tomorrow"),
        "When does my alarm go off?": Matched("list_alarms"),
        "What alarms do I have?": Matched("list_alarms"),
        "Which timers are running?": Matched("list_timers"),
        "Cancel my alarms.": Matched("cancel_alarms"),
        "Cancel all timers and alarms.": Matched("cancel_all"),
    },
    "de": {
        "Stell den Wecker auf sieben Uhr dreißig.": alarm(at("7:30")),
        "Weck mich um halb sieben.": alarm(at("6:30")),
        "Weck mich morgen früh um sechs Uhr.": alarm(at("6:00", "tomorrow", sure=True)),
        "Wecker um Viertel vor acht": alarm(at("7:45")),
        "Weck mich um fünf vor halb acht auf.": alarm(at("7:25")),
        "Kannst du mich um sechs wecken?": alarm(at("6:00")),
        "Weck mich heute Abend um acht.": alarm(at("20:00", "today", sure=True)),
        "Stell einen Wecker auf sieben Uhr für die Arbeit.": alarm(at("7:00"), "arbeit"),
        "Weck mich in zehn Minuten.": timer(600),
        "Stell einen Wecker für morgen.": Matched("alarm_time", day="für morgen"),
        "Wann klingelt mein Wecker?": Matched("list_alarms"),
        "Lösch alle Wecker!": Matched("cancel_alarms"),
    },
    "fr": {
        "Mets une alarme à sept heures trente.": alarm(at("7:30")),
        "Réveille-moi demain matin à 7h30.": alarm(at("7:30", "tomorrow", sure=True)),
        "Règle le réveil à huit heures moins le quart.": alarm(at("7:45")),
        "Réveille-moi à six heures et demie du matin.": alarm(at("6:30", sure=True)),
        "Mets une alarme pour midi.": alarm(at("12:00", sure=True)),
        "Mets un réveil à sept heures pour le train.": alarm(at("7:00"), "train"),
        "Réveille-moi dans dix minutes.": timer(600),
        "Mets une alarme.": Matched("alarm_time"),
        "À quelle heure sonne le réveil ?": Matched("list_alarms"),
        "Annule toutes les alarmes.": Matched("cancel_alarms"),
    },
    "es": {
        "Pon una alarma a las siete y media.": alarm(at("7:30")),
        "Despiértame mañana a las seis.": alarm(at("6:00", "tomorrow")),
        "Despiértame a las siete y cuarto de la mañana.": alarm(at("7:15", sure=True)),
        "Pon una alarma para las ocho menos diez.": alarm(at("7:50")),
        "Pon el despertador a la una.": alarm(at("1:00")),
        "Despiértame en diez minutos.": timer(600),
        "Pon una alarma.": Matched("alarm_time"),
        "¿A qué hora suena la alarma?": Matched("list_alarms"),
        "Cancela todas las alarmas.": Matched("cancel_alarms"),
    },
    "it": {
        "Imposta una sveglia alle sette e mezza.": alarm(at("7:30")),
        "Svegliami domani alle sei.": alarm(at("6:00", "tomorrow")),
        "Svegliami domattina alle sei e un quarto.": alarm(at("6:15", "tomorrow", sure=True)),
        "Metti la sveglia alle otto meno dieci.": alarm(at("7:50")),
        "Sveglia alle sette e trenta di sera.": alarm(at("19:30", sure=True)),
        "Svegliami tra dieci minuti.": timer(600),
        "Metti la sveglia.": Matched("alarm_time"),
        "A che ora suona la sveglia?": Matched("list_alarms"),
        "Cancella tutte le sveglie.": Matched("cancel_alarms"),
    },
    "pt": {
        "Coloque um alarme para as sete e meia.": alarm(at("7:30")),
        "Acorda-me amanhã às seis.": alarm(at("6:00", "tomorrow")),
        "Me acorde às sete e quinze da manhã.": alarm(at("7:15", sure=True)),
        "Coloque um alarme às dez para as oito.": alarm(at("7:50")),
        "Acorde-me ao meio-dia.": alarm(at("12:00", sure=True)),
        "Me acorde em dez minutos.": timer(600),
        "Coloque um alarme.": Matched("alarm_time"),
        "A que horas toca o despertador?": Matched("list_alarms"),
        "Cancela todos os alarmes.": Matched("cancel_alarms"),
    },
}
LEFT_ALONE = {
    "en": [
        *("Set an alarm for Monday at seven.", "Don't wake me at seven.", "Should I set an alarm for seven?"),
        *(
            "Set an alarm for seven and tell me a joke.",
            "Set an alarm for 25:00.",
            "Wake me when it's over.",
            "Get me.",
        ),
        *("She said wake me at seven.", "Set an alarm for seven and eight.", "Set an alarm for 3 pm in the morning."),
        *("Cancel all timers except the tea timer.", "Get me 7.", "Get me."),
    ],
    "de": ["Weck mich nicht um sieben.", "Sie sagte, weck mich um sieben.", "Stell den Wecker auf Montag um sieben."],
    "fr": ["Ne me réveille pas à sept heures.", "Elle a dit : réveille-moi à sept heures."],
    "es": ["No me despiertes a las siete.", "Ella dijo: despiértame a las siete."],
    "it": ["Non svegliarmi alle sette.", "Ha detto: svegliami alle sette."],
    "pt": ["Não me acorde às sete.", "Ela disse: me acorde às sete."],
}


@pytest.mark.parametrize(("language", "said"), [(language, said) for language in SAID for said in SAID[language]])
def test_a_time_of_day_is_understood(language: str, said: str) -> None:
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


def test_every_table_is_tried_here() -> None:
    assert set(SAID) == set(LEFT_ALONE) == set(LANGUAGES)


@pytest.mark.parametrize(
    ("said", "now", "found"),
    [
        # Neither morning nor evening was said: the next one.
        (at("7:30"), "2026-11-28 06:00", "2026-11-28 07:30"),
        (at("7:30"), "2026-11-28 14:05", "2026-11-28 19:30"),
        (at("7:30"), "2026-11-28 19:30", "2026-11-29 07:30"),
        (at("12:30"), "2026-11-28 23:00", "2026-11-29 00:30"),
        (at("12:30"), "2026-11-28 01:00", "2026-11-28 12:30"),
        (at("7:30", sure=True), "2026-11-28 14:05", "2026-11-29 07:30"),
        (at("6:00", "tomorrow"), "2026-11-28 03:00", "2026-11-29 06:00"),
        (at("18:00", "tomorrow", sure=True), "2026-11-28 03:00", "2026-11-29 18:00"),
        (at("0:00", sure=True), "2026-12-31 23:59", "2027-01-01 00:00"),
        (at("8:00", "today"), "2026-11-28 10:00", "2026-11-28 20:00"),
        (at("8:00", "today", sure=True), "2026-11-28 10:00", None),
    ],
)
def test_the_next_such_time_is_meant(said: SaidTime, now: str, found: str | None) -> None:
    due = said.next(datetime.fromisoformat(now).astimezone())
    assert (due and f"{due:%Y-%m-%d %H:%M}") == found
