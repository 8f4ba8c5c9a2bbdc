"""What operators call, written by scripts/client.py from the route table: don't edit."""

from typing import Any, Literal

from msgspec.json import encode

from polyscene.client.calls import Call, filled, new_id, query_of
from polyscene.client.plain import Client
from polyscene.jobs.glance import BundleDetail, Change
from polyscene.jobs.recipe import Recipe
from polyscene.jobs.record import Job
from polyscene.serve.wire.answers import PastBody
from polyscene.serve.wire.bundles import Bundles, PromoteBody, Promotions, RollBackBody, Scenarios
from polyscene.serve.wire.health import Health
from polyscene.serve.wire.insight import Overview, OverviewParams, QualityReport, Tried, TryBody
from polyscene.serve.wire.jobs import JobBody, Jobs, JobsParams
from polyscene.serve.wire.users import Erased


class AdminClient(Client):
    """A service as its operator sees it.

    A method per route, with its arguments and its reply. All raise InputError (what to mend stands in the
    text), AccessError (the key), NotFoundError, ConflictError, BusyError (after all tries) and ServiceError
    (the service failed or can't be reached).
    """

    def overview(self, *, step: int = 5) -> Overview:
        """How the service is: traffic, queues, log, bundles, machine."""
        return self.send(Call("GET", "/v1/overview", Overview, query=query_of(OverviewParams(step=step))))

    def get_quality(self) -> QualityReport:
        """The newest report on the quality of the data; the job `quality` makes one."""
        return self.send(Call("GET", "/v1/quality", QualityReport))

    def try_scenario(
        self,
        id: str,
        *,
        user: str | None = None,
        history: list[PastBody] | None = None,
        k: int | None = None,
        context: dict[str, str | float | list[str]] | None = None,
        filter: str | None = None,
        exclude: list[str] | None = None,
    ) -> Tried:
        """What a scenario would answer now, with its trace; nothing is logged."""
        return self.send(
            Call(
                "POST",
                filled("/v1/scenarios/{id:path}/try", id=id),
                Tried,
                body=encode(
                    TryBody(
                        user=user,
                        history=history,
                        k=k,
                        context=context or {},
                        filter=filter,
                        exclude=exclude or [],
                    )
                ),
            )
        )

    def get_scenario(self, id: str) -> Recipe:
        """What a scenario does: its stages, what they cost lately, its file."""
        return self.send(Call("GET", filled("/v1/scenarios/{id:path}", id=id), Recipe))

    def delete_user(self, id: str) -> Erased:
        """Forget a user and the guests merged into it, for good."""
        return self.send(Call("DELETE", filled("/v1/users/{id:path}", id=id), Erased))

    def list_scenarios(self) -> Scenarios:
        """The scenarios that can be asked for."""
        return self.send(Call("GET", "/v1/scenarios", Scenarios))

    def list_bundles(self) -> Bundles:
        """The saved scenarios, newest first, and which of them serve."""
        return self.send(Call("GET", "/v1/bundles", Bundles))

    def list_promotions(self, scenario: str) -> Promotions:
        """Which bundle took the place of which, newest first."""
        return self.send(
            Call("GET", filled("/v1/bundles/{scenario}/history", scenario=scenario), Promotions)
        )

    def promote_bundle(
        self, scenario: str, bundle: str, *, instead_of: str | None = None, force: bool = False
    ) -> Change:
        """Let a bundle serve, once it answered real users as well as the current one does."""
        return self.send(
            Call(
                "POST",
                filled("/v1/bundles/{scenario}/promote", scenario=scenario),
                Change,
                body=encode(PromoteBody(bundle=bundle, instead_of=instead_of, force=force)),
            )
        )

    def roll_back_bundle(self, scenario: str, instead_of: str) -> Change:
        """Let the bundle before serve again."""
        return self.send(
            Call(
                "POST",
                filled("/v1/bundles/{scenario}/roll_back", scenario=scenario),
                Change,
                body=encode(RollBackBody(instead_of=instead_of)),
            )
        )

    def get_bundle(self, scenario: str, id: str) -> BundleDetail:
        """One bundle: its metrics, its parent, its size, its scenario."""
        return self.send(
            Call("GET", filled("/v1/bundles/{scenario}/{id}", scenario=scenario, id=id), BundleDetail)
        )

    def list_jobs(self, *, cursor: str | None = None, n: int = 20) -> Jobs:
        """Jobs with their progress, newest first."""
        return self.send(Call("GET", "/v1/jobs", Jobs, query=query_of(JobsParams(cursor=cursor, n=n))))

    def start_job(
        self,
        kind: Literal["train", "export", "evaluate", "quality", "backup"],
        *,
        arguments: dict[str, Any] | None = None,
    ) -> Job:
        """Start a job: train, evaluate, export for everybody, look at the data, back up."""
        return self.send(
            Call(
                "POST",
                "/v1/jobs",
                Job,
                body=encode(JobBody(kind=kind, arguments=arguments or {})),
                key=new_id(),
            )
        )

    def get_job_output(self, id: str) -> bytes:
        """The file of an export that is done: JSON lines or CSV."""
        return self.send(Call("GET", filled("/v1/jobs/{id}/output", id=id), bytes))

    def get_job(self, id: str) -> Job:
        """One job with its progress and, at the end, its result."""
        return self.send(Call("GET", filled("/v1/jobs/{id}", id=id), Job))

    def cancel_job(self, id: str) -> Job:
        """Cancel a job."""
        return self.send(Call("DELETE", filled("/v1/jobs/{id}", id=id), Job))

    def healthz(self) -> Health:
        """Does the process live."""
        return self.send(Call("GET", "/healthz", Health))

    def readyz(self) -> dict[str, Any]:
        """Can requests be answered now."""
        return self.send(Call("GET", "/readyz", dict[str, Any]))

    def get_metrics(self) -> bytes:
        """Counters and gauges in the Prometheus text format."""
        return self.send(Call("GET", "/metrics", bytes))
