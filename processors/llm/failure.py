"""Why a language model's reply failed, told in one line.

ReplyError            no reply, or only a part of one; what, at which URL, and what mends it
  ReplyTimeoutError   the model was silent for too long
  ToolsRefusedError   the model cannot call the tools that the turn needs
"""

import json
import re
import traceback
from urllib.parse import urlsplit

import httpx
import openai
from pipecat.utils.errors import ErrorCategory

from processors.errors import EngineError
from processors.shown_url import shown_url

MAX_QUOTED_CHARS = 200

# As llama.cpp, vLLM, LM Studio, Ollama, OpenAI and their relatives word it; status 400 mostly, 500 at times.
_REFUSALS = (400, 404, 422, 500, 501)
# What one conversation sent was no good; another's may be.
_ABOUT_THE_REQUEST = (400, 413, 415, 422)
_OVERFLOW = re.compile(
    r"context[_ ]length[_ ]exceeded|exceed(s|ed|_|ing)?[\w' ]*context|context[_ ](size|length|window)[\w' ]*exceeded"
    r"|maximum context length|maximum model length|max_model_len|loaded with context length"
    r"|greater than the context|longer than the context|fit into the model|prompt is too long|too many tokens"
    r"|max_tokens must be at least 1, got -",
    re.IGNORECASE,
)


_SCHEMA = re.compile(r"response_?format|json|schema|grammar|structured|guided|extra (inputs|fields)", re.IGNORECASE)


class ReplyError(EngineError):
    """No reply, or only a part of one.

    Args:
        message: One line: what failed, at which URL.
        mend: What the user can do about it.
        category: Never a permanent one: Pipecat would not use the service again in this session.
        of_turn: It is this turn that the model cannot answer; the next one may be asked at once.
    """

    def __init__(self, message: str, mend: str, category: ErrorCategory, *, of_turn: bool = False) -> None:
        super().__init__(f"{message}: {mend}")
        self.message, self.mend, self.category, self.of_turn = message, mend, category, of_turn

    def behind(self, first: "ReplyError") -> "ReplyError":
        """Both in one line: another model was asked first, and failed, too."""
        return ReplyError(f"{first.message}, and {self.message}", self.mend, self.category)


class ReplyTimeoutError(ReplyError):
    """The model was silent for too long."""

    def __init__(self, message: str, mend: str) -> None:
        super().__init__(message, mend, ErrorCategory.CONNECTIVITY)


class NoToolsError(Exception):
    """The server has just said that it, or its model, takes no tools; the same is asked for in another way."""


class ToolsRefusedError(ReplyError):
    """The model cannot call the tools that the turn needs.

    Args:
        model: Its name.
    """

    def __init__(self, model: str) -> None:
        super().__init__(f"{model} cannot call tools", "name a model that can", ErrorCategory.APPLICATION, of_turn=True)


def is_context_overflow(error: BaseException) -> bool:
    """Whether a server refused a request because the conversation no longer fits into the model's context."""
    if not isinstance(error, openai.APIError) or isinstance(error, openai.APIConnectionError):
        return False
    return bool(_OVERFLOW.search(f"{error.message} {error.code} {error.type} {error.body}"))


def refuses_tools(error: BaseException) -> bool:
    """Whether a server refused a request because it, or its model, cannot call tools.

    Ollama answers 400 for a model without them, vLLM 400 where it was started without a parser, llama.cpp 500 without
    its templates; all of them name tools.
    """
    if not isinstance(error, openai.APIStatusError) or error.status_code not in _REFUSALS:
        return False
    return "tool" in f"{error.message} {error.body}".lower()


def refuses_schema(error: BaseException) -> bool:
    """Whether a server refused a request because it cannot hold a model to a schema."""
    if not isinstance(error, openai.APIStatusError) or error.status_code not in _REFUSALS:
        return False
    return bool(_SCHEMA.search(f"{error.message} {error.body}"))


