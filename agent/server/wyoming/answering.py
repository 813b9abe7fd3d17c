"""The agent as Home Assistant's conversation handler: what was said, answered as typed questions are, in plain speech.

In:  transcript, with a context that may hold a conversation_id.   Out: handled-start, handled-chunk..., handled,
handled-stop; or not-handled, where the language model failed.

The history of a conversation is kept with those of the page, by the id that the client calls it and the address that it
calls from; nothing of it joins anybody's memory, for nobody shows who he is.
"""

from contextlib import aclosing
from typing import Any

from wyoming.event import Event
from wyoming.handle import Handled, HandledChunk, HandledStart, HandledStop, NotHandled

from agent.conversation.histories import History, HistoryInUseError, Owner
from agent.conversation.typed_question import AnswerError
from agent.conversation.written_answers import Answerer, answer_in
from agent.errors import one_line
from agent.plain_text import plain_text
from agent.server.calls.sessions import BusyError
from agent.server.state import ServerState
from agent.server.wire.errors import ApiError, LoadingError
from agent.server.wire.networks import network_of
from agent.server.wyoming.events import bad_event, optional_object, optional_text, text_of
from agent.server.wyoming.line import Line

# As the page's typed questions.
MAX_TEXT_CHARS = 8000
MAX_ID_CHARS = 200
CONVERSATION = "conversation_id"


async def answer(state: ServerState, event: Event, line: Line) -> None:
    """Answer one question.

    Args:
        state: Gives the language model and the histories.
        event: transcript.
        line: Takes the answer.

    Raises:
        ApiError: It is no question, there is no place for it, or its conversation is in use.
        ClientGoneError: The client hung up.
    """
    question = _question_of(event)
    named = optional_text(optional_object(event, "context"), CONVERSATION, f"{event.type}: context")
    if named and len(named) > MAX_ID_CHARS:
        raise bad_event(f"{event.type}: {CONVERSATION} is longer than {MAX_ID_CHARS} characters")
    if state.api_only:
        what = "this server has no language model (--api-only); to have it answer: sotto serve"
        raise ApiError(501, what, code="no_language_model_loaded")
    try:
        answerer = state.written.answerer(state.host().llm_options, state.sessions().servers)
    except BusyError:
        raise LoadingError from None
    with state.questions.taken():
        await state.written.turn()
        history = _history_of(state, named, (network_of(line.address), "wyoming"))
        try:
            with state.histories.held(history, "question"):
                await _answer(history, question, answerer, {CONVERSATION: named or history.id}, line)
        except HistoryInUseError as error:
            raise ApiError(409, str(error), code="conversation_in_use") from None


def _question_of(event: Event) -> str:
    question = plain_text(text_of(event, "text")).strip()
    if not question:
        raise bad_event(f"{event.type}: text has no words")
    if len(question) > MAX_TEXT_CHARS:
        raise bad_event(f"{event.type}: text is longer than {MAX_TEXT_CHARS} characters")
    return question


def _history_of(state: ServerState, named: str | None, owner: Owner) -> History:
    """The conversation of that id: one of ours, or what this client calls so."""
    if named and state.histories.find(named) is None:
        return state.histories.named(named, owner)
    return state.histories.open(named, owner)


async def _answer(history: History, question: str, answerer: Answerer, context: dict[str, Any], line: Line) -> None:
    said: list[str] = []
    try:
        async with aclosing(answer_in(history, question, answerer, is_spoken=True)) as pieces:
            async for piece in pieces:
                start = [] if said else [HandledStart(context)]
                said.append(piece)
                await line.send(*start, HandledChunk(piece))
    except AnswerError as error:
        await line.send(NotHandled(one_line(str(error)), context))
        return
    start = [] if said else [HandledStart(context)]
    await line.send(*start, Handled("".join(said).strip(), context), HandledStop())
