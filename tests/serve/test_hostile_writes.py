"""Whatever is sent to the way in gets 200 or a problem of a status that the operation lists."""

import json
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.serve.operations import NDJSON
from polyscene.serve.problems import Problem
from polyscene.serve.routes import edges, events, items, users

OPERATIONS = [*events.OPERATIONS, *items.OPERATIONS, *users.OPERATIONS, *edges.OPERATIONS]
texts = st.text(max_size=12) | st.sampled_from(
    ["\x00", "a\nb", "\u202eabc", "😀", "x" * 600, "", "..", "' or 1=1 --", "=1+1", "<script>", "put"]
)
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
ids = texts.filter(lambda text: text not in ("", ".", "..") and not text.startswith("/"))


def fields(kind):
    return [] if kind is None else [field.encode_name for field in msgspec.structs.fields(kind)]


def changed(data, kind, example):
    """A sound body with some fields changed, or something else altogether."""
    if data.draw(st.integers(0, 9)) == 0:
        return data.draw(anything)
    names = st.sampled_from([*fields(kind), "odd"])
    return {**(example or {}), **data.draw(st.dictionaries(names, anything, max_size=3))}


def content_of(data, operation):
    if operation.body is None:
        return None
    count = data.draw(st.integers(0, 3)) if operation.body_media == NDJSON else 1
    bodies = [json.dumps(changed(data, operation.body, operation.body_example)) for _ in range(count)]
    return "\n".join(bodies).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_every_answer_is_one_that_the_operation_lists(client, operation, data):
    path = operation.path.replace("{id:path}", quote(data.draw(ids), safe=""))
    params = data.draw(
        st.dictionaries(st.sampled_from([*fields(operation.params), "odd"]), texts, max_size=3)
    )
    if operation.path == "/v1/edges":
        params = {"source": "a", "relation": "r", "target": "b", **params}
    key = data.draw(st.sampled_from([None, "k", "a key", "x" * 256, "\xfc"]))
    headers = {} if key is None else {"idempotency-key": key.encode("latin-1")}
    reply = client.request(
        operation.method,
        path,
        params={name: value for name, value in params.items() if value is not None},
        content=content_of(data, operation),
        headers={**headers, "content-type": operation.body_media},
    )
    assert reply.status_code in {200, 404, *operation.problems}, (reply.status_code, reply.text)
    if reply.status_code == 200:
        msgspec.json.decode(reply.content, type=operation.reply)
    else:
        assert reply.headers["content-type"] == "application/problem+json"
        assert msgspec.json.decode(reply.content, type=Problem).status == reply.status_code
