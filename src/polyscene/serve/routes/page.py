"""The page at `/`: a few files of the package, read once; nothing is fetched from elsewhere."""

from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from polyscene.serve.operations import PATTERN

MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
START = "index.html"


def page_routes() -> list[Route]:
    """A route per file under `page/`; `index.html` stands at `/`."""
    folder = files("polyscene.serve").joinpath("page")
    return [
        _route("/" if each.name == START else f"/page/{each.name}", each.name, each.read_bytes())
        for each in sorted(folder.iterdir(), key=lambda each: each.name)
        if each.name.endswith(tuple(MEDIA))
    ]


def _route(path: str, name: str, content: bytes) -> Route:
    tag = f'"{sha256(content).hexdigest()[:16]}"'
    media = MEDIA["." + name.rpartition(".")[2]]
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    async def endpoint(request: Request) -> Response:
        request.scope[PATTERN] = path
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=media)

    return Route(path, endpoint, name=name)
