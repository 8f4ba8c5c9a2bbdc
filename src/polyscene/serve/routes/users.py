"""`/v1/users`: who is known, what they did, and which ids are one person."""

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from polyscene.events.event import UserPut
from polyscene.events.log import Once, Receipt
from polyscene.jobs.engine import Engine
from polyscene.serve.bodies import json_reply, path_id, read_once, read_params
from polyscene.serve.bulk import Taking, take_lines
from polyscene.serve.cursors import cursor_of, place_of
from polyscene.serve.house import house
from polyscene.serve.operations import NDJSON, Operation
from polyscene.serve.wire.base import Count
from polyscene.serve.wire.kept import Kept, KeptLines, kept
from polyscene.serve.wire.users import (
    Erased,
    History,
    MergeBody,
    UserBody,
    UserFacts,
    UserLine,
    Users,
    UsersParams,
)

Code = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]


async def list_users(request: Request) -> Response:
    """Ids page by page, or some to look at."""
    params = read_params(request, UsersParams)
    here = house(request)
    if params.sample:
        return json_reply(Users(users=await here.readers.run(here.engine.lookup.sample, params.n)))
    after = -1 if params.cursor is None else place_of(params.cursor, Code)
    found, last = await here.readers.run(here.engine.lookup.users, after, params.n)
    return json_reply(Users(users=found, cursor=None if last is None else cursor_of(last)))


async def get_user(request: Request) -> Response:
    """One user."""
    here = house(request)
    return json_reply(UserFacts(**await here.readers.run(here.engine.lookup.user, path_id(request))))


async def put_user(request: Request) -> Response:
    """Keeps what is known of a user."""
    user, here = path_id(request), house(request)
    body, once = await read_once(request, UserBody)
    put = UserPut(
        id=user, time=here.clock.now() if body.time is None else body.time, attributes=body.attributes
    )
    return json_reply(kept(await here.writers.run(here.engine.intake.users, [put], once)))


async def patch_user(request: Request) -> Response:
    """Changes some attributes of a user who is known."""
    user, here = path_id(request), house(request)
    body, once = await read_once(request, UserBody)
    time = here.clock.now() if body.time is None else body.time
    put = UserPut(id=user, time=time, attributes=body.attributes, patch=True)
    return json_reply(kept(await here.writers.run(_change, here.engine, put, once)))


async def delete_user(request: Request) -> Response:
    """Forgets a user and the guests merged into it: events, attributes, edges, answers."""
    here = house(request)
    return json_reply(await here.writers.run(_erase, here.engine, path_id(request)))


async def post_user_lines(request: Request) -> Response:
    """Keeps users that come line by line."""
    return await take_lines(request, Taking(UserLine, _put_of, house(request).engine.intake.users))


async def merge_user(request: Request) -> Response:
    """A guest logged in: from now on its past and future are this user's."""
    user, here = path_id(request), house(request)
    body, once = await read_once(request, MergeBody)
    time = here.clock.now() if body.time is None else body.time
    return json_reply(kept(await here.writers.run(here.engine.intake.merge, body.guest, user, time, once)))


async def user_history(request: Request) -> Response:
    """A user's newest events; none for a user never seen, who is welcome all the same."""
    user, params = path_id(request), read_params(request, Count)
    here = house(request)
    return json_reply(
        History(user=user, events=await here.readers.run(here.engine.lookup.history, user, params.n))
    )


def _put_of(line: UserLine, now: int, once: Once | None, place: int) -> UserPut:
    time = now if line.time is None else line.time
    return UserPut(id=line.id, time=time, attributes=line.attributes, patch=line.op == "patch")


def _change(engine: Engine, put: UserPut, once: Once | None) -> Receipt:
    """Keeps a put to a user who is there; NotFoundError otherwise."""
    engine.lookup.user(put.id)
    return engine.intake.users([put], once)


def _erase(engine: Engine, user: str) -> Erased:
    """A guest is forgotten alone: the user it was merged into may be somebody else's business."""
    person = engine.lookup.person(user)
    gone = engine.intake.erase(user)
    notes = [f"{user!r} was a guest of {person!r}, who stays"] if person != user else []
    return Erased(
        events=gone.events, puts=gone.puts, exposures=gone.exposures, position=gone.position, notes=notes
    )


_KEPT = {"accepted": 1, "duplicates": 0, "position": 1004095}
_REFUSALS = (400, 408, 409, 413, 415, 422, 503)
OPERATIONS = (
    Operation(
        "GET",
        "/v1/users",
        list_users,
        "The known users, page by page, or a sample spread over all",
        params=UsersParams,
        reply=Users,
        reply_example={"users": ["42", "1689"], "cursor": "zRKg"},
        problems=(422, 503),
    ),
    Operation(
        "POST",
        "/v1/users/bulk",
        post_user_lines,
        "Put or patch users, one a line; good lines are kept, bad ones are named",
        role="write",
        body=UserLine,
        reply=KeptLines,
        body_example={"id": "42", "op": "patch", "attributes": {"country": "NL"}},
        reply_example={"on_disk_to": 1, "refused": 0} | _KEPT,
        problems=_REFUSALS,
        body_media=NDJSON,
        once=True,
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
    Operation(
        "POST",
        "/v1/users/{id:path}/merge",
        merge_user,
        "Let a guest become this user: what the guest did and does counts as the user's",
        role="write",
        body=MergeBody,
        reply=Kept,
        body_example={"from": "guest-7f3a"},
        reply_example=_KEPT,
        problems=_REFUSALS,
        once=True,
    ),
    Operation(
        "GET",
        "/v1/users/{id:path}",
        get_user,
        "What is known of a user",
        reply=UserFacts,
        reply_example={
            "id": "guest-7f3a",
            "answers_as": "42",
            "guests": ["guest-7f3a"],
            "attributes": {"country": "NL"},
            "events": 53,
            "first": 978300019000,
            "last": 978824291000,
        },
        problems=(404, 422, 503),
    ),
    Operation(
        "PUT",
        "/v1/users/{id:path}",
        put_user,
        "Put a user, in place of all attributes that were known",
        role="write",
        body=UserBody,
        reply=Kept,
        body_example={"attributes": {"country": "NL", "age": 31}},
        reply_example=_KEPT,
        problems=_REFUSALS,
        once=True,
    ),
    Operation(
        "PATCH",
        "/v1/users/{id:path}",
        patch_user,
        "Change some attributes of a user; null takes one away",
        role="write",
        body=UserBody,
        reply=Kept,
        body_example={"attributes": {"age": None}},
        reply_example=_KEPT,
        problems=(400, 404, 408, 409, 413, 415, 422, 503),
        once=True,
    ),
    Operation(
        "DELETE",
        "/v1/users/{id:path}",
        delete_user,
        "Forget a user and the guests merged into it, for good",
        role="admin",
        reply=Erased,
        reply_example={"events": 53, "puts": 2, "exposures": 7, "position": 1004096, "notes": []},
        problems=(404, 422, 503, 507),
    ),
)
