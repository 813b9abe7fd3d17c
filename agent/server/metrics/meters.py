"""Every metric of the server, in a registry of its own: several servers in one process do not mix.

In:  events of conversations, sound that came in, times of engines.   Out: Prometheus' text format.

Labels have few values, all of our own making: a door, a stage, a cause. No words, no name of a person, model or tool.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from agent import __version__
from agent.server.metrics.watched import Values, Watched
from processors.engine_threads import Job

NAMESPACE = "sotto"
# Seconds. A person notices 0.2 s, and takes 1 s for a pause.
ANSWER_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
LATE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# The latencies of an answer, by the README's names in the event log, which are in milliseconds.
LATENCIES = {
    "voice_to_voice_ms": "From the user's last voiced sample to the agent's first audible one.",
    "turn_ms": "From the end of speech to the decision that the turn is over.",
    "stt_ms": "From that decision until the turn's words are there.",
    "llm_ttft_ms": "From asking the language model to its first token.",
    "tts_ttfb_ms": "From the text's arrival at text-to-speech to its first sound.",
}
# They double each series, and say nothing that Prometheus does not know.
disable_created_metrics()


class Meters:
    """All metrics of one server.

    Attributes:
        registry: They are registered there, and in no other.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace=NAMESPACE, registry=registry)

        def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = LATE_BUCKETS) -> Histogram:
            return Histogram(name, text, labels, namespace=NAMESPACE, registry=registry, buckets=buckets)

        build = Gauge("build_info", "The version that runs.", ["version"], namespace=NAMESPACE, registry=registry)
        build.labels(__version__).set(1)
        self.sessions = counter("sessions", "Conversations that began.", "door")
        self.turns = counter("turns", "Turns of users, spoken or typed.", "door", "source")
        self.answers = {
            name: histogram(name.removesuffix("_ms") + "_seconds", text, "door", buckets=ANSWER_BUCKETS)
            for name, text in LATENCIES.items()
        }
        self.interruptions = counter("interruptions", "Answers that the user cut off.", "door")
        self.false_interruptions = counter(
            "false_interruptions", "Sounds over the agent that did not cut it off: echo, noise, backchannel.", "cause"
        )
        self.speculations = counter("speculations", "Answers prepared before the turn was surely over.", "outcome")
        self.reflexes = counter("reflexes", "Answers without the language model.")
        self.tool_calls = counter("tool_calls", "Calls of tools that began.")
        self.tool_calls_cancelled = counter("tool_calls_cancelled", "Calls of tools that were cancelled.")
        self.errors = counter("errors", "Errors in conversations, by the stage that failed.", "stage")
        self.audio_received = counter("audio_received_seconds", "Sound of users that was taken in.", "door")
        self.audio_lost = counter(
            "audio_lost_seconds", "Sound of WebRTC users lost on the network or thrown away by a busy machine.", "door"
        )
        self.audio_lateness = histogram(
            "audio_lateness_seconds", "How late sound by WebRTC was taken in, behind its fastest frame.", "door"
        )
        self.loop_lag = histogram("event_loop_lag_seconds", "How late the event loop woke a timer.")
        self.engine_wait = histogram("engine_wait_seconds", "How long work waited for a thread.", "engine")
        self.engine_work = histogram(
            "engine_work_seconds", "How long work took in its thread.", "engine", buckets=ANSWER_BUCKETS
        )

    def timing(self, engine: str) -> Callable[[Job], None]:
        """What counts the work of one engine's threads; called in them.

        Args:
            engine: Its name.
        """
        wait, work = self.engine_wait.labels(engine), self.engine_work.labels(engine)

        def count(job: Job) -> None:
            wait.observe(job.waited_secs)
            work.observe(job.took_secs)

        return count

    def watch(
        self, name: str, text: str, values: Values, label: str | tuple[str, ...], *, counts: bool = False
    ) -> None:
        """A gauge whose values are asked for when they are read.

        Args:
            name: Of the metric.
            text: What it says.
            values: Gives a value for each value of the label, or for each tuple of several labels' values.
            label: Its name, or their names.
            counts: Whether it is a counter, and only ever grows.
        """
        self.registry.register(Watched(f"{NAMESPACE}_{name}", text, values, label, counts=counts))

    def exposition(self, accept: str | None) -> tuple[bytes, str]:
        """All values, as text.

        Args:
            accept: The formats that the reader asks for, as an HTTP header.

        Returns:
            The text, and its content type.
        """
        encode, content_type = choose_encoder(accept or "")
        return encode(self.registry), content_type
