import json
from dataclasses import replace
from typing import get_args

import pytest
import torch

from polyscene.artifacts.files import TEMPORARY
from polyscene.core.contracts import Run, Training
from polyscene.core.errors import BundleError
from polyscene.models.sasrec import SasRec
from polyscene.nn.checkpoint import STATE, forget, identity
from polyscene.nn.course import OptimiserKind
from polyscene.testing.worlds import noise

from .training import KilledError, Net, Points, fit, keeping, weights


def scored():
    """Validation scores that rise, fall and rise."""
    scores = iter([0.1, 0.5, 0.3, 0.2, 0.6, 0.4])
    return lambda: next(scores)


@pytest.mark.parametrize("stop", [1, 4, 5, 6, 17, 29])
def test_a_broken_training_ends_as_a_whole_one(tmp_path, stop):
    whole, broken = Net(), Net()
    expected = fit(whole, validate=lambda: -weights(whole).norm().item(), patience=99)
    net = Net()
    with pytest.raises(KilledError):
        fit(net, keeping(tmp_path, stop=stop), validate=lambda: -weights(net).norm().item(), patience=99)
    run = keeping(tmp_path)
    outcome = fit(broken, run, validate=lambda: -weights(broken).norm().item(), patience=99)
    assert outcome == expected
    assert torch.equal(weights(whole), weights(broken))
    # The bar that stops comes before the checkpoint of its step.
    went_on = [line for line in run.warnings if f"went on from step {stop - 1} of 30" in line]
    assert bool(went_on) == (stop > 1)


@pytest.mark.parametrize("optimiser", get_args(OptimiserKind))
def test_every_optimiser_goes_on_with_its_moments(tmp_path, optimiser):
    whole, broken = Net(), Net()
    expected = fit(whole, optimiser=optimiser)
    with pytest.raises(KilledError):
        fit(Net(), keeping(tmp_path, stop=9), optimiser=optimiser)
    assert fit(broken, keeping(tmp_path), optimiser=optimiser) == expected
    assert torch.equal(weights(whole), weights(broken))


def test_without_the_generators_it_would_not(tmp_path):
    whole, broken = Net(), Net()
    fit(whole)
    for net, stop in ((Net(), 7), (broken, None)):
        hidden = net.drop.chance
        net.drop.chance = None
        net.drop = Hidden(net.drop, hidden)
        if stop:
            with pytest.raises(KilledError):
                fit(net, keeping(tmp_path, stop=stop))
        else:
            fit(net, keeping(tmp_path))
    assert not torch.equal(weights(whole), weights(broken))


class Hidden(torch.nn.Module):
    """Dropout whose generator nobody finds."""

    def __init__(self, drop, chance):
        super().__init__()
        self.drop, self.hidden = drop, [chance]

    def forward(self, x):
        self.drop.chance = self.hidden[0]
        dropped = self.drop(x)
        self.drop.chance = None
        return dropped


def test_a_finished_training_is_not_made_again(tmp_path):
    first, again = Net(), Net()
    validate = scored()
    expected = fit(first, keeping(tmp_path), validate=validate, patience=99)
    assert fit(again, keeping(tmp_path), validate=validate, patience=99) == expected
    assert torch.equal(weights(first), weights(again))
    with pytest.raises(StopIteration):
        validate()


def test_patience_goes_on_too(tmp_path):
    def stop_late():
        scores = iter([0.5, 0.4, 0.3, 0.2])
        return lambda: next(scores)

    whole, net, broken = Net(), Net(), Net()
    expected = fit(whole, validate=stop_late(), patience=3)
    assert expected.epochs == 4
    scores = stop_late()
    with pytest.raises(KilledError):
        fit(net, keeping(tmp_path, stop=13), validate=scores, patience=3)
    assert fit(broken, keeping(tmp_path), validate=scores, patience=3) == expected
    assert torch.equal(weights(whole), weights(broken))


def test_another_training_begins_anew_and_says_what_differs(tmp_path):
    with pytest.raises(KilledError):
        fit(Net(), keeping(tmp_path, stop=9))
    run, net, plain = keeping(tmp_path), Net(), Net()
    fit(net, run, learning_rate=0.02, epochs=5)
    (told,) = run.warnings
    assert told.startswith("line: began anew, for the checkpoint in ")
    assert told.endswith(
        "differs in epochs, learning_rate, steps; delete that folder if it is of no more use"
    )
    fit(plain, learning_rate=0.02, epochs=5)
    assert torch.equal(weights(net), weights(plain))
    assert len(list(tmp_path.glob(f"*/{STATE}"))) == 2


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 3}, "seed"), ({"net": Net(seed=1)}, "start"), ({"net": Net(width=4)}, "shapes, start")],
)
def test_seed_start_and_shapes_must_be_equal(tmp_path, change, named):
    with pytest.raises(KilledError):
        fit(Net(), keeping(tmp_path, stop=9))
    run = keeping(tmp_path, seed=change.get("seed", 0))
    fit(change.get("net", Net()), run)
    assert f"differs in {named};" in run.warnings[0]


