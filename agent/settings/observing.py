"""The sections of what tells how the program itself does: metrics."""

from pydantic import Field

from agent.settings.section import Section


class MetricsSettings(Section):
    """`GET /metrics` of `sotto serve`, for Prometheus."""

    enabled: bool = Field(
        True, description="serve /metrics: counts and times without words, to this machine or by server.token"
    )
