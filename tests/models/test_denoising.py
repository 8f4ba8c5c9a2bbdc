import numpy as np
import torch

from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.models.denoising import Denoising
from polyscene.testing.worlds import noise


def test_scores_are_one_layer_and_back():
    part = Denoising(dim=6, epochs=3, batch_size=16).fit(noise(), Run())
    tensors = {name: torch.from_numpy(value) for name, value in part.state().tensors.items()}
    row = part.rows.of(np.array([3, 5]))
    code = torch.tanh(tensors["inputs.vectors"][row].sum(0) / 2**0.5 + tensors["inputs.bias"])
    expected = code @ tensors["outputs.vectors"].T + tensors["outputs.bias"]
    found = part.score_all(Queries.of_histories(history_of([[5, 3]]), 30))[0, part.rows.codes]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_what_is_hidden_must_be_told_from_what_is_left():
    # Pairs that always come together: only who saw one without the other learns that it calls for it.
    data = noise(users=12)
    data = type(data)(data.users, history_of([[0, 1], [2, 3], [4, 5]] * 4), data.catalogue, data.at)
    settings = {"dim": 6, "epochs": 200, "batch_size": 12, "learning_rate": 0.02, "l2": 0.0}
    queries = Queries.of_histories(history_of([[0], [3], [4]]), 30)

    def own_and_other(corrupt):
        part = Denoising(**settings, corrupt=corrupt).fit(data, Run(seed=2))
        scores = part.score_all(queries)[:, :6]
        return scores[[0, 1, 2], [0, 3, 4]], scores[[0, 1, 2], [1, 2, 5]]

    own, other = own_and_other(0.5)
    np.testing.assert_allclose(own, other, atol=0.3)
