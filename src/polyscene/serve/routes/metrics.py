"""`/metrics`: counters and gauges for Prometheus."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from polyscene.observe.counters import REPLIES, REPLY_SECONDS
from polyscene.serve.gauges import gauges
from polyscene.serve.house import house
from polyscene.serve.operations import Operation


def count(method: str, path: str, status: int, seconds: float) -> None:
    """Counts one reply; `path` is the pattern, so the number of series does not grow with ids."""
    REPLIES.labels(method, path, str(status)).inc()
    REPLY_SECONDS.labels(method, path).observe(seconds)


async def get_metrics(request: Request) -> Response:
    """Every counter of the process, and how the service stands."""
    here = house(request)
    status = await here.readiness.status()
    state = await here.watch.run(here.engine.insight.state)
    stands = gauges(state, status, (here.readers, here.writers, here.watch))
    return Response(generate_latest() + stands, media_type=CONTENT_TYPE_LATEST)


OPERATIONS = (
    Operation(
        "GET",
        "/metrics",
        get_metrics,
        "Counters and gauges in the Prometheus text format",
        media="text/plain",
        problems=(503,),
    ),
)
