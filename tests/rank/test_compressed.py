"""A compressed model answers nearly as the whole one, in its lean form or from floats."""

import numpy as np
import pytest

from polyscene.core.config import read, to_json
from polyscene.core.contracts import Embeds, Run, State
from polyscene.core.errors import BundleError, ConfigError
from polyscene.lean.model import LeanModel
from polyscene.models.table import KINDS
from polyscene.testing import worlds

TINY = {"dim": 16, "layers": 1, "epochs": 3, "max_len": 12, "batch_size": 128, "learning_rate": 0.02}
MODELS = {
    "foundation": {"kind": "foundation", **TINY},
    "sasrec": {"kind": "sasrec", **TINY},
    "mult_vae": {"kind": "mult_vae", "dim": 8, "hidden": 16, "epochs": 3, "batch_size": 40},
    "ials": {"kind": "ials", "dim": 8},
    "ease": {"kind": "ease"},
}


def compressed(kind, *methods):
    plan = {"kind": "compressed", "of": MODELS[kind], "methods": list(methods)}
    config = read(KINDS, plan, "test")
    assert read(KINDS, to_json(config), "test") == config
    return config


@pytest.mark.parametrize("kind", MODELS)
def test_it_ranks_nearly_as_the_whole_model_does(kind):
    world = worlds.checkerboard()
    config = compressed(kind, {"kind": "int8"})
    whole = config.of.fit(world.data, Run())
    small = config.shrink(whole, world.data, Run())
    assert isinstance(small, LeanModel) == (kind in ("foundation", "sasrec"))
    assert isinstance(small, Embeds) == (kind in ("mult_vae", "ials"))
    ours, theirs = small.score_all(world.queries), whole.score_all(world.queries)
    np.testing.assert_allclose(ours, theirs, atol=0.05 * np.ptp(theirs))
    again = config.load(small.state(), Run())
    np.testing.assert_array_equal(again.score_all(world.queries), ours)


def test_a_thinned_lean_form_is_what_its_tensors_say():
    world = worlds.checkerboard()
    config = compressed("foundation", {"kind": "prune_links", "keep": 3})
    whole = config.of.fit(world.data, Run())
    small = config.shrink(whole, world.data, Run())
    tensors = small.state().tensors
    assert "evidence.ease" not in tensors
    dense = np.zeros((len(small.rows), len(small.rows)), np.float32)
    np.put_along_axis(
        dense, tensors["evidence.ease:columns"].astype(int), tensors["evidence.ease:values"], 1
    )
    others = {name: each for name, each in tensors.items() if not name.startswith("evidence.ease")}
    twin = LeanModel.of(State({**others, "evidence.ease": dense}, small.state().meta))
    np.testing.assert_allclose(
        small.score_all(world.queries), twin.score_all(world.queries), rtol=1e-4, atol=1e-5
    )


def test_a_student_takes_the_place_of_its_teacher():
    world = worlds.chain()
    settings = {"dim": 8, "heads": 1, "evidence.ease_links": 2}
    config = compressed("foundation", {"kind": "distil", "set": settings}, {"kind": "int8"})
    part = config.fit(world.data, Run())
    assert part.backbone.width == config.small.dim == 8
    assert part.evidence.ease.columns.shape[1] == 2


def test_what_makes_no_sense_is_refused():
    tiny = worlds.checkerboard().data
    with pytest.raises(ConfigError, match="there is no method"):
        compressed("ease")
    with pytest.raises(ConfigError, match="'distil' makes a new model, so it comes first"):
        compressed("foundation", {"kind": "int8"}, {"kind": "distil", "set": {}})
    with pytest.raises(ConfigError, match="unknown key 'dims'; did you mean 'dim'"):
        compressed("foundation", {"kind": "distil", "set": {"dims": 3}}).fit(tiny, Run())
    with pytest.raises(ConfigError, match="distil: 'ease' can't learn from another model"):
        compressed("ease", {"kind": "distil", "set": {}}).fit(tiny, Run())
    part = compressed("ease", {"kind": "int8"}).of.fit(tiny, Run())
    with pytest.raises(ConfigError, match="distil: wants the data"):
        compressed("foundation", {"kind": "distil", "set": {}}).shrink(part, None, Run())
    small = compressed("ease", {"kind": "int8"}).fit(tiny, Run()).state()
    broken = {name: each for name, each in small.tensors.items() if name.endswith(":scale")}
    with pytest.raises(BundleError, match="missing or wrong; compress the model again"):
        compressed("ease", {"kind": "int8"}).load(State(broken, small.meta), Run())
