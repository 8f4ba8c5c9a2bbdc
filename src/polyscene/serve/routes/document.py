"""`/openapi.json`: the API as a document."""

from collections.abc import Iterable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from polyscene.serve.openapi import openapi
from polyscene.serve.operations import Operation


def operation(operations: Iterable[Operation]) -> Operation:
    """The operation that serves the document of `operations`."""
    content = msgspec.json.encode(openapi(operations))

    async def openapi_document(request: Request) -> Response:
        """The document, made once at start-up."""
        return Response(content, media_type="application/json")

    return Operation("GET", "/openapi.json", openapi_document, "This document")
