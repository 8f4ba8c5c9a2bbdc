from dataclasses import replace

import numpy as np
import pytest
import torch

from polyscene.core.arrays import RaggedTable
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Data
from polyscene.core.queries import Queries, history_of
from polyscene.core.rows import Rows
from polyscene.lean.reading import TIME_BUCKETS, time_bucket
from polyscene.nn.augment import Augment
from polyscene.nn.events import Lessons, Reader, Syllabus

CPU = torch.device("cpu")
LISTS = [[0, 1, 2, 3, 4], [1, 2], [3], [4, 3, 2, 1, 0, 2, 4]]
TIMES = [[1000 * 10**place for place in range(len(each))] for each in LISTS]


def data(lists=LISTS, times=TIMES, actions=("view", "buy")):
    history = history_of(lists, times)
    columns = {**history.columns, "action": (history["item"] % 2).astype(np.int16)}
    histories = RaggedTable(history.offsets, columns)
    users = np.arange(len(lists), dtype=np.int32)
    return Data(users, histories, Catalogue.bare(5), at=10**12, actions=actions)


def lessons(max_len=4, clock="order", *, surface=True, **syllabus):
    known = data()
    reader = Reader.of(known, max_len, clock, surface=surface)
    table = reader.table(known.histories, Rows(np.arange(5)))
    plan = Syllabus(**{"batch_size": 8, "seed": 3, **syllabus})
    return Lessons(reader, table, plan, CPU), table


def pairs(batches):
    """(place, target row) of every position."""
    return sorted(
        (int(place), int(target))
        for batch in batches
        for place, target in zip(batch.places, batch.targets[:, 0], strict=True)
    )


def test_each_position_is_taught_what_came_next():
    school, table = lessons(max_len=10)
    taught = pairs(school.epoch(0))
    places = [place for place, _ in taught]
    assert [table["row"][place + 1] for place in places] == [target for _, target in taught]
    assert places == [0, 1, 2, 3, 5, 8, 9, 10, 11, 12, 13]


def test_only_the_newest_events_are_read_and_sliding_reads_all():
    newest, _ = lessons(max_len=4)
    assert [place for place, _ in pairs(newest.epoch(0))] == [0, 1, 2, 3, 5, 10, 11, 12, 13]
    every, _ = lessons(max_len=4, augment=Augment(windows="sliding"))
    assert [place for place, _ in pairs(every.epoch(0))] == [0, 1, 2, 3, 5, 8, 9, 10, 11, 12, 13]


def test_inputs_are_the_events_at_their_places():
    school, table = lessons(max_len=10)
    for batch in school.epoch(0):
        real = batch.events.real
        np.testing.assert_array_equal(batch.events.rows[real], table["row"][batch.places])
        np.testing.assert_array_equal(batch.events.surface["action"][real], table["action"][batch.places])
        assert not batch.events.rows[~real].any()
        np.testing.assert_array_equal(batch.events.last, real.sum(1) - 1)
        np.testing.assert_array_equal(batch.next_action, table["action"][batch.places + 1])


def test_an_epoch_repeats_with_its_number_and_differs_from_others():
    school, _ = lessons(max_len=3, augment=Augment(windows="random", crop=0.5, reorder=0.5))
    one, again, other = (
        [batch.events.rows.tolist() for batch in school.epoch(number)] for number in (1, 1, 2)
    )
    assert one == again
    assert one != other
    assert len(one) == school.steps


def test_several_next_items_share_one_target():
    school, table = lessons(max_len=10, ahead=3)
    for batch in school.epoch(0):
        torch.testing.assert_close(batch.shares.sum(1), torch.ones(len(batch.shares)))
        for place, user, targets, shares in zip(
            batch.places, batch.users, batch.targets, batch.shares, strict=True
        ):
            left = int(table.offsets[user + 1]) - place - 1
            assert (shares > 0).sum() == min(3, left)
            expected = table["row"][place + 1 : place + 1 + min(3, left)]
            np.testing.assert_array_equal(targets[: len(expected)], expected)


