"""Logistic regression over coded fields and numbers."""

import torch

from polyscene.nn.fields import Plan, Wide
from polyscene.rank.interaction import Interaction


class Logistic(Interaction, frozen=True, kw_only=True, tag="logistic"):
    """A weight for each word and number; no field knows of another.

    Source: Richardson, Dominowska and Ragno 2007, "Predicting clicks"; by Adam, as the others.
    """

    def network(self, plan: Plan, chance: torch.Generator) -> Wide:
        """The linear part alone."""
        return Wide(plan, chance)
