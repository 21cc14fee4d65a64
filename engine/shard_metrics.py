"""What a shard counts, for Prometheus; one set of metrics a process, one label value a shard."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_LABELS = ["shard"]
_COMMIT_BUCKETS = (0.0002, 0.0003, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10)
_GROUP_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

COMMANDS = Counter("abst_shard_commands_total", "Commands made durable", _LABELS)
EVENTS = Counter("abst_shard_events_total", "Events made durable", _LABELS)
ROWS = Counter("abst_shard_rows_total", "Journal rows written", _LABELS)
SEEN = Counter("abst_shard_commands_seen_total", "Commands dropped because they were taken before", _LABELS)
REFUSED_BATCHES = Counter(
    "abst_shard_batches_refused_total", "Batches refused for gap or incarnation", _LABELS
)
COMMIT_SECONDS = Histogram(
    "abst_shard_commit_seconds", "Time from sending a row to its commit", _LABELS, buckets=_COMMIT_BUCKETS
)
GROUP_COMMANDS = Histogram("abst_shard_group_commands", "Commands in a row", _LABELS, buckets=_GROUP_BUCKETS)
EPOCH = Gauge("abst_shard_epoch", "Epoch of the lease this process last took", _LABELS)
CONNECTIONS = Gauge("abst_shard_connections", "Open client connections", _LABELS)


class ShardMetrics:
    """The metrics of one shard."""

    def __init__(self, shard: int) -> None:
        label = str(shard)
        self.commands = COMMANDS.labels(label)
        self.events = EVENTS.labels(label)
        self.rows = ROWS.labels(label)
        self.seen = SEEN.labels(label)
        self.refused_batches = REFUSED_BATCHES.labels(label)
        self.commit_seconds = COMMIT_SECONDS.labels(label)
        self.group_commands = GROUP_COMMANDS.labels(label)
        self.epoch = EPOCH.labels(label)
        self.connections = CONNECTIONS.labels(label)