def test_gaps_are_those_between_events_and_to_the_next():
    school, table = lessons(max_len=10, clock="query")
    seconds = table["second"]
    for batch in school.epoch(0):
        real = batch.events.real
        after = time_bucket(seconds[batch.places + 1] - seconds[batch.places])
        np.testing.assert_array_equal(batch.events.surface["next_gap"][real], after)
        first = np.isin(batch.places, table.offsets[:-1])
        assert (batch.events.surface["gap"][real][torch.from_numpy(first)] == 1).all()
        B, L = real.shape
        assert batch.events.buckets.shape == (B, L, L)
        assert batch.events.buckets.max() < TIME_BUCKETS


def test_without_the_time_of_asking_only_the_past_is_read():
    hidden, _ = lessons(max_len=10, clock="query", hide=0.999999)
    past, _ = lessons(max_len=10, clock="last")
    for blind in hidden.epoch(0):
        assert not blind.events.surface["next_gap"][blind.events.real].any()
    for plain in past.epoch(0):
        assert "next_gap" not in plain.events.surface
        diagonal = plain.events.buckets.diagonal(dim1=1, dim2=2)[plain.events.real]
        assert (diagonal == 1).all()


def test_order_reads_no_times():
    school, _ = lessons(clock="order")
    batch = next(iter(school.epoch(0)))
    assert batch.events.buckets is None
    assert set(batch.events.surface) == {"action"}
    bare, _ = lessons(clock="order", surface=False)
    assert next(iter(bare.epoch(0))).events.surface == {}


def test_pieces_of_a_lesson_are_the_lesson():
    school, _ = lessons(max_len=10, clock="query", batch_size=40)
    for batch in school.epoch(0):
        pieces = batch.split(2)
        assert sum(share for _, share in pieces) == pytest.approx(1)
        np.testing.assert_array_equal(np.concatenate([piece.places for piece, _ in pieces]), batch.places)
        for piece, share in pieces:
            assert share == pytest.approx(len(piece.places) / len(batch.places))
            assert int(piece.events.real.sum()) == len(piece.targets)


def test_a_question_is_read_like_a_lesson():
    """What a query at the target's time reads is what training read at that place."""
    known = data()
    reader = Reader.of(known, 10, "query", surface=True)
    rows = Rows(np.arange(5))
    table = reader.table(known.histories, rows)
    school = Lessons(reader, table, Syllabus(batch_size=8, seed=3), CPU)
    short = known.histories.where(np.arange(len(table["row"])) != 14)
    asked = Queries.of_histories(short.take(np.array([3])), 5)
    asked = replace(asked, at=np.array([TIMES[3][-1]], np.int64))
    question = reader.table(asked.history, rows)
    events = reader.ask(question, asked, np.array([0]), question.lengths, CPU)
    for batch in school.epoch(0):
        for row in range(len(batch.events.last)):
            if int(batch.events.last[row]) == 5:
                torch.testing.assert_close(batch.events.rows[row, :6], events.rows[0])
                torch.testing.assert_close(batch.events.buckets[row, :6, :6], events.buckets[0])
                for name, codes in events.surface.items():
                    torch.testing.assert_close(batch.events.surface[name][row, :6], codes[0])
                return
    raise AssertionError("the long history was not taught")


def test_buckets_rise_with_time():
    buckets = time_bucket(np.array([-5, 0, 1, 2, 60, 3600, 86_400, 10**12]))
    assert buckets[0] == buckets[1] == 1
    assert (np.diff(buckets[1:]) > 0).all()
    assert buckets[-1] == TIME_BUCKETS - 1


def test_unknown_kinds_and_values_are_read_as_known_ones():
    reader = Reader.of(data(), 4, "order", surface=True)
    history = history_of([[0, 1]])
    odd = {
        **history.columns,
        "action": np.array([7, -1], np.int16),
        "value": np.array([np.nan, 9], np.float32),
    }
    table = reader.table(RaggedTable(history.offsets, odd), Rows(np.arange(5)))
    assert table["action"].max() < reader.actions
    assert table["action"].min() >= 0
    assert table["value"].max() < len(reader.edges)
