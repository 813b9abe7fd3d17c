"""Foundry Local's chat models: its runtime serves the one that is loaded on this machine, with OpenAI's interface.

In:  an alias of its catalogue.   Out: the address of the runtime's own server, and the model's name there.

The server listens on a free port of 127.0.0.1 and asks for no key: other programs of this machine may ask it, too.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from loguru import logger

from processors.errors import EngineUnavailableError
from processors.foundry_runtime import Kind, download, find_model, load, runtime, sdk_errors

# As Microsoft's own examples have it.
DEFAULT_ALIAS = "phi-4-mini"
PULL_COMMAND = "sotto models pull foundry-llm"
CHAT = Kind("llm", "chat", PULL_COMMAND)


class FoundryChat:
    """A chat model that Foundry Local has loaded.

    Args:
        model_alias: Its name in Foundry Local's catalogue.
        app_data_dir: Where Foundry Local keeps models and logs; its own directory in the user's home by default.

    Raises:
        EngineUnavailableError: The package is missing, the catalogue cannot be reached or lacks the alias, the model
            is not downloaded, or it or the runtime's server does not start.

    Attributes:
        base_url: The server's address, ending in /v1.
        model: The model's name there.
    """

    def __init__(self, model_alias: str = DEFAULT_ALIAS, *, app_data_dir: Path | None = None) -> None:
        with contextlib.ExitStack() as ending:
            manager = ending.enter_context(runtime(app_data_dir))
            model = find_model(manager, model_alias, CHAT)
            load(model, model_alias, CHAT)
            ending.callback(_end, model.unload, "unload its model")
            with sdk_errors("Foundry Local's server does not start", CHAT):
                if not manager.urls:
                    manager.start_web_service()
                    ending.callback(_end, manager.stop_web_service, "stop its server")
                self.base_url = f"{manager.urls[0].rstrip('/')}/v1"
                self.model: str = model.id
            self._ending = ending.pop_all()

    def close(self) -> None:
        """End the server, unload the model, and let go of the runtime."""
        self._ending.close()


def download_chat_model(model_alias: str, app_data_dir: Path | None, on_percent: Callable[[float], None]) -> None:
    """Download a chat model; only after the user agreed. See `foundry_runtime.download`."""
    download(model_alias, app_data_dir, on_percent, CHAT)


def _end(call: Callable[[], None], what: str) -> None:
    """What does not end must not keep the rest from ending."""
    try:
        with sdk_errors(f"Foundry Local does not {what}", CHAT):
            call()
    except EngineUnavailableError as error:
        logger.warning(f"llm: {error}")
