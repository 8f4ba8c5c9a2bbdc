"""Polyscene from Python: frames in, answers out, a folder that everything else opens."""

import pandas as pd
import polars as pl
import pytest

import polyscene
from polyscene.core.errors import ConfigError, DataError, InputError
from polyscene.jobs.workspace import Workspace

ROWS = [
    {"user": f"u{user}", "item": f"i{(user + step) % 8}", "time": step}
    for user in range(16)
    for step in range(4)
]


@pytest.mark.parametrize("frame", [pl.DataFrame, pd.DataFrame])
def test_train_recommend_save_load(frame, tmp_path):
    items = frame(
        [{"item": f"i{number}", "title": f"Title {number}", "year": 2000 + number} for number in range(8)]
    )
    with polyscene.train(frame(ROWS), items, model="covisit", window=1, last=1) as model:
        answer = model.recommend(history=["i0", "i1"], k=3)
        assert answer.items[0].id == "i2"
        narrow = model.recommend(history=["i0", "i1"], k=3, filter="year >= 2005")
        assert {shown.id for shown in narrow.items} == {"i5", "i6", "i7"}
        model.save(tmp_path / "shop")
    with polyscene.load(tmp_path / "shop") as again:
        assert [shown.id for shown in again.recommend(history=["i0", "i1"], k=3).items] == [
            shown.id for shown in answer.items
        ]
        assert again.recommend("u0", k=1).items[0].id == "i4"
    assert Workspace.open(tmp_path / "shop").scenarios().keys() == {"main"}


def test_what_is_wrong_is_said_before_anything_is_made(tmp_path):
    frame = pl.DataFrame(ROWS)
    with pytest.raises(ConfigError, match="did you mean 'covisit'"):
        polyscene.train(frame, model="covisitt")
    with pytest.raises(ConfigError, match="did you mean 'window'"):
        polyscene.train(frame, model="covisit", windo=1)
    with pytest.raises(DataError, match="item"):
        polyscene.train(frame.drop("item"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with polyscene.train(frame, model="popular") as model, pytest.raises(InputError, match="not empty"):
        model.save(tmp_path / "full")


def test_the_front_door_has_no_other_names():
    assert sorted(polyscene.__all__) == ["Recommender", "__version__", "ingest", "load", "train"]
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        polyscene.trian  # noqa: B018


def test_frames_go_into_a_workspace_and_once_only(tmp_path):
    frames = {
        "events": pl.DataFrame(
            {"who": ["u", "v"], "item": ["a", "b"], "time": [1_700_000_000, 1_700_000_060]}
        ),
        "items": pl.DataFrame({"item": ["a", "b"], "title": ["A", "B"]}),
        "edges": pl.DataFrame({"source": ["u"], "target": ["v"]}),
    }
    mapping = {"user": "who"}
    assert polyscene.ingest(frames, tmp_path / "shop", mapping=mapping).accepted == 5
    again = polyscene.ingest(frames["events"], tmp_path / "shop", mapping=mapping)
    assert (again.accepted, again.duplicates) == (0, 2)
    with pytest.raises(DataError, match=r"got frames \['item'\], expected events"):
        polyscene.ingest({"item": frames["items"]}, tmp_path / "shop")
