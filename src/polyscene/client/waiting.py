"""What a product calls, written by scripts/client.py from the route table: don't edit."""

from collections.abc import Iterable
from typing import Any

from msgspec.json import encode

from polyscene.client.calls import Call, filled, new_id, query_of
from polyscene.client.sending import AsyncSender
from polyscene.scenario.ask import Answer, Page
from polyscene.serve.wire.answers import (
    PageBody,
    PastBody,
    PopularBody,
    RecommendBody,
    Replay,
    RowBody,
    SimilarBody,
)
from polyscene.serve.wire.base import Count
from polyscene.serve.wire.edges import EdgeBody, EdgeKey, EdgeLine, EdgePatch, Edges, EdgesParams
from polyscene.serve.wire.events import EventBody, Events, EventsBody, EventsParams, KeptEvents
from polyscene.serve.wire.insight import Activity, Requests, RequestsParams
from polyscene.serve.wire.items import ItemBody, ItemLine, ItemPatch, Items, ItemsParams
from polyscene.serve.wire.kept import Kept, KeptLines
from polyscene.serve.wire.users import History, MergeBody, UserBody, UserFacts, UserLine, Users, UsersParams


class AsyncClient(AsyncSender):
    """A service as a product sees it; every method is awaited.

    A method per route, with its arguments and its reply. All raise InputError (what to mend stands in the
    text), AccessError (the key), NotFoundError, ConflictError, BusyError (after all tries) and ServiceError
    (the service failed or can't be reached).
    """

    async def list_requests(
        self, *, user: str | None = None, cursor: str | None = None, n: int = 20
    ) -> Requests:
        """Logged requests, newest first."""
        return await self.send(
            Call(
                "GET",
                "/v1/requests",
                Requests,
                query=query_of(RequestsParams(user=user, cursor=cursor, n=n)),
            )
        )

    async def item_activity(self, id: str) -> Activity:
        """How often an item was shown and acted on, by day."""
        return await self.send(Call("GET", filled("/v1/items/{id:path}/activity", id=id), Activity))

    async def post_event(
        self,
        user: str,
        item: str,
        *,
        id: str | None = None,
        action: str = "interaction",
        time: int | None = None,
        value: float = 1.0,
        scenario: str = "",
        request_id: str | None = None,
        position: int | None = None,
        attributes: dict[str, bool | float | str | list[str] | None] | None = None,
    ) -> KeptEvents:
        """Keep one event; acknowledged means on disk, the same id counts once."""
        return await self.send(
            Call(
                "POST",
                "/v1/event",
                KeptEvents,
                body=encode(
                    EventBody(
                        user=user,
                        item=item,
                        id=id,
                        action=action,
                        time=time,
                        value=value,
                        scenario=scenario,
                        request_id=request_id,
                        position=position,
                        attributes=attributes or {},
                    )
                ),
                key=new_id(),
            )
        )

    async def post_events(self, events: list[EventBody]) -> KeptEvents:
        """Keep a batch of events, all or none; acknowledged means on disk, the same id counts once."""
        return await self.send(
            Call("POST", "/v1/events", KeptEvents, body=encode(EventsBody(events=events)), key=new_id())
        )

    async def post_event_stream(self, lines: Iterable[EventBody]) -> KeptLines:
        """Keep events that come one a line; good lines are kept, bad ones are named."""
        return await self.send(Call("POST", "/v1/events/stream", KeptLines, lines=lines))

    async def list_events(
        self, *, n: int = 50, cursor: str | None = None, user: str | None = None, item: str | None = None
    ) -> Events:
        """The events that came last, newest first."""
        return await self.send(
            Call(
                "GET",
                "/v1/events",
                Events,
                query=query_of(EventsParams(n=n, cursor=cursor, user=user, item=item)),
            )
        )

    async def find_items(
        self,
        *,
        query: str | None = None,
        id: list[str] | None = None,
        n: int = 20,
        cursor: str | None = None,
        deleted: bool = False,
    ) -> Items:
        """Find items by words of the title, look up several by id, or list all of them."""
        return await self.send(
            Call(
                "GET",
                "/v1/items",
                Items,
                query=query_of(ItemsParams(query=query, id=id or [], n=n, cursor=cursor, deleted=deleted)),
            )
        )

    async def post_item_lines(self, lines: Iterable[ItemLine]) -> KeptLines:
        """Put, patch or delete items, one a line; good lines are kept, bad ones are named."""
        return await self.send(Call("POST", "/v1/items/bulk", KeptLines, lines=lines))

    async def get_item(self, id: str) -> dict[str, Any]:
        """What is known of an item."""
        return await self.send(Call("GET", filled("/v1/items/{id:path}", id=id), dict[str, Any]))

    async def put_item(
        self,
        id: str,
        *,
        kind: str = "item",
        attributes: dict[str, bool | float | str | list[str] | None] | None = None,
        time: int | None = None,
    ) -> Kept:
        """Put an item, in place of all that was known of it; it may be shown at once."""
        return await self.send(
            Call(
                "PUT",
                filled("/v1/items/{id:path}", id=id),
                Kept,
                body=encode(ItemBody(kind=kind, attributes=attributes or {}, time=time)),
                key=new_id(),
            )
        )

    async def patch_item(
        self,
        id: str,
        attributes: dict[str, bool | float | str | list[str] | None],
        *,
        time: int | None = None,
    ) -> Kept:
        """Change some attributes of an item; null takes one away."""
        return await self.send(
            Call(
                "PATCH",
                filled("/v1/items/{id:path}", id=id),
                Kept,
                body=encode(ItemPatch(attributes=attributes, time=time)),
                key=new_id(),
            )
        )

    async def delete_item(self, id: str) -> Kept:
        """Show an item no more, until it is put again."""
        return await self.send(Call("DELETE", filled("/v1/items/{id:path}", id=id), Kept, key=new_id()))

    async def recommend(
        self,
        scenario: str,
        *,
        user: str | None = None,
        history: list[PastBody] | None = None,
        k: int | None = None,
        context: dict[str, str | float | list[str]] | None = None,
        filter: str | None = None,
        exclude: list[str] | None = None,
        request_id: str | None = None,
        cursor: str | None = None,
    ) -> Answer:
        """Recommend for a user, or for a visitor who sends a history; scroll on with the reply's cursor."""
        return await self.send(
            Call(
                "POST",
                "/v1/recommend",
                Answer,
                body=encode(
                    RecommendBody(
                        scenario=scenario,
                        user=user,
                        history=history,
                        k=k,
                        context=context or {},
                        filter=filter,
                        exclude=exclude or [],
                        request_id=request_id or new_id(),
                        cursor=cursor,
                    )
                ),
            )
        )

    async def similar(
        self,
        item: str,
        *,
        scenario: str | None = None,
        user: str | None = None,
        k: int | None = None,
        context: dict[str, str | float | list[str]] | None = None,
        filter: str | None = None,
        exclude: list[str] | None = None,
        request_id: str | None = None,
        cursor: str | None = None,
    ) -> Answer:
        """Items like one item: the slate of a scenario that works from anchors."""
        return await self.send(
            Call(
                "POST",
                "/v1/similar",
                Answer,
                body=encode(
                    SimilarBody(
                        item=item,
                        scenario=scenario,
                        user=user,
                        k=k,
                        context=context or {},
                        filter=filter,
                        exclude=exclude or [],
                        request_id=request_id or new_id(),
                        cursor=cursor,
                    )
                ),
            )
        )

    async def popular(
        self,
        *,
        scenario: str = "popular",
        user: str | None = None,
        k: int | None = None,
        context: dict[str, str | float | list[str]] | None = None,
        filter: str | None = None,
        exclude: list[str] | None = None,
        request_id: str | None = None,
        cursor: str | None = None,
    ) -> Answer:
        """What most people like, without what the user has seen."""
        return await self.send(
            Call(
                "POST",
                "/v1/popular",
                Answer,
                body=encode(
                    PopularBody(
                        scenario=scenario,
                        user=user,
                        k=k,
                        context=context or {},
                        filter=filter,
                        exclude=exclude or [],
                        request_id=request_id or new_id(),
                        cursor=cursor,
                    )
                ),
            )
        )

    async def page(
        self,
        rows: list[RowBody],
        *,
        user: str | None = None,
        history: list[PastBody] | None = None,
        exclude: list[str] | None = None,
        request_id: str | None = None,
    ) -> Page:
        """The slates of several scenarios at once, without an item twice."""
        return await self.send(
            Call(
                "POST",
                "/v1/page",
                Page,
                body=encode(
                    PageBody(
                        rows=rows,
                        user=user,
                        history=history,
                        exclude=exclude or [],
                        request_id=request_id or new_id(),
                    )
                ),
            )
        )

    async def replay_request(self, id: str) -> Replay:
        """Answer a logged request again and say whether the slate is the same."""
        return await self.send(Call("POST", filled("/v1/requests/{id:path}/replay", id=id), Replay))

    async def get_request(self, id: str) -> dict[str, Any]:
        """How an answer came about."""
        return await self.send(Call("GET", filled("/v1/requests/{id:path}", id=id), dict[str, Any]))

    async def list_users(self, *, n: int = 20, cursor: str | None = None, sample: bool = False) -> Users:
        """The known users, page by page, or a sample spread over all."""
        return await self.send(
            Call("GET", "/v1/users", Users, query=query_of(UsersParams(n=n, cursor=cursor, sample=sample)))
        )

    async def post_user_lines(self, lines: Iterable[UserLine]) -> KeptLines:
        """Put or patch users, one a line; good lines are kept, bad ones are named."""
        return await self.send(Call("POST", "/v1/users/bulk", KeptLines, lines=lines))

    async def user_history(self, id: str, *, n: int = 20) -> History:
        """The newest events of a user."""
        return await self.send(
            Call("GET", filled("/v1/users/{id:path}/history", id=id), History, query=query_of(Count(n=n)))
        )

    async def merge_user(self, id: str, guest: str, *, time: int | None = None) -> Kept:
        """Let a guest become this user: what the guest did and does counts as the user's."""
        return await self.send(
            Call(
                "POST",
                filled("/v1/users/{id:path}/merge", id=id),
                Kept,
                body=encode(MergeBody(guest=guest, time=time)),
                key=new_id(),
            )
        )

    async def get_user(self, id: str) -> UserFacts:
        """What is known of a user."""
        return await self.send(Call("GET", filled("/v1/users/{id:path}", id=id), UserFacts))

    async def put_user(
        self,
        id: str,
        attributes: dict[str, bool | float | str | list[str] | None],
        *,
        time: int | None = None,
    ) -> Kept:
        """Put a user, in place of all attributes that were known."""
        return await self.send(
            Call(
                "PUT",
                filled("/v1/users/{id:path}", id=id),
                Kept,
                body=encode(UserBody(attributes=attributes, time=time)),
                key=new_id(),
            )
        )

    async def patch_user(
        self,
        id: str,
        attributes: dict[str, bool | float | str | list[str] | None],
        *,
        time: int | None = None,
    ) -> Kept:
        """Change some attributes of a user; null takes one away."""
        return await self.send(
            Call(
                "PATCH",
                filled("/v1/users/{id:path}", id=id),
                Kept,
                body=encode(UserBody(attributes=attributes, time=time)),
                key=new_id(),
            )
        )

    async def list_edges(
        self,
        *,
        source: str | None = None,
        relation: str | None = None,
        target: str | None = None,
        n: int = 100,
        cursor: str | None = None,
    ) -> Edges:
        """List edges by source, relation or target."""
        return await self.send(
            Call(
                "GET",
                "/v1/edges",
                Edges,
                query=query_of(
                    EdgesParams(source=source, relation=relation, target=target, n=n, cursor=cursor)
                ),
            )
        )

    async def post_edge_lines(self, lines: Iterable[EdgeLine]) -> KeptLines:
        """Put or delete edges, one a line; good lines are kept, bad ones are named."""
        return await self.send(Call("POST", "/v1/edges/bulk", KeptLines, lines=lines))

    async def put_edge(
        self, source: str, relation: str, target: str, *, weight: float = 1.0, time: int | None = None
    ) -> Kept:
        """Put an edge."""
        return await self.send(
            Call(
                "PUT",
                "/v1/edges",
                Kept,
                query=query_of(EdgeKey(source=source, relation=relation, target=target)),
                body=encode(EdgeBody(weight=weight, time=time)),
                key=new_id(),
            )
        )

    async def patch_edge(
        self, source: str, relation: str, target: str, weight: float, *, time: int | None = None
    ) -> Kept:
        """Change the weight of an edge."""
        return await self.send(
            Call(
                "PATCH",
                "/v1/edges",
                Kept,
                query=query_of(EdgeKey(source=source, relation=relation, target=target)),
                body=encode(EdgePatch(weight=weight, time=time)),
                key=new_id(),
            )
        )

    async def delete_edge(self, source: str, relation: str, target: str) -> Kept:
        """End an edge."""
        return await self.send(
            Call(
                "DELETE",
                "/v1/edges",
                Kept,
                query=query_of(EdgeKey(source=source, relation=relation, target=target)),
                key=new_id(),
            )
        )
