import math
from dataclasses import replace

import msgspec
import pytest

from polyscene.core.clock import DAY_MS
from polyscene.core.errors import InputError
from polyscene.events.check import MAX_ATTRIBUTES, OLDEST, check_bulk, check_exposure, check_records
from polyscene.events.event import EdgePut, Event, Exposure, ItemPut, Merge, UserPut
from polyscene.events.log import Bulk

NOW = 1_800_000_000_000
GOOD = Event(id="e", user="u", item="i", time=NOW)
PUT = ItemPut(id="i", time=NOW)
EDGE = EdgePut(source="a", relation="r", target="b", time=NOW)
MERGE = Merge(source="g", target="u", time=NOW)


def changed(record, **fields):
    return msgspec.structs.replace(record, **fields)


BAD = [
    (changed(GOOD, id=""), "records[1].id: expected 1 to 512 characters, got 0"),
    (changed(GOOD, id="x" * 513), "records[1].id: expected 1 to 512 characters, got 513"),
    (changed(GOOD, id=7), "records[1].id: expected text, got 7"),
    (changed(GOOD, user="a\0b"), "records[1].user: control characters"),
    (changed(GOOD, item="\ud800"), "records[1].item: control characters and lone surrogates"),
    (changed(GOOD, action=""), "records[1].action: expected 1 to 128"),
    (changed(GOOD, scenario="x" * 129), "records[1].scenario: expected 0 to 128"),
    (changed(GOOD, request_id=""), "records[1].request_id:"),
    (changed(GOOD, position=-1), "records[1].position: expected a place"),
    (changed(GOOD, value=math.nan), "records[1].value: expected a finite number, got nan"),
    (changed(GOOD, value=math.inf), "records[1].value: expected a finite number, got inf"),
    (changed(GOOD, value="5"), "records[1].value:"),
    (changed(GOOD, value=1 << 60), "records[1].value:"),
    (changed(GOOD, time=float(NOW)), "records[1].time: expected UTC milliseconds as an integer"),
    (changed(GOOD, time=NOW // 1000), "records[1].time: expected UTC milliseconds from 1990"),
    (changed(GOOD, time=NOW + DAY_MS + 1), "records[1].time:"),
    (changed(GOOD, attributes=[]), "records[1].attributes: expected a flat table, got list"),
    (changed(GOOD, attributes={"": 1}), "records[1].attributes['']: name:"),
    (changed(GOOD, attributes={"a": {}}), "records[1].attributes['a']: expected a finite number, text"),
    (changed(GOOD, attributes={"a": [1]}), "records[1].attributes['a']: expected text"),
    (changed(GOOD, attributes={"a": math.nan}), "records[1].attributes['a']: expected a finite"),
    (changed(GOOD, attributes={"a": "\ud800"}), "records[1].attributes['a']: expected text without NUL"),
    (
        changed(GOOD, attributes={"a": "x" * 70_000}),
        "records[1].attributes: expected at most 65536 characters",
    ),
    (
        changed(GOOD, attributes={str(n): 1 for n in range(MAX_ATTRIBUTES + 1)}),
        "records[1].attributes: expected at most 256, got 257",
    ),
    (changed(PUT, kind=""), "records[1].kind:"),
    (UserPut(id="u", time=0), "records[1].time:"),
    (changed(EDGE, source=""), "records[1].source: expected 1 to 512"),
    (changed(EDGE, relation="x" * 129), "records[1].relation: expected 1 to 128"),
    (changed(EDGE, target="\n"), "records[1].target: control characters"),
    (changed(EDGE, weight=math.inf), "records[1].weight: expected a finite number, got inf"),
    (changed(EDGE, time=5), "records[1].time:"),
    (changed(MERGE, source=None), "records[1].source: expected text, got None"),
    (changed(MERGE, target="x" * 513), "records[1].target: expected 1 to 512"),
    (changed(MERGE, target="g"), "records[1].source: expected another user than the target, got 'g'"),
    (changed(MERGE, time=5), "records[1].time:"),
    ("event", "records[1].type: expected Event, ItemPut, UserPut, EdgePut or Merge, got str"),
]


@pytest.mark.parametrize(("record", "text"), BAD)
def test_a_bad_record_is_named_by_index_and_field(record, text):
    with pytest.raises(InputError) as caught:
        check_records([GOOD, record], NOW)
    assert str(caught.value).startswith(text)
    assert "nothing of this batch was kept" in str(caught.value)


def test_what_people_really_send_is_let_through():
    attributes = {
        "year": 1999,
        "price": 9.5,
        "new": True,
        "tags": ["a", "b\nc"],
        "title": "Ünï\n",
        "gone": None,
    }
    check_records(
        [
            GOOD,
            changed(GOOD, id="x" * 512, item="映画 1", value=-3, time=OLDEST, attributes=attributes),
            changed(GOOD, time=NOW + DAY_MS, position=0, request_id="r"),
            changed(PUT, attributes=attributes, delete=True),
            UserPut(id="u", time=NOW, attributes=attributes, patch=True),
            EDGE,
            changed(EDGE, target="a", weight=-0.5, delete=True),
            MERGE,
        ],
        NOW,
    )
    check_records([changed(GOOD, time=0)])


def test_json_with_an_unknown_field_or_a_wrong_type_is_refused():
    good = b'{"id": "e", "user": "u", "item": "i", "time": 5}'
    assert msgspec.json.decode(good, type=Event).action == "interaction"
    for bad in (b'"usr": "u"', b'"value": "high"', b'"position": -1', b'"attributes": {"a": {}}'):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(good[:-1] + b", " + bad + b"}", type=Event)


BULK = Bulk("s", range(2), ["u", "v"], ["i", "j"], ["a", "a"], ["", ""], [1, 2], [1.0, 2.0])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"users": ["u"]}, "s.users: expected 2 values, as many as rows, got 1"),
        ({"items": ["i", ""]}, "s.items: expected 1 to 512 characters, got 0 in row 1"),
        ({"values": [1.0, math.nan]}, "s.values: expected finite numbers, got nan in row 1"),
    ],
)
def test_a_bad_bulk_is_named_by_column_and_row(fields, text):
    check_bulk(BULK)
    with pytest.raises(InputError) as caught:
        check_bulk(replace(BULK, **fields))
    assert str(caught.value) == text


def test_an_exposure_needs_a_score_and_a_propensity_per_item():
    good = Exposure(request_id="r", scenario="s", bundle="b", time=1, seed=0, log_position=0)
    check_exposure(good)
    with pytest.raises(InputError, match="expected 1 each, as many as items, got 0 and 0"):
        check_exposure(changed(good, items=["i"]))
    with pytest.raises(InputError, match=r"exposure\.request_id"):
        check_exposure(changed(good, request_id=""))
    with pytest.raises(InputError, match=r"exposure\.user"):
        check_exposure(changed(good, user="\0"))
