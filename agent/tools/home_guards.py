"""What of a house lets in, keeps out, or may do anything at all: the user is asked before it is touched.

In:  a thing of the house.   Out: whether it is such.

A switch may open a door, and its name alone tells: parts of words of six languages, for compounds are many. Asking once
too often costs a yes; a lamp (the domain light), a fan or a heater opens nothing, whatever it is called.
"""

import re
import unicodedata

from agent.tools.home_answers import Entity
from agent.tools.home_words import plain

GUARDED = {
    *("lock", "cover", "alarm_control_panel", "valve", "siren"),
    *("script", "scene", "automation", "button", "input_button"),
}
GUARDED_CLASSES = {"garage", "garage_door", "door", "gate", "lock", "window"}
SWITCHED = {"light", "switch", "fan", "media_player", "input_boolean", "humidifier", "climate", "vacuum", "siren"}
# Those of them that may be anything.
UNKNOWN = {"switch", "input_boolean"}

# Taken out before anything is looked for: they hold the parts of words below and are none.
_HARMLESS = re.compile(
    # en
    r"\b(?:out|in)doors?\b|doorbell|clocks?\b|block|child ?lock|gateway|(?:navi|propa|aggre)gat"
    r"|\bapril|\bstore|\bsupport"
    # de; Latin words in -tor and -tur are older than doors and gates, and Italian has -ttore.
    r"|glocke|flocke|kindersicherung|(?:[aiou]|is|ak|ek|ok|rc|[aeiu]c|p)tor(?:en?|s)?\b|ttor[ei]\b"
    r"|(?:tempera|arma|tasta|repara|minia|litera|kul|struk|architek|agen|\bna)tur(?:en)?\b"
)
_OPENS = re.compile(
    # en
    r"door|gate|garage|lock|latch|\bbolt\b|alarm|siren|buzzer|intercom|opener|barrier|bollard|shutter|driveway"
    # de: what begins or ends with Tür and Tor, too, where nobody wrote the umlaut
    r"|\btur(?:en)?\b|\w(?:s|n|r|l|k|t|f|e)tur(?:en)?\b|tuer(?:e|en)?\b|tuer(?:o|s)|tor(?:e|es|en)?\b"
    r"|\btor(?!t|n|so|ch|re[sn]?\b|rent|in|o\b|q|y)\w|(?<!mo)tor(?=antrieb|steuer|motor|relais|taster)|offn|oeffn|summer|schloss|schliess|riegel|schranke|pforte|einfahrt|poller"
    r"|sprechanlage|rolll?aden"
    # fr
    r"|\w*port(?:e|es|ail|ails|illon|illons|iere|ieres)\b|\bouvre|serrure|verrou|\bgache|barriere|interphone|volet"
    # es
    r"|puerta|\babre|cerradura|cerrojo|candado|\w*porton(?:es)?\b|\bverja|barrera|garaje|portero"
    # it
    r"|\w*port(?:a|one|oni|iera|ello)\b|cancell(?:o|i|etto)\b|\bapri|serratura|lucchetto|allarme|citofon|tapparell|sbarra"
    # pt
    r"|\w*port(?:as|ao|oes)\b|\bcancelas?\b|fechadura|ferrolho|cadeado|garagem|barreira|interfon"
)
_UMLAUT = re.compile("tür(?!kis)")


def is_guarded(entity: Entity) -> bool:
    """Whether it lets in, keeps out, or may do anything at all.

    Args:
        entity: Any.
    """
    if entity.domain in GUARDED or entity.attributes.get("device_class") in GUARDED_CLASSES:
        return True
    if entity.domain not in UNKNOWN:
        return entity.domain not in SWITCHED
    text = f"{entity.name} {entity.id.partition('.')[2]}"
    if _UMLAUT.search(unicodedata.normalize("NFC", text.casefold())):
        return True
    return bool(_OPENS.search(_HARMLESS.sub(" ", plain(text.replace("_", " ")))))
