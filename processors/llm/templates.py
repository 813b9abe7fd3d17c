"""What a model's chat template says about its thoughts.

In:  the template, Jinja or Go, as llama.cpp's /props and Ollama's /api/show tell it.
Out: whether replies begin inside a thought, and whether thoughts may come later in a reply.

The template is read as text and never run.
"""

import re
from dataclasses import dataclass

from processors.llm.marks import FAMILIES

# Where the prompt of the reply is written, in Jinja and in the Go templates of Ollama's library.
_PROMPT = re.compile(r"add_generation_prompt|<\|im_start\|>assistant|<[|｜]Assistant[|｜]>|<start_of_turn>model")
_OPEN_AT_END = re.compile(
    "|".join(
        rf"{re.escape(family.opens)}(?!(?:(?!['\"]\s*[-}}]).)*?{re.escape(family.closes[0])})" for family in FAMILIES
    ),
    re.IGNORECASE | re.DOTALL,
)
_SWITCH = re.compile(r"enable_thinking|thinking|reasoning_effort|IsThinkSet|\.Think\b")


@dataclass(frozen=True)
class TemplateMarks:
    """What is known of a template.

    Attributes:
        starts_inside: Whether a reply begins inside a thought; None if the template is not known.
        again: Whether a thought may come in the middle of a reply.
    """

    starts_inside: bool | None = None
    again: bool = False


UNKNOWN_TEMPLATE = TemplateMarks()


def read_template(template: str, *, thinking: bool = True) -> TemplateMarks:
    """What a template says.

    Args:
        template: The whole of it; an empty one says nothing.
        thinking: Whether the model is asked to think; where the template has a switch, it decides.
    """
    if not template.strip():
        return UNKNOWN_TEMPLATE
    lower = template.lower()
    again = any(family.again and family.opens in lower for family in FAMILIES)
    again = again or "<|channel|>" in lower or "interleaved" in lower
    prompts = [found.end() for found in _PROMPT.finditer(template)]
    prompt = template[prompts[-1] :] if prompts else ""
    opens = _OPEN_AT_END.search(prompt) is not None
    switched = _SWITCH.search(prompt) is not None
    return TemplateMarks(starts_inside=opens and (thinking or not switched), again=again)
