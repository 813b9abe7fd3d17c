"""In which language a sentence is written, by its letters and its smallest words.

In:  a sentence.   Out: ISO 639-1 code, or None where nothing tells.

For recognizers that do not say what language they heard. A word counts for each language that has it, the less the more
of them do; a script that one language here has decides alone.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection

# Articles, pronouns, prepositions and forms of "to be" and "to have"; written without capitals.
_WORDS = {
    "cs": "a ale ano ani by byl byla co do dobrý děkuji je jak jsem jsi jsou já kde když na ne nebo pro prosím se si "
    "tak ten to ve ví z za že",
    "da": "af at blev da de den der det dig du en er et for fra god har hej hvad hvor hvordan i ikke ja jeg kan med "
    "mig nej og på sig skal tak til var vi vil",
    "de": "aber als am auch auf aus bei bin bis bitte bist da danke dann das dass dem den der des die dir doch du ein "
    "eine einen einer er es für gibt gut guten habe haben hat heute hier ich ihr im in ist ja jetzt kann kein "
    "können man mein mich mir mit möchte muss nach nein nicht noch nur oder schon sehr sein sich sie sind so "
    "tag über um und uns viel vielen vom von wann war warum was wenn wer wie wieder will wir wird wo zu zum zur",
    "en": "a about after all am an and any are as at be been but by can could day did do does for from get go good "
    "had has have he hello her here him his how i i'm if in is it it's its just know let like me much my need "
    "no not now of on one or our out please she should so some thank thanks that that's the their them then "
    "there they this to up us want was we were what when where which who why will with would yes you your",
    "es": "a al algo bien buenas bueno buenos como con cómo cuando cuándo de del día días donde dónde el ella en eres "
    "es ese esta estaba este está estoy gracias ha hay hola la las lo los me mi mucho muy más no nos o para "
    "pero por porque puede qué que quiero se ser si su sí soy también te tengo tiene tú un una y ya yo",
    "fi": "ei en että hyvä hän ja jos kiitos kun me minä miten missä mitä mutta myös ne niin nyt olen on ovat se sinä "
    "tai tämä voi",
    "fr": "ai alors au aussi aux avec avez beaucoup bien bonjour c'est ce cela ces cette comme comment dans de des du "
    "elle elles en est et eu il ils j'ai je jour la le les leur lui là ma mais merci moi mon même ne non nous "
    "on ont ou oui où par pas peut plus pour pourquoi qu'il qu'est quand que quel quelle qui sa sans se ses si "
    "son sont suis sur très tu un une vous vos votre voudrais était être",
    "hu": "a az csak de egy el én és ez hogy hol igen is jó kérem köszönöm le meg mert mi mikor nagy nem ott sem szép "
    "van vagy volt ő",
    "it": "a al alla anche bene buona buongiorno che chi ciao come con cosa c'è da dal dei del della di dove due e è "
    "ed gli grazie ha ho i il in io la le lei lo loro ma mi mia mio molto ne nel nella no noi non o per perché "
    "più può quando quanto quello questa questo qui se sei si sia sono su sì ti tu un una uno vorrei",
    "nl": "aan al als bent bij dag dan dank dat de deze die dit door een en er ga geen goed goede graag haar hallo "
    "heb hebben heeft het hij hoe ik in is ja je jij kan maar me met mijn naar nee niet nog nu of om ook op te "
    "uit van veel voor waar wanneer was wat we wel wij wil zijn zo",
    "no": "at av da de den der det du en er et for fra god han har hei hva hvor hvordan i ikke ja jeg kan med meg nei "
    "og om på seg skal som takk til var vi vil være",
    "pl": "ale być co czy dla do dobry dziękuję gdzie i jak jest jestem już ja kiedy ma mam mi mnie na nie o od po "
    "proszę przez się są tak to tego w z za że",
    "pt": "a ao as até bem boa bom com como da das de dia do dos e ela ele em então era essa esse esta está este eu "
    "foi há isso já mais mas me meu minha muito na não nas no nos o obrigada obrigado olá onde os ou para pela "
    "pelo por porque quando que quero se sem ser seu sim sua também tem tenho um uma você vocês à é",
    "ro": "a acum am ai are bine bună ce cine cu cum da de din e este eu în îmi la lui mai mulțumesc nu o pe pentru "
    "sau se si sunt și să un unde vreau",
    "sv": "att av de den det du där en er ett från för god ha han har hej hon hur här i inte ja jag kan med men mig "
    "nej och om på sig ska som tack till var vad vi vill är",
    "tr": "ama bana bir bu da daha de değil evet gibi hayır için iki ile iyi kadar merhaba mi mı nasıl ne nerede o "
    "sen siz şu teşekkürler var ve yok çok",
}  # fmt: skip
# Letters that only these languages have, of those above.
_LETTERS = {
    "ß": "de",
    "ñ": "es",
    "¿": "es",
    "¡": "es",
    "ã": "pt",
    "õ": "pt",
    "ł": "pl",
    "ż": "pl",
    "ś": "pl",
    "ő": "hu",
}
_LETTERS |= {"ű": "hu", "ř": "cs", "ě": "cs", "ů": "cs", "ț": "ro", "ğ": "tr", "ı": "tr", "œ": "fr", "ø": "da no"}
_LETTERS |= {"æ": "da no", "ə": "az"}
# By the first word of a letter's Unicode name; kana come before Han, which Japanese has, too.
_SCRIPTS = {
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "GREEK": "el",
    "HEBREW": "he",
    "THAI": "th",
    "DEVANAGARI": "hi",
    "CJK": "zh",
    "CYRILLIC": "ru",
    "ARABIC": "ar",
}
_CYRILLIC_OTHER = {"uk": "їєіґ", "be": "ў"}
_PERSIAN = frozenset("پچژگ")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_OF_WORD: dict[str, list[str]] = {}
for _language, _text in _WORDS.items():
    for _word in _text.split():
        _OF_WORD.setdefault(_word, []).append(_language)

KNOWN = frozenset({*_WORDS, *_SCRIPTS.values(), *_CYRILLIC_OTHER, "fa"})


def language_of_words(text: str, likely: Collection[str] = ()) -> str | None:
    """The language that a text is most probably in.

    Args:
        text: A sentence.
        likely: ISO 639-1 codes that it is rather in than in any other.

    Returns:
        ISO 639-1 code; None where no word tells, or two languages are as probable.
    """
    words = [word.replace("’", "'") for word in _WORD.findall(unicodedata.normalize("NFC", text).lower())]
    scripts = Counter(_SCRIPTS.get(unicodedata.name(sign, " ").split()[0]) for word in words for sign in word)
    if written := [script for script in dict.fromkeys(_SCRIPTS.values()) if scripts[script]]:
        return _of_script(written[0], text.lower(), likely)
    counts: Counter[str] = Counter()
    for word in words:
        languages = _OF_WORD.get(word, ())
        for language in languages:
            counts[language] += 1 / len(languages)  # pyright: ignore[reportArgumentType]
        for sign in word:
            for language in _LETTERS.get(sign, "").split():
                counts[language] += 1
    inside = {language: count for language, count in counts.items() if language in likely}
    best = max(counts.values(), default=0)
    # A word or two of another language may stand in a sentence.
    ranked = inside if inside and (max(inside.values()) * 2 >= best) else counts
    top = sorted(ranked.items(), key=lambda item: item[1], reverse=True)[:2]
    return top[0][0] if top and (len(top) == 1 or top[0][1] > top[1][1]) else None


def _of_script(language: str, text: str, likely: Collection[str]) -> str:
    """Which of the languages of a script it is."""
    if language == "ru":
        others = [other for other, letters in _CYRILLIC_OTHER.items() if any(letter in text for letter in letters)]
        cyrillic = [other for other in likely if other in ("ru", "bg", "mk", "sr", *_CYRILLIC_OTHER)]
        return next((other for other in others if other in (likely or others)), (cyrillic or [language])[0])
    if language == "ar" and ("fa" in likely or not _PERSIAN.isdisjoint(text)):
        return "fa" if "ar" not in likely else "ar"
    return "ja" if language == "zh" and "ja" in likely and "zh" not in likely else language
