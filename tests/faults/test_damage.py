"""Two hundred bytes flipped and files cut at random places: refused by name, or as good as before."""

import random
import shutil

import pytest

from polyscene.artifacts.shelf import Shelf
from polyscene.core.errors import BundleError, StoreError
from polyscene.events.event import EdgePut, Event, Exposure, ItemPut, Merge, UserPut
from polyscene.events.reading import SqliteReader
from polyscene.events.sqlite import SqliteLog
from polyscene.testing.service import tiny_workspace

SITES = 200
pytestmark = pytest.mark.fault


def fill(log):
    log.append([ItemPut(id=f"i{n}", time=n, attributes={"title": f"title {n}"}) for n in range(30)])
    for start in range(0, 300, 20):
        log.append(
            [
                Event(
                    id=f"e{n}",
                    user=f"u{n % 7}",
                    item=f"i{n % 30}",
                    time=n,
                    value=n / 4,
                    scenario="home" if n % 2 else "",
                    attributes={"note": f"n{n}"} if n % 5 == 0 else {},
                )
                for n in range(start, start + 20)
            ]
        )
        slate = {"items": [f"i{start % 30}"], "scores": [1.0], "propensities": [0.5]}
        log.append_exposure(
            Exposure(
                request_id=f"r{start}", scenario="s", bundle="b", time=1, seed=0, log_position=1, **slate
            )
        )
        log.append(
            [
                EdgePut(source=f"u{start}", relation="knows", target="u1", time=1),
                UserPut(id="u2", time=start),
            ]
        )
        log.flush()
    log.append([Merge(source="u5", target="u6", time=1)])


def said(log):
    """Everything a log answers, by table and by index."""
    return {
        "records": log.read(),
        "columns": [column.tolist() for column in vars_of(log.columns())],
        "names": [
            log.user_ids(),
            log.item_ids(),
            log.action_names(),
            log.scenario_names(),
            log.kind_names(),
        ],
        "tails": [log.user_tail(f"u{n}", 100) for n in range(7)],
        "days": [log.item_days(f"i{n}") for n in range(30)],
        "slates": log.exposures(),
        "related": [log.edges(), log.edges(target="u1"), log.merges(), log.user_puts("u2")],
    }


def vars_of(columns):
    return [getattr(columns, name) for name in columns.__slots__]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A closed log, one as a killed writer leaves it, and fitted bundles; with what the log says."""
    folder = tmp_path_factory.mktemp("good")
    with SqliteLog(folder / "closed.db") as log:
        fill(log)
        whole = said(log)
        for suffix in ("", "-wal"):
            shutil.copy(folder / f"closed.db{suffix}", folder / f"killed.db{suffix}")
    tiny_workspace(folder / "w")
    return folder, whole


def harm(path, chance):
    raw = bytearray(path.read_bytes())
    place = chance.randrange(len(raw))
    if chance.random() < 0.15:
        raw = raw[:place]
    else:
        for each in range(place, min(place + chance.choice([1, 1, 2, 64]), len(raw))):
            raw[each] ^= chance.randrange(1, 256)
    path.write_bytes(raw)


def answers_of(log):
    with log:
        return said(log)


def attempt(work):
    """What `work` gives, or the text of its refusal."""
    try:
        return work()
    except (BundleError, StoreError) as problem:
        return str(problem)


def test_no_site_of_damage_makes_a_log_answer_wrongly(good, tmp_path):
    folder, whole = good
    chance, outcomes = random.Random(23), {"refused": 0, "as before": 0, "cut": 0}
    for site in range(SITES * 3 // 4):
        here = tmp_path / f"{site}"
        here.mkdir()
        kind, hurt = chance.choice([("closed.db", ""), ("killed.db", ""), ("killed.db", "-wal")])
        for file in folder.glob(f"{kind}*"):
            shutil.copy(file, here / file.name)
        harm(here / f"{kind}{hurt}", chance)
        opener = SqliteReader if kind == "closed.db" and site % 2 else SqliteLog
        found = attempt(lambda path=here / kind, opener=opener: answers_of(opener(path)))
        if isinstance(found, str):
            assert kind in found
            outcomes["refused"] += 1
        elif found == whole:
            outcomes["as before"] += 1
        else:
            # a damaged write-ahead log: whole commits from its start are there, nothing else
            assert hurt == "-wal"
            assert found["records"] == whole["records"][: len(found["records"])]
            outcomes["cut"] += 1
    assert min(outcomes.values()) > 5


def test_no_site_of_damage_makes_a_bundle_load_wrongly(good, tmp_path):
    folder, _ = good
    chance, refused = random.Random(29), 0
    shelf = Shelf(folder / "w" / "bundles")
    bundles = {name: (shelf.current(name), shelf.read(name, shelf.current(name))) for name in shelf.names()}
    for site in range(SITES // 4):
        root = tmp_path / f"{site}"
        shutil.copytree(folder / "w" / "bundles", root)
        name = chance.choice(sorted(bundles))
        bundle, (manifest, state) = bundles[name]
        path = chance.choice(sorted(each for each in (root / name / bundle).rglob("*") if each.is_file()))
        harm(path, chance)
        found = attempt(lambda root=root, name=name, bundle=bundle: Shelf(root).read(name, bundle))
        if isinstance(found, str):
            assert bundle in found
            refused += 1
            continue
        again, tensors = found
        assert (again, tensors.meta) == (manifest, state.meta)
        assert tensors.tensors.keys() == state.tensors.keys()
        assert all((tensors.tensors[key] == held).all() for key, held in state.tensors.items())
    assert refused > SITES // 8
