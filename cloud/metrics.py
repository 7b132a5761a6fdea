"""What /metrics shows. Counters of this process; names start with tillwire_cloud_."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from cloud.batch import Outcome

REGISTRY = CollectorRegistry()
MESSAGES = Counter("tillwire_cloud_messages", "Messages of boxes, by what became of them.", ["fate"], registry=REGISTRY)
COMMIT = Histogram(
    "tillwire_cloud_commit_seconds",
    "One ingest transaction.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2, 10),
    registry=REGISTRY,
)
BATCH = Histogram(
    "tillwire_cloud_batch_messages",
    "Messages in one ingest transaction.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
    registry=REGISTRY,
)
STORE_ERRORS = Counter("tillwire_cloud_store_errors", "Transactions the database refused.", registry=REGISTRY)
INGEST_STUCK = Gauge(
    "tillwire_cloud_ingest_stuck", "1: what boxes bring cannot be stored now; none is acknowledged.", registry=REGISTRY
)
READ = Counter("tillwire_cloud_receipts_read", "Jobs read, by result.", ["result"], registry=REGISTRY)
SENT = Counter("tillwire_cloud_sent", "Messages sent to boxes.", ["what"], registry=REGISTRY)
REQUESTS = Counter("tillwire_cloud_requests", "HTTP answers, by status.", ["status"], registry=REGISTRY)
LISTENERS = Gauge("tillwire_cloud_listeners", "Live pages that are open.", registry=REGISTRY)
WEBHOOKS = Counter("tillwire_cloud_webhooks", "Webhook deliveries, by result.", ["result"], registry=REGISTRY)
AUDIT_BROKEN = Gauge("tillwire_cloud_audit_broken", "1: the audit log is not what was written.", registry=REGISTRY)


def batch(outcome: Outcome, size: int, seconds: float) -> None:
    COMMIT.observe(seconds)
    BATCH.observe(size)
    for fate in ("stored", "duplicates", "conflicts", "aside", "others"):
        if count := getattr(outcome, fate):
            MESSAGES.labels(fate).inc(count)
