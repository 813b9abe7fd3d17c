"""English amounts that say which kind the noun behind them is: `500 mg tablets`, `a 5 km run`, `a $5 bill`.

In:  a line and where the amount stands in it.   Out: whether its unit stays in the singular.
"""

import re

# Behind these nouns' amounts a unit is an adjective: `500 mg tablets`, `a 5 km run`.
_QUALIFIED = re.compile(
    r" (?:tablet|capsule|pill|caplet|dose|dosage|vial|ampoule|injection|patch|inhaler|syringe|strength|bottle|can|jar"
    r"|bag|pack|packet|box|tube|run|race|walk|hike|ride|swim|drive|radius|angle|bulb|battery|charger|adapter|cable|disk"
    r"|monitor|screen|telescope|rope|pole|zone|engine|class|window|interval|delay|timer|nap|video|SSD|file)s?\b"
)
_ARTICLE = re.compile(r"(?<![\w'’])[Aa]n? \Z")
_SMALL_WORD = re.compile(
    r" (?:of|in|at|to|on|is|and|are|or|by|for|as|per|a|the|from|more|less|each|every|every|long|tall|wide|deep"
    r"|high|thick|away|apart|ago|old|off|once|twice|daily|with|if|but|than|that|then|was|will|when)\b"
)
_NOUN_NEXT = re.compile(r" [a-z]{2,}")


def qualifies_noun(line: str, start: int, end: int) -> bool:
    """Whether the amount says which kind the noun behind it is, so that its unit stays in the singular."""
    if _QUALIFIED.match(line, end):
        return True
    behind_article = _ARTICLE.search(line, max(0, start - 4), start)
    return bool(behind_article and _NOUN_NEXT.match(line, end) and not _SMALL_WORD.match(line, end))
