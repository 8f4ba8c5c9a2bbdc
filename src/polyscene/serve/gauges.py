"""How the service stands, for Prometheus: looked up when it asks, not kept between."""

from collections.abc import Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from polyscene.jobs.glance import State
from polyscene.serve.desk import Desk


def gauges(state: State, status: dict[str, Any], desks: Iterable[Desk]) -> bytes:
    """The gauges in the text format; their names are a contract with dashboards and alerts."""
    book = CollectorRegistry()

    def gauge(name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"polyscene_{name}", what, labels, registry=book)

    gauge("ready", "1: asks can be answered.").set(status["ready"])
    gauge("problems", "What GET /readyz lists as odd.").set(len(status["problems"]))
    gauge("log_position", "Records the log has taken.").set(state.position)
    gauge("log_bytes", "Size of the log.").set(state.log_bytes)
    gauge("unabsorbed_records", "Records in the log that answers don't see yet.").set(
        state.position - state.absorbed
    )
    gauge("users", "Users known.").set(state.users)
    gauge("items", "Items known.").set(state.items)
    gauge("disk_free_bytes", "Free space where the workspace lies.").set(state.disk_free)
    gauge("untrained_scenarios", "Scenarios without a bundle.").set(len(state.untrained))
    created = gauge("bundle_created_timestamp_seconds", "When the bundle in service was made.", "scenario")
    metric = gauge("bundle_metric", "Quality of the bundle in service.", "scenario", "metric")
    for each in state.in_service:
        created.labels(each.scenario).set(each.created / 1e3)
        for name, value in each.metrics.items():
            if value is not None:
                metric.labels(each.scenario, name).set(value)
    inside = gauge("calls_inside", "Calls that run or wait, by desk.", "desk")
    for desk in desks:
        inside.labels(desk.name).set(desk.inside)
    return generate_latest(book)
