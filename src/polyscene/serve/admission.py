"""What every request is asked before its handler runs; from the route table, so that none is forgotten."""

from starlette.requests import Request

from polyscene.serve.access import CALLER, NOBODY, Caller
from polyscene.serve.house import house
from polyscene.serve.problems import RequestError


def admit(request: Request, role: str, *, has_body: bool) -> None:
    """Lets the request on to its handler, or not, before its body is read.

    Raises:
        RequestError: 403; the caller's key may not do this.
        BusyError: The desk that would do the work is full.
    """
    caller: Caller = request.scope.get(CALLER, NOBODY)
    if not caller.may(role):
        raise RequestError(
            403,
            f"key: {caller.name!r} has the role {caller.role!r}; this needs {role!r}: "
            f"an operator can make such a key with `polyscene keys add NAME --role {role}`",
        )
    here = house(request)
    desk = {"read": here.readers, "write": here.writers}.get(role)
    if has_body and desk is not None and desk.full:
        desk.refuse()
