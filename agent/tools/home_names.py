"""Which thing of the house is meant by a spoken name.

In:  a name as it was heard, and perhaps where.   Out: what is meant; an error that names the neighbours.

Every word that was heard, but for articles and the like, has to stand in the thing's name or its area, nearly the same;
and what kind of thing was said has to be the thing's kind. What is nearest and is not that is asked about, not taken.
"""

from collections.abc import Sequence

from rapidfuzz import fuzz

from agent.tools.home_answers import Entity
from agent.tools.home_words import covered, kind_of_all, plain, words_of_name
from agent.tools.tool import ToolError

MAX_NAMED = 5
MAX_NAMES_CHARS = 200


def meant(name: str, area: str, entities: Sequence[Entity]) -> list[Entity]:
    """What is meant: one thing, or all of a kind in an area.

    Args:
        name: As it was heard.
        area: Where, if that was said.
        entities: What there is.

    Raises:
        ToolError: Nothing is called so, or several things are; they are named.
    """
    if area:
        entities = in_area(area, entities)
        kind = kind_of_all(name)
        if kind and (found := [entity for entity in entities if entity.domain == kind]):
            return found
    if not name.strip():
        raise ToolError("say what is meant by its name")
    same = [entity for entity in entities if plain(name) in (plain(entity.name), plain(f"{entity.area} {entity.name}"))]
    if len(same) == 1:
        return same
    heard = words_of_name(name)
    fits = [(entity, left) for entity in entities if (left := _left(heard, entity)) is not None]
    # What is called just so is meant before what is called so and more.
    whole = [entity for entity, left in fits if not left]
    found = whole if len(whole) == 1 else [entity for entity, _ in fits]
    # Of a kind is much; what also says so, or where it is, comes first.
    found = [entity for entity in found if _says(heard, entity)] or found
    if len(found) == 1:
        return found
    nearest = sorted(found or entities, key=lambda entity: -_likeness(name, entity))
    near = ", ".join(shown(entity) for entity in nearest[:MAX_NAMED]) or "nothing at all"
    if found:
        raise ToolError(f"several things may be meant by {name[:60]!r}: {near}; ask the user which one")
    raise ToolError(f"nothing is called {name[:60]!r}; the nearest are: {near}")


def in_area(area: str, entities: Sequence[Entity]) -> list[Entity]:
    """What is there.

    Args:
        area: As it was heard.
        entities: What there is.

    Raises:
        ToolError: There is no such area; those that there are are named.
    """
    heard = words_of_name(area)
    areas = sorted({entity.area for entity in entities if entity.area})
    fits = {one: left for one in areas if (left := covered(heard, words_of_name(one), "")) is not None}
    whole = [one for one in fits if not fits[one]]
    best = whole or list(fits)
    if len(best) == 1:
        return [entity for entity in entities if entity.area == best[0]]
    if best:
        raise ToolError(f"several areas may be meant by {area[:60]!r}: {', '.join(best[:MAX_NAMED])}; ask the user")
    # Areas may be unknown to the token, and stand in the names.
    found = [entity for entity in entities if covered(heard, words_of_name(entity.name), "") is not None]
    if found and heard:
        return found
    raise ToolError(f"there is no area {area[:60]!r}; there are: {', '.join(areas[:20]) or 'none'}")


def shown(entity: Entity) -> str:
    """Its name, and where it is unless the name says so."""
    known = not entity.area or plain(entity.area) in plain(entity.name)
    return entity.name if known else f"{entity.name} ({entity.area})"


def named(entities: Sequence[Entity]) -> str:
    """Their names; of very many the first, and how many more there are."""
    names = [shown(entity) for entity in entities]
    n_told = len(names)
    while n_told > 1 and len(", ".join(names[:n_told])) > MAX_NAMES_CHARS:
        n_told -= 1
    more = f" and {len(names) - n_told} more" if n_told < len(names) else ""
    return f"{', '.join(names[:n_told])}{more}"


def _left(heard: Sequence[str], entity: Entity) -> int | None:
    """How many words of its name were not heard; None where something was heard that it is not."""
    if not heard:
        return None
    name = words_of_name(entity.name)
    left = covered(heard, name, entity.domain)
    if left is not None or not entity.area:
        return left
    area = words_of_name(entity.area)
    if covered(heard, [*area, *name], entity.domain) is None:
        return None
    rest = [word for word in heard if covered([word], area, "") is None]
    left = covered(rest, name, entity.domain) if rest else len(name)
    return len(name) if left is None else left


def _says(heard: Sequence[str], entity: Entity) -> bool:
    words = [*words_of_name(entity.area), *words_of_name(entity.name)]
    return covered(heard, words, entity.domain) != len(words)


def _likeness(name: str, entity: Entity) -> float:
    """From 0 to 100: in any order of their words, and written together or apart."""
    heard = plain(name)
    return max(
        max(fuzz.token_sort_ratio(heard, one), fuzz.token_set_ratio(heard, one))
        for one in (plain(entity.name), plain(f"{entity.area} {entity.name}"))
    )