def explain(error: BaseException, base_url: str, model: str) -> ReplyError:
    """Say in one line what an error between the request and the last chunk means and what mends it.

    Args:
        error: A refusal, a broken connection, a stream that is no JSON, or anything else.
        base_url: The endpoint asked.
        model: The model asked for.
    """
    url = shown_url(base_url)
    if is_context_overflow(error):
        return ReplyError(
            f"the conversation does not fit into the context of {model} at {url}",
            "start its server with a larger context, or ask something shorter",
            ErrorCategory.APPLICATION,
            of_turn=True,
        )
    if isinstance(error, openai.APIStatusError):
        return _explain_status(error, url, model)
    if isinstance(error, openai.APIConnectionError | httpx.TransportError):
        if not _is_refused(error):
            return ReplyError(
                f"the language model at {url} closed the connection before the end of its reply ({_cause(error)})",
                "look at the server's log",
                ErrorCategory.CONNECTIVITY,
            )
        return ReplyError(
            f"no language model answers at {url} ({_cause(error)})",
            "start its server, for example with `ollama serve`, or run `sotto doctor`",
            ErrorCategory.CONNECTIVITY,
        )
    return ReplyError(
        f"the language model at {url} broke off its reply ({quote(_words(error))})",
        "look at the server's log",
        ErrorCategory.SERVER,
    )


def _explain_status(error: openai.APIStatusError, url: str, model: str) -> ReplyError:
    said = f"HTTP {error.status_code}, {quote(_message(error))}"
    if error.status_code in (401, 403):
        return ReplyError(
            f"the language model at {url} refused the API key ({said})",
            "set the key of this endpoint",
            ErrorCategory.APPLICATION,
        )
    if error.status_code == 404 and lacks_version(url):
        return ReplyError(
            f"nothing answers at {url} ({said})",
            f"give the whole address, usually llm.base_url={url.rstrip('/')}/v1",
            ErrorCategory.APPLICATION,
        )
    if error.status_code == 404:
        return ReplyError(
            f"no model {model} at {url} ({said})",
            f"install it, for example with `ollama pull {model}`, or name one that {url}/models lists",
            ErrorCategory.APPLICATION,
        )
    if error.status_code >= 500:
        return ReplyError(
            f"the language model at {url} failed ({said})", "look at the server's log", ErrorCategory.SERVER
        )
    return ReplyError(
        f"the language model at {url} refused the request ({said})",
        "look at the server's log",
        ErrorCategory.APPLICATION,
        of_turn=error.status_code in _ABOUT_THE_REQUEST,
    )


def let_go(error: BaseException) -> None:
    """Let what an error holds be closed now, such as the rest of a stream, and not when the collector comes by.

    The collector may come at a depth of calls where nothing can be closed any more, as in JSON nested without end.
    """
    seen: set[int] = set()
    held: BaseException | None = error
    while held is not None and id(held) not in seen:
        seen.add(id(held))
        traceback.clear_frames(held.__traceback__)
        held = held.__cause__ or held.__context__


def lacks_version(url: str) -> bool:
    """Whether an address has no path like /v1, where the servers of this interface are."""
    return not re.search(r"/v\d", urlsplit(url).path)


def is_gone(error: BaseException) -> bool:
    """Whether a server was not there, or went away before the end of its reply."""
    return isinstance(error, openai.APIConnectionError | httpx.TransportError)


def _is_refused(error: BaseException) -> bool:
    """Whether no connection came about; what the libraries do not tell by their types is told by their names."""
    known = type(error.__cause__ or error).__name__
    return "Connect" in known and known != "APIConnectionError"


def _words(error: BaseException) -> str:
    if isinstance(error, openai.APIError):
        return error.body if isinstance(error.body, str) and error.body else error.message
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.doc[:MAX_QUOTED_CHARS]}"
    if isinstance(error, RecursionError):
        return "JSON that is nested too deep"
    if isinstance(error, ValueError) and "integer string conversion" in str(error):
        return "a number with more digits than anybody reads"
    said = str(error)
    return said if isinstance(error, ValueError) and said else f"{type(error).__name__}: {said}".removesuffix(": ")


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body
    return str(body or error.response.reason_phrase)


def _cause(error: BaseException) -> str:
    return type(error.__cause__ or error).__name__


def quote(text: str) -> str:
    """A server's words in one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_QUOTED_CHARS else line[: MAX_QUOTED_CHARS - 1] + "…"
