"""Numbers about the service, in Prometheus' text format."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)  # seconds


class Metrics:
    """Counts of requests and their times. Used from the event loop alone, without locks."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._times: dict[str, list[int]] = defaultdict(lambda: [0] * len(BUCKETS))
        self._seconds: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def count(self, endpoint: str, status: int, seconds: float, received: int, sent: int) -> None:
        """Count a request that has ended."""
        self._requests[endpoint, status] += 1
        self._seconds[endpoint] += seconds  # type: ignore[assignment]
        self._bytes["received"] += received
        self._bytes["sent"] += sent
        for place, bound in enumerate(BUCKETS):
            self._times[endpoint][place] += seconds <= bound

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Return all numbers. gauges: meaning and value of those of this moment, by name."""
        return "\n".join([*self._counters(), *self._histogram(), *_gauges(gauges), ""])

    def _counters(self) -> Iterator[str]:
        yield from _head("e4s_requests_total", "counter", "Requests answered, by endpoint and status.")
        for (endpoint, status), number in sorted(self._requests.items()):
            yield f'e4s_requests_total{{endpoint="{endpoint}",status="{status}"}} {number}'
        yield from _head("e4s_body_bytes_total", "counter", "Bytes of bodies, received and sent.")
        for direction, number in sorted(self._bytes.items()):
            yield f'e4s_body_bytes_total{{direction="{direction}"}} {number}'

    def _histogram(self) -> Iterator[str]:
        name = "e4s_request_seconds"
        yield from _head(name, "histogram", "Seconds from a request's head to the end of its answer.")
        for endpoint, counts in sorted(self._times.items()):
            total = sum(number for (other, _), number in self._requests.items() if other == endpoint)
            for bound, number in zip(BUCKETS, counts, strict=True):
                yield f'{name}_bucket{{endpoint="{endpoint}",le="{bound}"}} {number}'
            yield f'{name}_bucket{{endpoint="{endpoint}",le="+Inf"}} {total}'
            yield f'{name}_sum{{endpoint="{endpoint}"}} {self._seconds[endpoint]:.6f}'
            yield f'{name}_count{{endpoint="{endpoint}"}} {total}'


def _gauges(gauges: Mapping[str, tuple[str, float]]) -> Iterator[str]:
    for name, (meaning, value) in gauges.items():
        yield from _head(name, "gauge", meaning)
        yield f"{name} {value:g}"


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {name} {meaning}"
    yield f"# TYPE {name} {kind}"
