"""Changes of settings while a call goes on.

In:  the options of a page, all of them, as it would join with.   Out: the conversation goes on with them, and tells so;
or it tells why not in one line, and everything stays as it is.
"""

import asyncio

from loguru import logger

from agent.conversation.conversation import Conversation
from agent.engines.session import SessionEngines
from agent.errors import SottoError
from agent.server.calls.plan import SessionPlan
from agent.settings.changes import changed_keys, that_need_a_call
from agent.settings.load import Settings
from agent.settings.session import session_settings
from processors.errors import EngineUnavailableError

# Of now, and before.
MAX_LENT = 2


class SettingChanges:
    """Of one conversation; one after the other, and of several that wait the newest.

    Args:
        engines: Loads what is not loaded yet.
        server: The server's settings.
        plan: What the conversation was started with; its engines stay loaded until it has others, or ends. Those before
            the latest change do, too, until what was under way is finished on them.
        conversation: Goes on with what is chosen.
    """

    def __init__(
        self, engines: SessionEngines, server: Settings, plan: SessionPlan, conversation: Conversation
    ) -> None:
        self._engines = engines
        self._server = server
        self._now = plan.settings
        self._give_back = [engines.lend(plan.host)]
        self._conversation = conversation
        self._wanted: list[object] = []
        self._working: asyncio.Task[None] | None = None
        self._has_ended = False

    def ask(self, options: object) -> None:
        """Have the settings changed; an engine may have to be loaded first, and the call goes on meanwhile.

        Args:
            options: Dotted settings, as a page joins with; anything.
        """
        self._wanted = [options]
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="setting-changes")

    def end(self) -> None:
        """The conversation has ended; an engine that is being loaded is there for others."""
        self._has_ended = True
        self._wanted.clear()
        while self._give_back:
            self._give_back.pop()()

    async def _work(self) -> None:
        while self._wanted:
            await self._change(self._wanted.pop())

    async def _change(self, options: object) -> None:
        try:
            wanted = session_settings(self._server, options)
            if keys := that_need_a_call(self._now, wanted):
                message = f"{', '.join(keys)} can be changed by joining again only"
                self._conversation.refuse_change(message, needs_call=True)
                return
            host = await self._engines.host_for(wanted)
        except (SottoError, EngineUnavailableError) as error:
            self._conversation.refuse_change(str(error))
            return
        # An engine that ends on the way must not end the call.
        except Exception as error:  # noqa: BLE001
            logger.error(f"settings could not be changed: {error!r}"[:300])
            self._conversation.refuse_change("the engine could not be loaded; the server's log says why")
            return
        if self._has_ended:
            return
        self._give_back.append(self._engines.lend(host))
        if len(self._give_back) > MAX_LENT:
            self._give_back.pop(0)()
        changed = changed_keys(self._now, wanted)
        try:
            await self._conversation.change(host, wanted, changed)
        # Whatever a step says to it, the call and the wishes that come next go on.
        except Exception as error:  # noqa: BLE001
            logger.error(f"settings could not be changed: {error!r}"[:300])
            self._conversation.refuse_change("the settings could not be changed; the server's log says why")
            return
        self._now = wanted
        self._conversation.speaking_up.do(self._let_go)
        logger.info(f"a conversation goes on with other settings: {', '.join(changed) or 'none'}")

    async def _let_go(self) -> bool:
        """Nobody speaks and nothing is due: the engines of now are the ones that are needed.

        Returns:
            False: nothing is said.
        """
        # A change that is being made says so itself once it is.
        if self._working is None or self._working.done():
            while len(self._give_back) > 1:
                self._give_back.pop(0)()
        return False
