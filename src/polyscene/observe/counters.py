"""Every counter and histogram of a process; their names are a contract with dashboards and alerts.

Labels take few values: route patterns, scenario and stage names. Never an id of a user, item or request.
"""

from prometheus_client import Counter, Gauge, Histogram

REPLIES = Counter("polyscene_http_replies", "Replies by route and status.", ["method", "path", "status"])
REPLY_SECONDS = Histogram(
    "polyscene_http_seconds",
    "Time from the request's head to the end of the reply.",
    ["method", "path"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
RECORDS = Counter("polyscene_records", "Records by type that are on disk: events, items ...", ["type"])
DUPLICATES = Counter("polyscene_duplicates", "Records by type that were there before.", ["type"])
LAST_RECORD = Gauge("polyscene_last_record_timestamp_seconds", "When a record was last accepted.")
ANSWERS = Counter("polyscene_answers", "Slates given out.", ["scenario", "degraded"])
ANSWER_SECONDS = Histogram(
    "polyscene_answer_seconds",
    "Time that the engine takes for a slate.",
    ["scenario"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1),
)
CANARY_REFUSALS = Counter(
    "polyscene_canary_refusals", "Bundles that were not promoted.", ["scenario", "check"]
)
