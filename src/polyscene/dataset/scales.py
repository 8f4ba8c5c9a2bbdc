"""What only all events together tell of their values: whether they are ratings, on which scale."""

import msgspec
import polars as pl

from polyscene.dataset.schema import fold

SCALES = ((0.0, 5.0), (0.0, 10.0), (0.0, 100.0), (-10.0, 10.0))
"""Rating scales that can be detected, narrowest first."""
SCALE_SHARE = 0.995
RATINGS = ("rating", "ratings", "stars", "overall")


class ValueFacts(msgspec.Struct, frozen=True):
    """What typed events tell about their values; facts of pieces add up.

    `actions`: up to two different ones. `missing`: rows without a value, `ratings`: finite values,
    `inside`: how many of these are on each of `SCALES`.
    """

    actions: frozenset[str] = frozenset()
    missing: int = 0
    ratings: int = 0
    inside: tuple[int, ...] = (0,) * len(SCALES)

    def __add__(self, other: "ValueFacts") -> "ValueFacts":
        return ValueFacts(
            frozenset(sorted(self.actions | other.actions)[:2]),
            self.missing + other.missing,
            self.ratings + other.ratings,
            tuple(map(sum, zip(self.inside, other.inside, strict=True))),
        )

    @property
    def several(self) -> bool:
        """Whether the source tells several actions apart."""
        return len(self.actions) > 1

    @property
    def scale(self) -> tuple[float, float] | None:
        """The narrowest scale that holds nearly all ratings; None where none does."""
        filled = self.missing if self.several else 0  # they will count 1, which is on every scale
        for scale, count in zip(SCALES, self.inside, strict=True):
            if filled + self.ratings and filled + count >= SCALE_SHARE * (filled + self.ratings):
                return scale
        return None


class ValuePlan(msgspec.Struct, frozen=True):
    """What to hold values against: whether several actions are told apart, and the scale of ratings.

    `rating`: whether the values are ratings at all.
    """

    several: bool = False
    rating: bool = False
    scale: tuple[float, float] | None = None


def survey_values(events: pl.DataFrame) -> ValueFacts:
    """The facts of typed events."""
    values = events["value"]
    finite = values.drop_nulls().drop_nans()
    return ValueFacts(
        frozenset(events["action"].unique().cast(pl.String).sort()[:2].to_list()),
        values.null_count(),
        len(finite),
        tuple(int(finite.is_between(low, high).sum()) for low, high in SCALES),
    )


def value_plan(facts: ValueFacts, rated: str, declared: tuple[float, float] | None) -> ValuePlan:
    """What the facts of all events come to; `rated` is the source column of the value."""
    rating = fold(rated) in RATINGS
    return ValuePlan(facts.several, rating, declared or (facts.scale if rating else None))


def value_notes(plan: ValuePlan, declared: tuple[float, float] | None) -> list[str]:
    """What was detected, as sentences."""
    if not plan.rating or declared:
        return []
    if plan.scale is None:
        return ["no known rating scale fits; declare one by the rule 'scale' to have it checked"]
    return [f"ratings are taken to be on a scale of {plan.scale[0]:g} to {plan.scale[1]:g}"]
