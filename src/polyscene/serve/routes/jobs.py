"""`/v1/jobs`: long work in processes of its own, with its progress and its files."""

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from polyscene.jobs.record import Job
from polyscene.serve.bodies import json_reply, path_id, read_once, read_params
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.wire.jobs import JobBody, Jobs, JobsParams


async def list_jobs(request: Request) -> Response:
    """Jobs, newest first."""
    params, here = read_params(request, JobsParams), house(request)
    jobs, cursor = await here.watch.run(here.engine.board.list, params.cursor or None, params.n)
    return json_reply(Jobs(jobs=jobs, cursor=cursor))


async def start_job(request: Request) -> Response:
    """Queues a job; under an Idempotency-Key it is started once, however often it is sent."""
    body, once = await read_once(request, JobBody)
    here = house(request)
    return json_reply(
        await here.writers.run(
            here.engine.board.start, body.kind, body.arguments, key=once.key if once else None
        )
    )


async def get_job(request: Request) -> Response:
    """How far a job is."""
    here = house(request)
    return json_reply(await here.watch.run(here.engine.board.get, path_id(request)))


async def cancel_job(request: Request) -> Response:
    """Stops a job, whether it waits or works."""
    here = house(request)
    return json_reply(await here.writers.run(here.engine.board.cancel, path_id(request)))


async def get_job_output(request: Request) -> Response:
    """The file that a job made."""
    here, job_id = house(request), path_id(request)
    path, media = await here.watch.run(here.engine.board.output, job_id)
    ending = "csv" if media == "text/csv" else "ndjson"
    return FileResponse(path, media_type=media, filename=f"{job_id}.{ending}")


JOB = {
    "id": "3f9a1c0d5e7b2468",
    "kind": "export",
    "state": "running",
    "arguments": {"scenario": "home", "k": 10, "format": "csv"},
    "progress": 0.42,
    "text": "export: 42 of 100",
    "created": 1795305600000,
    "started": 1795305601000,
}
OPERATIONS = (
    Operation(
        "GET",
        "/v1/jobs",
        list_jobs,
        "Jobs with their progress, newest first",
        params=JobsParams,
        reply=Jobs,
        reply_example={"jobs": [JOB], "cursor": ""},
        problems=(422, 503),
    ),
    Operation(
        "POST",
        "/v1/jobs",
        start_job,
        "Start a job: train, evaluate, export for everybody, look at the data, back up",
        role="admin",
        body=JobBody,
        reply=Job,
        body_example={"kind": "export", "arguments": {"scenario": "home", "k": 10, "format": "csv"}},
        reply_example={**JOB, "state": "queued", "progress": 0.0, "text": "", "started": None},
        problems=(400, 408, 409, 413, 415, 422, 503),
        once=True,
    ),
    Operation(
        "GET",
        "/v1/jobs/{id}/output",
        get_job_output,
        "The file of an export that is done: JSON lines or CSV",
        role="admin",
        media="application/x-ndjson",
        problems=(404, 422, 503),
    ),
    Operation(
        "GET",
        "/v1/jobs/{id}",
        get_job,
        "One job with its progress and, at the end, its result",
        reply=Job,
        reply_example=JOB,
        problems=(404, 422, 503),
    ),
    Operation(
        "DELETE",
        "/v1/jobs/{id}",
        cancel_job,
        "Cancel a job",
        role="admin",
        reply=Job,
        reply_example={**JOB, "state": "cancelled", "finished": 1795305602000},
        problems=(404, 409, 422, 503),
    ),
)
