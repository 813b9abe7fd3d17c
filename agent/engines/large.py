"""The large language model beside the one of [llm]: where it may run, and which turns go to it.

In:  settings with [large].   Out: what could serve it, and the small model's options with the large one in them.
"""

import asyncio
import dataclasses
from typing import Any

from agent.engines.candidates import Candidate, Choice, choose
from agent.engines.llm import LlmBackend, is_gguf, llm_candidates
from agent.settings.load import Settings
from processors.errors import EngineUnavailableError
from processors.llm.options import LargeModel, LLMOptions
from processors.llm.routing import Rules

STAGE = "large"


async def large_candidates(settings: Settings) -> list[Candidate[LlmBackend]]:
    """Every way to the large model, the best first; none where none is set.

    Args:
        settings: With [large]; what it leaves out is as [llm] has it, its endpoint included.
    """
    large, llm = settings.large, settings.llm
    if not large.is_set:
        return []
    own = large.base_url or large.engine != "auto"
    changed: dict[str, Any] = {
        "engine": large.engine,
        "model": large.model,
        "base_url": large.base_url if own else llm.base_url,
        "api_key": large.api_key if own else llm.api_key,
        "max_tokens": large.max_tokens or llm.max_tokens,
    }
    asked = settings.model_copy(update={"llm": llm.model_copy(update=changed)})
    found = await llm_candidates(asked, stage=STAGE if own else "llm")
    # An address is not to be another's, and without a name what is embedded is the small model itself.
    only = "endpoint" if large.base_url and large.engine == "auto" else large.engine
    # What a server lists may be called as a file, too.
    takes_own = only == "auto" and is_gguf(large.model or "")
    wanted = [
        one for one in found if one.engine == only or (only == "auto" and (takes_own or one.engine != "embedded"))
    ]
    return [_with_own_names(_checked(one, settings)) for one in wanted]


async def choose_large(settings: Settings) -> Choice[LlmBackend] | None:
    """Load the large model; None where none is set.

    Raises:
        EngineUnavailableError: It cannot be used.
    """
    if not settings.large.is_set:
        return None
    candidates = await large_candidates(settings)
    wanted = candidates[0].engine if len(candidates) == 1 else settings.large.engine
    try:
        choice = await asyncio.to_thread(choose, STAGE, wanted, candidates)
    except EngineUnavailableError as error:
        named = settings.large.model and f"large.model = {settings.large.model}: "
        raise EngineUnavailableError(f"{named or ''}{error.reason}", error.mend) from error
    try:
        choice.note = await asyncio.to_thread(choice.loaded.warm_up)
    except BaseException:
        await asyncio.to_thread(choice.loaded.close)
        raise
    return choice


def beside(options: LLMOptions, large: Choice[LlmBackend] | None, settings: Settings) -> LLMOptions:
    """The small model's options, with the large model.

    Args:
        options: Of the model of [llm].
        large: None: there is none.
        settings: With the rules of [large].
    """
    if large is None:
        return options
    wanted = settings.large
    rules = Rules(code=wanted.code, min_words=wanted.min_words, tools=wanted.tools, images=wanted.images)
    own = dataclasses.replace(large.loaded.options, apology=options.apology)
    return dataclasses.replace(options, large=LargeModel(own, rules))


def _checked(candidate: Candidate[LlmBackend], settings: Settings) -> Candidate[LlmBackend]:
    if candidate.engine == "embedded" and candidate.usable and not settings.large.model:
        return dataclasses.replace(candidate, reason="large.model is not set", mend="sotto models list")
    return candidate


def _with_own_names(candidate: Candidate[LlmBackend]) -> Candidate[LlmBackend]:
    """What stands against it, with the names of its own settings."""
    reason = candidate.reason and candidate.reason.replace("llm.", "large.")
    return dataclasses.replace(candidate, reason=reason, mend=candidate.mend.replace("llm.", "large."))
