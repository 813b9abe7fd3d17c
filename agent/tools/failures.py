"""Why an act was not done, in a sentence that needs no language model.

In:  a tool's error, for a model.   Out: a sentence for the user.
"""

from agent.tools.reflex_words import ReflexWords
from agent.tools.tool import Tool


def why_not(words: ReflexWords, tool: Tool | None, error: str) -> str:
    """The sentence; with the reason where that can be said.

    Args:
        words: The language's. Reasons of our own tools are in English, and told there alone.
        tool: Whose error it is; None: nobody's.
        error: What it says; behind a semicolon stands what is for a model.
    """
    sentence = words.say("cannot")
    if words.language != "en" or tool is None or tool.schema is not None:
        return sentence
    reason = error.partition(";")[0].strip()
    # The name of a file keeps its small letter.
    begins = reason[:1].upper() + reason[1:] if reason.partition(" ")[0].isalpha() else reason
    return f"{sentence} {begins}." if reason else sentence
