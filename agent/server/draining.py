"""The end of a server that is to cut nobody off: no call begins, and those that are held may end by themselves."""

import asyncio

from loguru import logger

from agent.server.state import ServerState

LOOK_SECS = 0.2


async def drain(state: ServerState, at_once: asyncio.Event, secs: float) -> None:
    """Come back once no call is held, and nothing is being answered, spoken or transcribed.

    Args:
        state: Of the server; its /health/ready says so from now on.
        at_once: Ends the wait.
        secs: How long it may take.
    """
    state.is_draining = True
    sessions = state.loaded.sessions if state.loaded else None
    if sessions:
        sessions.is_draining = True
    logger.info(f"no more calls are taken; {_n_active(state)} under way may end within {secs:.0f} s")
    stopped = asyncio.create_task(at_once.wait())
    loop = asyncio.get_running_loop()
    until_secs = loop.time() + secs
    while (n_active := _n_active(state)) and not stopped.done() and (left_secs := until_secs - loop.time()) > 0:
        await asyncio.wait([stopped], timeout=min(LOOK_SECS, left_secs))
    stopped.cancel()
    logger.info(f"{n_active} are cut off" if n_active else "all have ended")


def _n_active(state: ServerState) -> int:
    loaded = state.loaded
    n_calls = loaded.sessions.n_active if loaded and loaded.sessions else 0
    n_jobs = loaded.jobs.n_active if loaded else 0
    return n_calls + n_jobs + state.questions.n_active + state.speeches.n_active
