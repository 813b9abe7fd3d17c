"""Why a reply holds no words, told in one line.

In:  what a server sent.   Out: an error that says what it was, and what mends it.
"""

from pipecat.utils.errors import ErrorCategory

from processors.llm.failure import ReplyError
from processors.llm.stream import MISCALL_MEND, ReplyStream
from processors.shown_url import shown_url


def empty_reply(reply: ReplyStream, base_url: str, model: str) -> ReplyError:
    """The error of a reply that is over.

    Args:
        reply: Nothing of it was words for the user.
        base_url: Where it came from.
        model: Whose it was.
    """
    if reply.wrote_call:
        what, mend = "a tool call written as text", "have its server read tool calls, or try another model"
    elif reply.misfit:
        what, mend = reply.misfit, MISCALL_MEND
    elif reply.thought:
        what, mend = "only thoughts", "raise the limit of tokens, or switch the model's reasoning off"
    elif reply.content_type not in ("", "text/event-stream"):
        what = f"no stream of words, but {reply.content_type}"
        mend = "give the address of an OpenAI-compatible server, usually ending in /v1"
    else:
        what, mend = "nothing", "try another model, or a larger context"
    message = f"{model} at {shown_url(base_url)} replied with {what}"
    of_turn = reply.content_type in ("", "text/event-stream")
    return ReplyError(message, mend, ErrorCategory.APPLICATION, of_turn=of_turn)
