"""The Python client of a running service: `Client` for a product, `AdminClient` for its operators.

>>> with Client("http://127.0.0.1:8000", api_key) as client:
...     answer = client.recommend("home", user="42")
"""

from polyscene.client.plain import Client
from polyscene.client.plain_admin import AdminClient
from polyscene.client.waiting import AsyncClient
from polyscene.client.waiting_admin import AsyncAdminClient

__all__ = ["AdminClient", "AsyncAdminClient", "AsyncClient", "Client"]
