"""Geometric verification: compare the keypoints of a query with those of its first hits.

Hits that show the same flat side as the query, as a package or a print, have many keypoints in the same places.
"""

from collections.abc import Mapping, Sequence

from consumers.points.look_payload import KEYPOINTS, keypoints_of
from consumers.scoring.verification import VERIFIED_HITS
from consumers.searching.query_state import QueryState
from consumers.vision.keypoint_matching import agreement
from infra.array_types import Floats
from infra.qdrant.contract import Index, ScoredPoint
from infra.qdrant.point_ids import picture_id, point_id
from schemas.results import KeypointMatch


class GeometricVerifier:
    """Verifies the first hits of searches."""

    def __init__(self, index: Index) -> None:
        self._index = index

    def verify(self, search: QueryState, hits: Sequence[ScoredPoint]) -> Mapping[str, Floats]:
        """Return the agreeing keypoints [n, 4] of the first hits, by point id; none if the query has no keypoints.

        Those of a region are the keypoints of its picture. Raises Unavailable when the index is unreachable.
        """
        pictures = {hit.id: picture_id(hit.id, hit.payload) for hit in hits[:VERIFIED_HITS]}
        ids = list(dict.fromkeys(pictures.values()))
        item = search.request.item_id
        own = [point_id(search.request.tenant, item, 0)] if search.keypoints is None and item is not None else []
        payloads = self._index.payloads(ids + own, [KEYPOINTS]) if ids else {}
        keypoints = {id: keypoints_of(payloads.get(id, {})) for id in ids + own}
        query = keypoints[own[0]] if own and ids else search.keypoints
        if query is None:
            return {}
        return {
            id: agreement(query, found)
            for id, picture in pictures.items()
            if (found := keypoints[picture]) is not None
        }


def matches_of(agreeing: Floats) -> tuple[KeypointMatch, ...]:
    """Return agreeing keypoints [n, 4] as they are shown in a result."""
    return tuple(KeypointMatch(query=(a, b), hit=(c, d)) for a, b, c, d in agreeing.tolist())
