"""`/metrics`: counters for Prometheus."""

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from polyscene.serve.operations import Operation

_REPLIES = Counter("polyscene_http_replies", "Replies by route and status.", ["method", "path", "status"])
_SECONDS = Histogram(
    "polyscene_http_seconds",
    "Time from the request's head to the end of the reply.",
    ["method", "path"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)


def count(method: str, path: str, status: int, seconds: float) -> None:
    """Counts one reply; `path` is the pattern, so the number of series does not grow with ids."""
    _REPLIES.labels(method, path, str(status)).inc()
    _SECONDS.labels(method, path).observe(seconds)


async def get_metrics(request: Request) -> Response:
    """Every counter of the process."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


OPERATIONS = (
    Operation("GET", "/metrics", get_metrics, "Counters in the Prometheus text format", media="text/plain"),
)
