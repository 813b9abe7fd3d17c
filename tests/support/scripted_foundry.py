"""A fake at the edge: the module `foundry_local_sdk` with models, sessions and failures that a test writes.

Call signatures, states and messages are those of foundry-local-sdk 2.2.1, read from the package; what a real session
hears, and how long it takes, is not known here. Its results come as the SDK's source gives them: pieces that are not
final while sound comes, one final text once the session is stopped.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

from processors.stt.foundry_catalogue import DEFAULT_ALIAS


class FoundryLocalException(Exception):
    def __init__(self, message: str, *, error_code: int = 0) -> None:
        super().__init__(message)
        self.error_code = error_code


class FakeSession:
    """Gives the next piece of its script for each push, and the whole text once it is stopped."""

    def __init__(self, model_id: str, model: "FakeModel") -> None:
        self.settings = SimpleNamespace(sample_rate=0, channels=0, bits_per_sample=0, language="?")
        self.state = "CREATED"
        self.pushes: list[bytes] = []
        self.pushing_threads: set[str] = set()
        self.readers: list[threading.Thread] = []
        self.n_stops = 0
        self._model = model
        self._pieces = list(model.scripts.pop(0)) if model.scripts else []
        self._heard: list[str] = []
        self._results: queue.Queue[Any] = queue.Queue()
        model.sessions.append(self)

    def start(self) -> None:
        if self._model.start_error:
            raise self._model.start_error
        self._enter("CREATED", "STARTED")

    def append(self, pcm_data: bytes | bytearray | memoryview) -> None:
        if self.state != "STARTED":
            raise FoundryLocalException(f"Session must be Started to append audio (was {self.state}).")
        self.pushes.append(bytes(pcm_data))
        self.pushing_threads.add(threading.current_thread().name)
        piece = self._pieces.pop(0) if self._pieces else ""
        if isinstance(piece, Exception):
            self._results.put(piece)
        elif piece:
            self._heard.append(piece)
            self._results.put(response(piece, is_final=False))
            # Until the reader has it, so that no test depends on the pace of threads.
            self._results.join()

    def get_stream(self) -> Iterator[SimpleNamespace]:
        if self.state != "STARTED":
            raise FoundryLocalException(f"Session must be Started to read stream (was {self.state}).")
        self.readers.append(threading.current_thread())
        while (result := self._results.get()) is not None:
            if isinstance(result, Exception):
                raise result
            yield result
            self._results.task_done()

    def stop(self) -> None:
        if self.state == "DISPOSED":
            raise FoundryLocalException("Session is disposed.")
        if self.state != "STARTED":
            return
        self.n_stops += 1
        if self._model.stop_error:
            raise self._model.stop_error
        if self._heard:
            # In capitals, so that a test can tell it from the pieces.
            self._results.put(response("".join(self._heard).upper(), is_final=True))
        # The SDK waits here until its own thread has delivered everything.
        worker = threading.Thread(target=self._results.put, args=(None,))
        worker.start()
        worker.join()
        self.state = "STOPPED"

    def close(self) -> None:
        self.state = "DISPOSED"

    def _enter(self, expected: str, state: str) -> None:
        if self.state != expected:
            raise FoundryLocalException(f"Session can only be started once (was {self.state}).")
        self.state = state


class FakeAudioClient:
    def __init__(self, model_id: str, model: "FakeModel") -> None:
        self._made_of = (model_id, model)

    def create_live_transcription_session(self) -> FakeSession:
        return FakeSession(*self._made_of)


@dataclass
class FakeModel:
    """A model of the catalogue; `scripts` holds the pieces of each session to come."""

    alias: str = DEFAULT_ALIAS
    task: str = "automatic-speech-recognition"
    is_cached: bool = True
    scripts: list[list[str | Exception]] = field(default_factory=list)
    start_error: Exception | None = None
    stop_error: Exception | None = None
    load_error: Exception | None = None
    calls: list[str] = field(default_factory=list)
    sessions: list[FakeSession] = field(default_factory=list)

    @property
    def info(self) -> SimpleNamespace:
        return SimpleNamespace(task=self.task)

    def download(
        self,
        progress_callback: Callable[[float], None] | None = None,
        cancel_event: threading.Event | None = None,
    ) -> None:
        self.calls.append("download")
        if self.load_error:
            raise self.load_error
        if progress_callback:
            progress_callback(100.0)

    def load(self) -> None:
        self.calls.append("load")
        if self.load_error:
            raise self.load_error

    def unload(self) -> None:
        self.calls.append("unload")

    @property
    def id(self) -> str:
        return f"{self.alias}:1"

    def get_audio_client(self) -> FakeAudioClient:
        return FakeAudioClient(f"{self.alias}:1", self)


class FakeCatalog:
    def __init__(self, models: list[FakeModel]) -> None:
        self.models = models

    def get_model(self, model_alias: str) -> FakeModel | None:
        return next((model for model in self.models if model.alias == model_alias), None)

    def list_models(self) -> list[FakeModel]:
        return self.models


class FakeWebService:
    def __init__(self, urls: str | None = None, external_url: str | None = None) -> None:
        self.urls = urls


class FakeConfiguration:
    WebService = FakeWebService

    def __init__(
        self,
        app_name: str,
        foundry_local_core_path: str | None = None,
        app_data_dir: str | None = None,
        model_cache_dir: str | None = None,
        logs_dir: str | None = None,
        log_level: str | None = "Warning",
        web: Any = None,
        additional_settings: dict[str, str] | None = None,
        catalog_urls: list[tuple[str, str | None]] | None = None,
        catalog_region: str | None = None,
        disable_nonessential_telemetry: bool = False,
    ) -> None:
        self.web = web
        self.shown = (app_name, app_data_dir, log_level, disable_nonessential_telemetry)


class FakeSdk(ModuleType):
    """The module; `models` is its catalogue, `configurations` what the runtime was started with."""

    def __init__(self) -> None:
        super().__init__("foundry_local_sdk")
        self.__spec__ = ModuleSpec("foundry_local_sdk", None)
        self.model = FakeModel()
        self.models = [self.model]
        self.configurations: list[Any] = []
        self.manager_error: Exception | None = None
        self.web_url, self.n_web_stops = "http://127.0.0.1:1/", 0
        self.web_error: Exception | None = None
        sdk = self

        class FoundryLocalManager:
            instance: Any = None
            urls: list[str] | None = None

            def start_web_service(self) -> None:
                """Serves where a test's own server of OpenAI's interface listens."""
                if sdk.web_error:
                    raise sdk.web_error
                self.urls = [sdk.web_url]

            def stop_web_service(self) -> None:
                self.urls = None
                sdk.n_web_stops += 1

            @staticmethod
            def initialize(config: FakeConfiguration) -> None:
                if sdk.manager_error:
                    raise sdk.manager_error
                sdk.configurations.append(config.shown)
                FoundryLocalManager.instance = FoundryLocalManager()

            @property
            def catalog(self) -> FakeCatalog:
                return FakeCatalog(sdk.models)

            def close(self) -> None:
                FoundryLocalManager.instance = None

        self.FoundryLocalManager = FoundryLocalManager
        self.FoundryLocalException = FoundryLocalException
        self.Configuration = FakeConfiguration
        self.LogLevel = SimpleNamespace(FATAL="Fatal")


def response(text: str, *, is_final: bool) -> SimpleNamespace:
    return SimpleNamespace(content=[SimpleNamespace(text=text, transcript=text)], is_final=is_final)
