"""The sections of what tells how the program itself does: metrics, and traces."""

from typing import Annotated

from pydantic import Field

from agent.settings.addresses import http_address
from agent.settings.section import Section


class MetricsSettings(Section):
    """`GET /metrics` of `sotto serve`, for Prometheus."""

    enabled: bool = Field(
        True, description="serve /metrics: counts and times without words, to this machine or by server.token"
    )


class TelemetrySettings(Section):
    """Traces of conversations by OpenTelemetry; none unless an address says where to."""

    otlp_endpoint: Annotated[str | None, http_address("http://127.0.0.1:4318")] = Field(
        None, description="OTLP/HTTP receiver that gets traces of conversations, such as http://127.0.0.1:4318"
    )
    words: bool = Field(False, description="traces hold what is said and written, too, and the model's instructions")
