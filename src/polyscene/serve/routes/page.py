"""The shop at `/`, the console at `/console`: files of the package, read once, nothing from elsewhere."""

from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polyscene.serve.operations import PATTERN

MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
START = "index.html"


def page_routes() -> list[Route]:
    """A route per file; `index.html` of the one stands at `/`, of the other at every path of the console.

    The console reads its own address, so ``/console/users/u1`` can be kept and sent around.
    """
    return [*_routes("page", "/"), *_routes("console", "/console", "/console/{path:path}")]


def _routes(folder: str, *starts: str) -> list[Route]:
    found, last = [], []
    for each in sorted(files("polyscene.serve").joinpath(folder).iterdir(), key=lambda each: each.name):
        if each.name == START:
            last = [_route(path, f"{folder}:{path}", each.name, each.read_bytes()) for path in starts]
        elif each.name.endswith(tuple(MEDIA)):
            path = f"/{folder}/{each.name}"
            found.append(_route(path, path, each.name, each.read_bytes()))
    return [*found, *last]


def _route(path: str, name: str, file: str, content: bytes) -> Route:
    tag = f'"{sha256(content).hexdigest()[:16]}"'
    media = MEDIA["." + file.rpartition(".")[2]]
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    async def endpoint(request: Request) -> Response:
        request.scope[PATTERN] = path
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media)

    return Route(path, endpoint, name=name)
