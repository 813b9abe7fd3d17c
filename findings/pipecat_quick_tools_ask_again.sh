#!/usr/bin/env bash
# Pipecat asks the model again after each of several tools that answer at once, where a step works between it and its
# history.
#
# pipecat-ai 1.14.0. `LLMService` runs the calls of one reply in parallel, as one group (`group_parallel_tools` is on by
# default), and the assistant's aggregator is to ask the model for the rest of the reply when the last of the group is
# done. One would guess that three calls bring about one further request. They do while the tools wait for something. Of
# tools that return without waiting (a clock, a sum, a look-up in memory) each is begun and done before the next is begun,
# so the aggregator sees no other call of the group in progress; it is saved by looking whether more results stand in its
# own queue, which holds only as long as nothing between the model and the aggregator takes time. With one step there that
# takes 5 ms a frame, as speech or a transport may, it asks three times, and the user hears up to three replies to one
# question. A voice agent has to hold back all results but the last
# from asking (`FunctionCallResultProperties(run_llm=False)`).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pipecat-ai==1.14.0 2> "$work/log" \
    || { cat "$work/log" >&2; exit 1; }
cd "$work"
"$work/venv/bin/python" - <<'P' 2> "$work/err" || { cat "$work/err" >&2; exit 1; }
import asyncio
import sys

from pipecat.frames.frames import LLMContextFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.llm_service import FunctionCallFromLLM, LLMService
from pipecat.services.settings import LLMSettings
from pipecat.workers.runner import WorkerRunner


class Model(LLMService):
    """Calls three tools when it is first asked, and counts how often it is asked afterwards."""

    def __init__(self):
        super().__init__(settings=LLMSettings(model="none"))
        self.asked = 0
        self.results = []

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        self.asked += 1
        if self.asked == 1:
            await self.run_function_calls(
                [
                    FunctionCallFromLLM(
                        function_name="look", tool_call_id=f"call_{n}", arguments={}, context=frame.context
                    )
                    for n in range(3)
                ]
            )
        else:
            tools = [message for message in frame.context.messages if message.get("role") == "tool"]
            self.results.append(sum(message["content"] == '"seen"' for message in tools))


class Step(FrameProcessor):
    """Works for a moment on each frame, as synthesis and transports do."""

    def __init__(self, secs):
        super().__init__()
        self.secs = secs

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if self.secs:
            await asyncio.sleep(self.secs)
        await self.push_frame(frame, direction)


async def further_requests(wait_secs, step_secs):
    async def look(params):
        if wait_secs:
            await asyncio.sleep(wait_secs)
        await params.result_callback("seen")

    model = Model()
    model.register_function("look", look)
    context = LLMContext([{"role": "user", "content": "look three times"}])
    pair = LLMContextAggregatorPair(context)
    worker = PipelineWorker(Pipeline([model, Step(step_secs), pair.assistant()]), enable_rtvi=False)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await worker.queue_frames([LLMContextFrame(context)])
    await asyncio.sleep(2.0)
    await worker.cancel()
    await asyncio.wait([running], timeout=5)
    return model.results


print("results that were there at each further request:")
seen = {}
for tools, wait_secs in (("that wait", 0.2), ("that do not", 0.0)):
    for step_secs in (0.0, 0.005):
        seen[wait_secs, step_secs] = asyncio.run(further_requests(wait_secs, step_secs))
        print(f"tools {tools}, a step of {step_secs * 1000:g} ms: {seen[wait_secs, step_secs]}")
last = seen.pop((0.0, 0.005))
sys.exit(0 if all(results == [3] for results in seen.values()) and len(last) == 3 else 1)
P
# Seen:
#   results that were there at each further request:
#   tools that wait, a step of 0 ms: [3]
#   tools that wait, a step of 5 ms: [3]
#   tools that do not, a step of 0 ms: [3]
#   tools that do not, a step of 5 ms: [3, 3, 3]
