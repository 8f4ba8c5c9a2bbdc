"""A tiny shop over the real event log in memory."""

from dataclasses import dataclass

import pytest

from polyscene.core.contracts import Run, StillView
from polyscene.dataset.world import World
from polyscene.events.event import Event, ItemPut
from polyscene.events.memory import MemoryLog
from polyscene.scenario.answer import Answered, Served, recommend
from polyscene.scenario.ask import Ask
from polyscene.scenario.file import Scenario, read_scenario

HOUR = 3_600_000
START = 1_767_225_600_000
GENRES = ("drama", "comedy", "crime")


@dataclass
class Shop:
    """A log, its world, and scenarios fitted from it."""

    log: MemoryLog
    world: World
    served: dict[str, Served]

    def fit(self, *raws: dict) -> None:
        data = self.world.data()
        for raw in raws:
            scenario: Scenario = read_scenario(raw, "test")
            pipeline = scenario.fit(data, Run(view=self.world.view))
            self.served[scenario.scenario] = Served(scenario, pipeline, f"bundle-{scenario.scenario}")

    def reload(self, name: str) -> None:
        """The scenario's pipeline, as its bundle would give it back."""
        here = self.served[name]
        again = here.scenario.load(here.pipeline.state(), Run(view=self.world.view))
        self.served[name] = Served(here.scenario, again, here.bundle)

    def recommend(self, scenario: str, **asked: object) -> Answered:
        skip = asked.pop("skip", None)
        return recommend(
            Ask(scenario=scenario, **asked), self.served, self.world.now, at=self.at, skip=skip
        )

    def ids(self, scenario: str, **asked: object) -> list[str]:
        return [shown.id for shown in self.recommend(scenario, **asked).answer.items]

    @property
    def at(self) -> int:
        return START + 1_000 * HOUR

    def post(self, user: str, item: str, action: str = "play", hour: int = 900) -> None:
        position = self.log.position
        event = Event(id=f"e{position}", user=user, item=item, action=action, time=START + hour * HOUR)
        self.log.append([event])
        self.world.refresh()

    def put(self, item: str, hour: int = 990, **attributes: object) -> None:
        self.log.append([ItemPut(id=item, time=START + hour * HOUR, attributes=attributes)])
        self.world.refresh()


@pytest.fixture
def shop() -> Shop:
    """20 films i0 .. i19, 30 users who watch neighbours; i0 is the most popular."""
    log = MemoryLog()
    puts = [
        ItemPut(id=f"i{n}", time=START + n, attributes={"year": 1980 + n, "genre": GENRES[n % 3]})
        for n in range(20)
    ]
    events = [
        Event(
            id=f"{user}-{step}",
            user=f"u{user}",
            item=f"i{item}",
            action="play",
            time=START + (10 * user + step) * HOUR,
        )
        for user in range(30)
        for step, item in enumerate([0, *range(1 + user % 10, 5 + user % 10)])
    ]
    log.append(puts)
    log.append(events)
    return Shop(log, World.open(log), {})


@pytest.fixture
def still() -> type[StillView]:
    return StillView
