"""A metric that is read where its value already stands, at the moment when somebody asks."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Values = Callable[[], Mapping[str, float] | Mapping[tuple[str, ...], float]]


class Watched(Collector):
    """A gauge, or a counter.

    Args:
        name: Of the metric.
        text: What it says.
        values: Gives a value for each value of the label, or for each tuple of several labels' values.
        label: Its name, or their names.
        counts: Whether it only ever grows.
    """

    def __init__(
        self, name: str, text: str, values: Values, label: str | tuple[str, ...], *, counts: bool = False
    ) -> None:
        self._name, self._text, self._values, self._counts = name, text, values, counts
        self._labels = _several(label)

    def describe(self) -> Iterable[Metric]:
        """Its name, without asking for values."""
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        """Its values of now."""
        family = self._family()
        for label, value in self._values().items():
            family.add_metric(_several(label), value)
        return [family]

    def _family(self) -> CounterMetricFamily | GaugeMetricFamily:
        kind = CounterMetricFamily if self._counts else GaugeMetricFamily
        return kind(self._name, self._text, labels=self._labels)


def _several(one: str | tuple[str, ...]) -> list[str]:
    return [one] if isinstance(one, str) else list(one)
