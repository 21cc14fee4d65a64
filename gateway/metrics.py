"""What a gateway counts for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class GatewayMetrics:
    """The counters of one gateway, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sessions = Gauge("abst_gateway_sessions", "Sessions connected.", registry=self.registry)
        self.in_flight = Gauge(
            "abst_gateway_commands_in_flight", "Commands without an answer yet.", registry=self.registry
        )
        self.answers = Counter(
            "abst_gateway_answers",
            "Answers by reason; 'none' for results.",
            ["reason"],
            registry=self.registry,
        )
        self.resumes = Counter(
            "abst_gateway_resume", "Streams resumed, by result.", ["result"], registry=self.registry
        )
        self.slow_consumers = Counter(
            "abst_gateway_slow_consumers", "Connections closed for not reading.", registry=self.registry
        )
        self.book_gaps = Counter(
            "abst_gateway_book_gaps", "Books taken anew because events were missing.", registry=self.registry
        )
        self.results = self.answers.labels("none")