def test_a_damaged_checkpoint_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(KilledError):
        fit(Net(), keeping(tmp_path, stop=9))
    (path,) = tmp_path.glob(f"*/{STATE}")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=rf"changed after it was written .*; delete {path.parent} to"):
        fit(Net(), keeping(tmp_path))
    path.write_bytes(content[:50])
    with pytest.raises(BundleError, match=r"no readable checkpoint: .*; delete .* to begin anew"):
        fit(Net(), keeping(tmp_path))


def test_half_written_files_are_swept_and_read_by_nobody(tmp_path):
    with pytest.raises(KilledError):
        fit(Net(), keeping(tmp_path, stop=9))
    (path,) = tmp_path.glob(f"*/{STATE}")
    torn = path.with_name(f"{TEMPORARY}torn")
    torn.write_bytes(b"half")
    fit(Net(), keeping(tmp_path))
    assert not torn.exists()


def test_a_disk_that_refuses_costs_the_checkpoint_only(tmp_path):
    whole, net, run = Net(), Net(), keeping(tmp_path)
    fit(whole, validate=lambda: 0.0, patience=99)

    def blocking():
        (folder,) = tmp_path.iterdir()
        if not (folder / STATE).is_dir():
            (folder / STATE).unlink()
            (folder / STATE).mkdir()
        return 0.0

    fit(net, run, validate=blocking, patience=99)
    assert torch.equal(weights(whole), weights(net))
    (told,) = run.warnings
    assert "write the checkpoint: " in told
    assert told.endswith("check free space and permissions")


def test_a_training_that_does_not_say_what_it_learns_from_keeps_none(tmp_path):
    run = keeping(tmp_path)
    fit(Net(), run, identity="")
    assert run.warnings == ["line: does not say what it learns from, so no checkpoint is kept"]
    assert not list(tmp_path.iterdir())


def test_how_often_it_is_written_is_as_asked(tmp_path):
    seldom = Run(
        training=Training(checkpoint=tmp_path, checkpoint_s=1e9), progress=keeping(None, stop=9).progress
    )
    with pytest.raises(KilledError):
        fit(Net(), seldom)
    assert not list(tmp_path.glob(f"*/{STATE}"))


def test_forgetting_leaves_the_curve(tmp_path):
    fit(Net(), keeping(tmp_path), validate=lambda: 1.0)
    (folder,) = tmp_path.iterdir()
    forget(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["curve.jsonl"]


def test_identity_sees_config_events_and_items():
    data, config = noise(), SasRec(dim=8)
    ours = identity(config, data)
    assert ours == identity(SasRec(dim=8), noise())
    item = data.histories["item"].copy()
    item[-1] = (item[-1] + 1) % 5
    histories = replace(data.histories, columns={**data.histories.columns, "item": item})
    catalogue = replace(data.catalogue, put_at=data.catalogue.put_at + 1)
    others = [
        identity(SasRec(dim=16), data),
        identity(config, replace(data, histories=histories)),
        identity(config, replace(data, catalogue=catalogue)),
        identity(config, replace(data, at=data.at + 1)),
    ]
    assert len({ours, *others}) == 5


def test_a_model_goes_on_too(tmp_path):
    config = SasRec(dim=8, layers=1, max_len=8, batch_size=32, epochs=2)
    whole = config.fit(noise(), Run(threads=1))
    with pytest.raises(KilledError):
        config.fit(noise(), keeping(tmp_path, stop=7, threads=1))
    broken = config.fit(noise(), keeping(tmp_path, threads=1))
    for name, tensor in whole.state().tensors.items():
        assert (tensor == broken.state().tensors[name]).all(), name


def test_the_curve_is_cut_where_the_checkpoint_stands(tmp_path):
    with pytest.raises(KilledError):
        fit(Net(), keeping(tmp_path, stop=14), validate=lambda: 0.5, patience=99)
    (path,) = tmp_path.glob("*/curve.jsonl")
    with path.open("a") as file:
        file.write('{"step": 14, "epoch": 3, "loss": 9.0}\n{"step": 1')
    fit(Net(), keeping(tmp_path), validate=lambda: 0.5, patience=99)
    points = [json.loads(line) for line in path.read_text().splitlines()]
    assert [each["step"] for each in points if "score" in each] == [5, 10, 15, 20, 25, 30]
    assert not any(each.get("loss") == 9.0 for each in points)


def test_a_larger_batch_source_is_another_training(tmp_path):
    with pytest.raises(KilledError):
        fit(Net(), keeping(tmp_path, stop=9))
    run = keeping(tmp_path)
    fit(Net(), run, points=Points(steps=6))
    assert "differs in steps;" in run.warnings[0]
