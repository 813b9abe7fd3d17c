"""Pipecat's own wiring as its guides show it, hosted by its own request handler.

SmallWebRTCTransport and PipelineWorker with their defaults; LLMUserAggregatorParams with SileroVADAnalyzer, and so the
default turn strategies with smart-turn v3.
"""

import asyncio

from fastapi import FastAPI
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.request_handler import SmallWebRTCRequest, SmallWebRTCRequestHandler
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

from agent.engines.host import ModelHost
from tests.bench.dynamics.stock import StockSTTService, StockTTSService


class StockSessions:
    """Conversations in Pipecat's wiring.

    Args:
        host: Scripted engines.
        words: What every stretch of speech is heard as.
    """

    def __init__(self, host: ModelHost, words: str) -> None:
        self._host = host
        self._words = words
        self._handler = SmallWebRTCRequestHandler(ice_servers=[])
        self._running: set[asyncio.Task[None]] = set()

    def app(self) -> FastAPI:
        """The web application: the offer route alone."""
        app = FastAPI()

        @app.post("/api/offer")
        async def offer(body: dict[str, str]) -> dict[str, str] | None:
            return await self._handler.handle_web_request(SmallWebRTCRequest.from_dict(body), self._start)

        return app

    async def close(self) -> None:
        """End every conversation."""
        await self._handler.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _start(self, connection: SmallWebRTCConnection) -> None:
        running = asyncio.create_task(self._converse(connection), name="stock conversation")
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _converse(self, connection: SmallWebRTCConnection) -> None:
        transport = SmallWebRTCTransport(
            webrtc_connection=connection, params=TransportParams(audio_in_enabled=True, audio_out_enabled=True)
        )
        options = self._host.llm_options
        history = LLMContextAggregatorPair(
            LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
        )
        pipeline = Pipeline(
            [
                transport.input(),
                StockSTTService(lambda _, __: self._words, self._host, lambda: 0.0),
                history.user(),
                OpenAILLMService(
                    api_key="none", base_url=options.base_url, settings=OpenAILLMService.Settings(model=options.model)
                ),
                StockTTSService(self._host),
                transport.output(),
                history.assistant(),
            ]
        )
        worker = PipelineWorker(pipeline)

        @transport.event_handler("on_client_disconnected")
        async def on_client_disconnected(_transport: object, _client: object) -> None:
            await worker.cancel()

        runner = WorkerRunner(handle_sigint=False, check_dangling_tasks=False)
        await runner.add_workers(worker)
        await runner.run()
