import json

import pytest
import torch

from polyscene.core.contracts import Run, Training
from polyscene.core.errors import StoreError
from polyscene.nn.profile import SKIPPED, TRACED, WARM

from .training import Net, fit, weights


def traced(folder, **settings):
    net = Net()
    fit(net, Run(training=Training(profile=folder)), **settings)
    return net


def test_a_trace_and_a_table_come_of_the_steps_after_warm_up(tmp_path):
    plain, epochs = Net(), (SKIPPED + WARM + TRACED) // 5 + 3
    fit(plain, epochs=epochs)
    assert torch.equal(weights(plain), weights(traced(tmp_path / "new", epochs=epochs)))
    trace = json.loads((tmp_path / "new" / "line.trace.json").read_text())
    steps = {
        each["name"] for each in trace["traceEvents"] if str(each.get("name")).startswith("ProfilerStep")
    }
    assert steps == {f"ProfilerStep#{number}" for number in range(SKIPPED + WARM, SKIPPED + WARM + TRACED)}
    table = (tmp_path / "new" / "line.txt").read_text()
    assert "aten::addmm" in table
    assert "Self CPU" in table


def test_a_short_training_is_traced_as_far_as_it_goes(tmp_path):
    traced(tmp_path, epochs=1)
    assert "aten::addmm" in (tmp_path / "line.txt").read_text()


def test_a_folder_that_can_not_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="make a folder for the profile"):
        traced(tmp_path / "file" / "below")
