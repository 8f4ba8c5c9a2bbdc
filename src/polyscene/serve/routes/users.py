"""`/v1/users`: who is known, and what they did."""

from starlette.requests import Request
from starlette.responses import Response

from polyscene.serve.bodies import json_reply, path_id, read_params
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.wire.base import Count
from polyscene.serve.wire.users import History, Users


async def sample_users(request: Request) -> Response:
    """Some users to look at."""
    params = read_params(request, Count)
    here = house(request)
    return json_reply(Users(users=await here.readers.run(here.engine.lookup.sample, params.n)))


async def user_history(request: Request) -> Response:
    """A user's newest events; none for a user never seen, who is welcome all the same."""
    user, params = path_id(request), read_params(request, Count)
    here = house(request)
    return json_reply(
        History(user=user, events=await here.readers.run(here.engine.lookup.history, user, params.n))
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/users",
        sample_users,
        "A sample of the known users",
        params=Count,
        reply=Users,
        reply_example={"users": ["42", "1689"]},
        problems=(422, 503),
    ),
    Operation(
        "GET",
        "/v1/users/{id:path}/history",
        user_history,
        "The newest events of a user",
        params=Count,
        reply=History,
        reply_example={
            "user": "42",
            "events": [{"item": "1", "title": "Toy Story", "action": "interaction", "time": 978300760000}],
        },
        problems=(422, 503),
    ),
)
