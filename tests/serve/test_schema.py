"""schemathesis over the API's own document: no answer but those that the document tells of."""

import httpx

from polyscene.testing.fuzz import fuzz
from polyscene.testing.service import live

CASES, SEED = 150, 7


def test_no_answer_breaks_the_document(root):
    with live(root) as url:
        document = httpx.get(f"{url}/openapi.json").json()
        found = fuzz(url, document, CASES, SEED, skip=lambda label: label == "POST /v1/jobs")
        assert httpx.get(f"{url}/readyz").json()["ready"]
    assert found.breaches == {}
    assert found.requests >= CASES // 2
    assert {200, 422} <= set(found.statuses)
