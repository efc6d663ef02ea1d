"""Looks for searches: of their pictures, and of the indexed items that they name."""

from collections.abc import Sequence
from dataclasses import dataclass

from consumers.embedding.pipeline import ImagePipeline
from consumers.embedding.stage_timer import StageTimer
from consumers.points.payload import broken_index
from consumers.scoring.calibration import LookParts
from consumers.searching.blend import blend
from consumers.searching.query_state import QueryState
from consumers.vision.embedder import Look
from infra.fetching.local_files import for_tenant
from infra.qdrant.contract import Index, Vector
from infra.qdrant.point_ids import point_id
from schemas.failures import Code, Failure, Rejected
from schemas.items import ImageRef
from schemas.searches import Crop


@dataclass
class _QueryImage:
    """One of a search's pictures, and its look once it was seen."""

    search: QueryState
    ref: ImageRef
    crop: Crop | None = None
    look: Look | None = None


class QueryVectors:
    """Finds what searches search by."""

    def __init__(self, sight: ImagePipeline, index: Index, parts: LookParts) -> None:
        self._sight = sight
        self._index = index
        self._parts = parts

    def find(self, searches: Sequence[QueryState], clock: StageTimer) -> None:
        """Give every search its look, or its failure; raises Unavailable when the index is away."""
        for search in searches:
            search.failure = self._refusal(search, search.request.moderation)
        pictures = [picture for search in searches for picture in _pictures(search)]
        known = self._look_up(searches)
        self._see(pictures, clock)
        for search in searches:
            if search.failure is None:
                self._show(search, [each.look for each in pictures if each.search is search and each.look], known)
        clock.looked([picture.look for picture in pictures if picture.look])

    def _look_up(self, searches: Sequence[QueryState]) -> dict[str, Vector]:
        """The looks of all named items by point id; a search that names an unknown one has failed."""
        ids = {_id(search, item): item for search in searches for item in search.request.named_items}
        found = self._index.vectors(list(ids)) if ids else {}
        for search in searches:
            missing = [item for item in search.request.named_items if _id(search, item) not in found]
            if missing and search.failure is None:
                text = f"item {missing[0]} is not indexed: search by a picture, or index it first"
                search.failure = Rejected(Code.ITEM_UNKNOWN, text)
        return found

    def _see(self, pictures: Sequence[_QueryImage], clock: StageTimer) -> None:
        """Fetch and look at the pictures of searches that have not failed."""
        wanted = [picture for picture in pictures if picture.search.failure is None]
        fetched = self._sight.fetch([for_tenant(each.ref, each.search.request.tenant) for each in wanted])
        clock.fetched = clock.lap()
        there: list[tuple[_QueryImage, bytes]] = []
        for picture, got in zip(wanted, fetched, strict=True):
            if isinstance(got, Failure):
                picture.search.failure = got
            else:
                there.append((picture, got))
        there = [one for one in there if one[0].search.failure is None]
        looks = self._sight.look_at([got for _, got in there], [picture.crop for picture, _ in there])
        for (picture, _), look in zip(there, looks, strict=True):
            refusal = look if isinstance(look, Failure) else self._refusal(picture.search, look.labels)
            if refusal is not None:
                picture.search.failure = refusal
            elif isinstance(look, Look):
                picture.look = look

    def _refusal(self, search: QueryState, labels: Sequence[str]) -> Failure | None:
        return self._sight.policy.refusal(labels, restricted=search.request.restricted)

    def _show(self, search: QueryState, seen: Sequence[Look], known: dict[str, Vector]) -> None:
        """Give a search its look, and the colours and kind of its first picture."""
        request = search.request
        like, unlike = ([known[_id(search, item)] for item in items] for items in (request.like, request.unlike))
        query = [look.vector for look in seen]
        if request.item_id is not None:
            query.append(known[_id(search, request.item_id)])
        named = {item: known[_id(search, item)] for item in request.named_items}
        if broken := [item for item, look in named.items() if not self._parts.are_of_unit_length(look)]:
            search.failure = broken_index(request.tenant, ", ".join(broken))
            return
        search.look = blend(self._parts, query, like, unlike)
        if seen:
            search.studio, search.palette = seen[0].studio, seen[0].palette


def _pictures(search: QueryState) -> list[_QueryImage]:
    request = search.request
    if request.image is None:
        return []
    return [
        _QueryImage(search, request.image, request.crop),
        *(_QueryImage(search, ref) for ref in request.more_images),
    ]


def _id(search: QueryState, item: str) -> str:
    return point_id(search.request.tenant, item, 0)
