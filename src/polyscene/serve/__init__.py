"""The service: a Starlette app, one file per resource, and the page at `/`."""
