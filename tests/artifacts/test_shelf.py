import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from polyscene.artifacts.bundle import Facts
from polyscene.artifacts.shelf import STALE_S, Shelf
from polyscene.core.clock import FixedClock
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError, ConflictError, InputError, NotFoundError

START = 1_700_000_000_000


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path / "bundles", FixedClock(START))


def add(shelf, number, name="home", **fields):
    state = State({"number": np.array([number])})
    return shelf.add(name, state, Facts(kind="test", created=START + number, **fields))


def test_an_empty_shelf(shelf):
    assert shelf.names() == []
    assert list(shelf.list("home")) == []
    assert shelf.current("home") is None
    assert list(shelf.history("home")) == []
    assert shelf.collect("home", keep=1) == []
    with pytest.raises(NotFoundError, match="'home': nothing to roll back to"):
        shelf.roll_back("home")
    with pytest.raises(NotFoundError, match="no bundle 'x'; none is there: train the scenario first"):
        shelf.promote("home", "x")


def test_an_added_bundle_serves_nobody_until_it_is_promoted(shelf):
    first = add(shelf, 1)
    assert first.startswith("20231114T221320001-")
    assert shelf.names() == ["home"]
    assert shelf.current("home") is None
    shelf.promote("home", first)
    assert shelf.current("home") == first
    manifest, state = shelf.read("home", first)
    assert manifest.parent is None
    assert state.tensors["number"].tolist() == [1]
    second = add(shelf, 2)
    assert shelf.read("home", second)[0].parent == first
    assert shelf.current("home") == first
    assert [each.id for each in shelf.list("home")] == [second, first]


def test_the_same_bundle_twice_is_one(shelf):
    assert add(shelf, 1) == add(shelf, 1)
    assert len(shelf.list("home")) == 1


def test_rolling_back_walks_the_promotions_backwards(shelf):
    ids = [add(shelf, number) for number in range(3)]
    for bundle in (ids[0], ids[2], ids[2], ids[1]):
        shelf.promote("home", bundle)
    assert shelf.roll_back("home") == ids[2]
    assert shelf.roll_back("home") == shelf.current("home") == ids[0]
    with pytest.raises(NotFoundError, match="nothing to roll back to"):
        shelf.roll_back("home")
    steps = [(each.action, each.bundle, each.instead_of) for each in shelf.history("home")]
    assert steps == [
        ("promote", ids[0], None),
        ("promote", ids[2], ids[0]),
        ("promote", ids[1], ids[2]),
        ("roll_back", ids[2], ids[1]),
        ("roll_back", ids[0], ids[2]),
    ]


def test_scenarios_do_not_touch_each_other(shelf):
    home, cart = add(shelf, 1, "home"), add(shelf, 1, "cart")
    shelf.promote("home", home)
    assert shelf.names() == ["cart", "home"]
    assert shelf.current("cart") is None
    assert [each.id for each in shelf.list("cart")] == [cart]


def test_collecting_spares_the_current_one_its_parent_and_the_way_back(shelf):
    ids = [add(shelf, number) for number in range(3)]
    shelf.promote("home", ids[0])
    shelf.promote("home", ids[2])
    child = add(shelf, 3, parent=ids[1])
    shelf.promote("home", child)
    ids += [child, *(add(shelf, number) for number in range(4, 8))]
    assert shelf.collect("home", keep=1) == [ids[0], *ids[4:7]]
    assert [each.id for each in shelf.list("home")] == [ids[7], ids[3], ids[2], ids[1]]
    assert shelf.collect("home", keep=0) == [ids[7]]
    assert shelf.roll_back("home") == ids[2]


def test_collecting_clears_the_leftovers_of_dead_processes(shelf):
    add(shelf, 1)
    fresh, stale = shelf.root / "home" / ".tmp-fresh", shelf.root / "home" / ".tmp-stale"
    for folder in (fresh, stale):
        folder.mkdir()
        (folder / "tensors.safetensors").write_text("half")
    old = time.time() - STALE_S - 5
    os.utime(stale, (old, old))
    assert shelf.collect("home", keep=5) == []
    assert fresh.exists()
    assert not stale.exists()
    assert len(shelf.list("home")) == 1


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "-x", "ä", "a\0", "a" * 101, "a b"]
)
def test_no_name_leads_out_of_the_root(shelf, name):
    for act in (
        lambda: add(shelf, 1, name),
        lambda: shelf.current(name),
        lambda: shelf.list(name),
        lambda: shelf.promote("home", name),
        lambda: shelf.read("home", name),
        lambda: shelf.collect(name, keep=1),
    ):
        with pytest.raises(InputError, match=r"expected 1 to 100 letters"):
            act()
    assert not shelf.root.exists()


def test_an_unknown_bundle_names_the_nearest(shelf):
    known = add(shelf, 1)
    with pytest.raises(NotFoundError, match=f"did you mean '{known}'"):
        shelf.promote("home", known[:-1] + "x")


@pytest.mark.fault
def test_a_damaged_bundle_is_not_promoted_and_the_old_one_stays(shelf):
    first, second = add(shelf, 1), add(shelf, 2)
    shelf.promote("home", first)
    (shelf.root / "home" / second / "tensors.safetensors").write_bytes(b"")
    with pytest.raises(BundleError, match=r"tensors\.safetensors: expected \d+ bytes, found 0"):
        shelf.promote("home", second)
    assert shelf.current("home") == first
    assert len(shelf.history("home")) == 1


@pytest.mark.fault
def test_a_renamed_bundle_says_what_it_is(shelf):
    first = add(shelf, 1)
    (shelf.root / "home" / first).rename(shelf.root / "home" / "other")
    with pytest.raises(BundleError, match=f"is in truth {first}"):
        shelf.promote("home", "other")


@pytest.mark.fault
def test_a_damaged_pointer_is_named(shelf):
    shelf.promote("home", add(shelf, 1))
    (shelf.root / "home" / "current").write_text("{")
    with pytest.raises(BundleError, match=r"home/current: not readable .*promote a bundle again"):
        shelf.current("home")


def test_promoting_and_rolling_back_compare_before_they_set(shelf):
    first, second = add(shelf, 1), add(shelf, 2)
    shelf.promote("home", first)
    with pytest.raises(ConflictError, match=f"'{first}' is current, not '{second}'"):
        shelf.promote("home", second, instead_of=second)
    shelf.promote("home", second, instead_of=first, forced="errors: 3 of 3")
    with pytest.raises(ConflictError, match="look again"):
        shelf.roll_back("home", instead_of=first)
    assert shelf.current("home") == second
    assert shelf.roll_back("home", instead_of=second) == first
    assert [each.forced for each in shelf.history("home")] == ["", "errors: 3 of 3", ""]


def test_of_many_that_promote_at_once_instead_of_the_same_one_wins(shelf):
    first, *others = [add(shelf, number) for number in range(5)]
    shelf.promote("home", first)

    def promote(bundle):
        try:
            shelf.promote("home", bundle, instead_of=first)
        except ConflictError:
            return None
        return bundle

    with ThreadPoolExecutor(4) as pool:
        won = [each for each in pool.map(promote, others) if each]
    assert won == [shelf.current("home")]
    assert len(shelf.history("home")) == 2


def test_rolling_back_what_never_was_leaves_no_trace(shelf):
    with pytest.raises(NotFoundError, match="nothing to roll back to"):
        shelf.roll_back("nowhere")
    assert shelf.names() == []
