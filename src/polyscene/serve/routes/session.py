"""`/v1/session`: a person signs in at the console with a key, and out again."""

from starlette.requests import Request
from starlette.responses import Response

from polyscene.serve.access import CALLER, Caller
from polyscene.serve.bodies import json_reply, read_body
from polyscene.serve.house import house
from polyscene.serve.operations import Operation
from polyscene.serve.problems import RequestError
from polyscene.serve.sessions import COOKIE
from polyscene.serve.settings import LOOPBACK
from polyscene.serve.wire.session import SessionBody, SessionReply


async def sign_in(request: Request) -> Response:
    """A session for a key; the cookie that stands for it can be read by no script."""
    body = await read_body(request, SessionBody)
    address = request.client.host if request.client else ""
    caller = house(request).access.login(body.key, address)
    reply = json_reply(_told(caller, keys=True))
    if caller.session is not None:
        reply.set_cookie(
            COOKIE, caller.session.id, path="/", httponly=True, samesite="strict", secure=_secure(request)
        )
    return reply


async def get_session(request: Request) -> Response:
    """Who the browser is signed in as; nobody is an answer too."""
    access = house(request).access
    try:
        caller = access.caller(request.method, request.headers)
    except RequestError as refusal:
        if refusal.status != 401:
            raise
        return json_reply(SessionReply(keys=True))
    return json_reply(_told(caller, keys=access.locked))


async def sign_out(request: Request) -> Response:
    """Ends the session of the cookie; its key stays good."""
    caller: Caller = request.scope[CALLER]
    access = house(request).access
    if caller.session is not None:
        access.sessions.end(caller.session.id)
    reply = json_reply(SessionReply(keys=access.locked))
    reply.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_secure(request))
    return reply


def _told(caller: Caller, *, keys: bool) -> SessionReply:
    session = caller.session
    return SessionReply(
        keys=keys,
        role=caller.role,
        name=caller.name or None,
        csrf=session.csrf if session else None,
        expires=session.expires if session else None,
    )


def _secure(request: Request) -> bool:
    """Whether the cookie may only go through TLS: everywhere but on this very machine."""
    return request.url.hostname not in LOOPBACK


_SIGNED_IN = {
    "keys": True,
    "role": "admin",
    "name": "ada",
    "csrf": "pT3xNf0zqkS8",
    "expires": 1795348800000,
}
OPERATIONS = (
    Operation(
        "POST",
        "/v1/session",
        sign_in,
        "Sign in at the console with a key; the session is a cookie",
        role="open",
        body=SessionBody,
        reply=SessionReply,
        body_example={"key": "polyscene_..."},
        reply_example=_SIGNED_IN,
        problems=(400, 401, 408, 413, 415, 422, 429),
    ),
    Operation(
        "GET",
        "/v1/session",
        get_session,
        "Who is signed in, and the word for X-CSRF-Token",
        role="open",
        reply=SessionReply,
        reply_example=_SIGNED_IN,
        problems=(429,),
    ),
    Operation(
        "DELETE",
        "/v1/session",
        sign_out,
        "Sign out",
        reply=SessionReply,
        reply_example={"keys": True, "role": None, "name": None, "csrf": None, "expires": None},
    ),
)
