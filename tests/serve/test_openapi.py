import re

import msgspec
import pytest

from polyscene.serve.app import OPERATIONS
from polyscene.serve.operations import routes_of
from polyscene.serve.problems import Problem

STATED = [each for each in OPERATIONS if each.body is not None or each.reply is not None]


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def test_the_document_names_exactly_the_routes_that_answer(client, document):
    served = set()
    for route in routes_of(OPERATIONS):
        assert client.request("TRACE", re.sub(r"\{.*?\}", "x", route.path)).status_code == 405
        path = re.sub(r":\w+\}", "}", route.path)
        served |= {(method, path) for method in route.methods - {"HEAD"}}
    named = {(method.upper(), path) for path, each in document["paths"].items() for method in each}
    assert named == served


@pytest.mark.parametrize("operation", STATED, ids=lambda each: each.name)
def test_the_examples_are_what_the_types_take(operation):
    if operation.body is not None:
        msgspec.convert(operation.body_example, operation.body)
    if operation.reply is not None:
        assert msgspec.convert(operation.reply_example, operation.reply)


def test_every_reference_leads_somewhere_and_names_are_unique(document):
    text = msgspec.json.encode(document).decode()
    for name in set(re.findall(r'"#/components/schemas/(\w+)"', text)):
        assert name in document["components"]["schemas"]
    names = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))
    assert document["openapi"].startswith("3.1")


def test_path_parameters_are_described(document):
    for path, methods in document["paths"].items():
        for each in methods.values():
            described = {p["name"] for p in each["parameters"] if p["in"] == "path"}
            assert described == set(re.findall(r"\{(\w+)\}", path))


def test_a_problem_is_what_the_document_says(client, document):
    reply = client.get("/v1/items/nobody-put-this")
    assert "404" in document["paths"]["/v1/items/{id}"]["get"]["responses"]
    assert msgspec.json.decode(reply.content, type=Problem).status == 404
