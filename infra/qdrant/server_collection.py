"""The collection on a Qdrant server: made under a number, reached by its alias, checked whenever it is opened.

The alias bears the name of the settings, so that another collection can be filled beside this one and take its
place in one step. A collection that bears that name itself is used as it is.
"""

import grpc
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from infra.qdrant import stored
from infra.qdrant.fields import FIELDS
from infra.qdrant.plan import VECTOR, EncoderDiffers
from infra.qdrant.server_words import index_of
from infra.settings import Qdrant

REFUSED = (grpc.RpcError, ResponseHandlingException, UnexpectedResponse, ResourceExhaustedResponse)
"""What the client raises when the server is away or says no."""
FIRST = 1
"""Number of the collection that is made when there is none."""


def ensure(client: QdrantClient, settings: Qdrant, size: int) -> None:
    """Make the collection, its alias and its payload indexes, as far as they are missing. Safe to race."""
    name = settings.collection
    if not _there(client, name):
        numbered = f"{name}-{FIRST}"
        if not client.collection_exists(numbered):
            _create(client, numbered, settings, size)
        alias = models.CreateAlias(collection_name=numbered, alias_name=name)
        client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
    _check(client, name, size)


def claim(client: QdrantClient, name: str, mine: stored.Maker) -> stored.Maker:
    """Write the meta point unless there is one; what it says then."""
    meta = models.PointStruct(id=stored.META_ID, vector={}, payload=stored.meta_payload(mine))
    client.upsert(name, [meta], update_mode=models.UpdateMode.INSERT_ONLY)
    return maker_of(client, name)


def maker_of(client: QdrantClient, name: str) -> stored.Maker:
    """Which encoder made the collection."""
    [record] = client.retrieve(name, [stored.META_ID])
    return stored.maker_of(record.payload or {})


def _there(client: QdrantClient, name: str) -> bool:
    aliases = {alias.alias_name for alias in client.get_aliases().aliases}
    return name in aliases or client.collection_exists(name)


def _create(client: QdrantClient, name: str, settings: Qdrant, size: int) -> None:
    codes = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    try:
        client.create_collection(
            name,
            vectors_config={VECTOR: models.VectorParams(size=size, distance=models.Distance.DOT)},
            quantization_config=models.ScalarQuantization(scalar=codes),
            shard_number=settings.shards,
            replication_factor=settings.replicas,
        )
    except (*REFUSED, ValueError):
        if not client.collection_exists(name):  # else another worker was faster
            raise


def _check(client: QdrantClient, name: str, size: int) -> None:
    """Checks its vectors, and makes the payload indexes that it lacks."""
    collection = client.get_collection(name)
    vectors = collection.config.params.vectors
    look = vectors.get(VECTOR) if isinstance(vectors, dict) else None
    if look is None or look.size != size or look.distance != models.Distance.DOT:
        raise EncoderDiffers(
            f"collection {name} has no vector `{VECTOR}` of {size} numbers (Dot), which this encoder needs: use "
            "the old encoder or another LOOKSTREAM_QDRANT_COLLECTION"
        )
    for field in FIELDS:
        if field.name not in collection.payload_schema:
            client.create_payload_index(name, field.name, index_of(field))
