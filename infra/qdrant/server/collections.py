"""Collections on a Qdrant server: one for each index, by its number; checked whenever it is opened.

Index N is NAME-N, and the alias NAME leads to the one that serves. A collection, or another one's alias, that bore
that name before there was a NAME-1 is used as the first.
"""

from qdrant_client import QdrantClient, models

from infra.config.settings import QdrantSettings
from infra.qdrant import rows
from infra.qdrant.contract import VECTOR, EncoderDiffers
from infra.qdrant.generations import FIRST
from infra.qdrant.payload_indexes import FIELDS
from infra.qdrant.server.errors import REFUSED
from infra.qdrant.server.filters import index_of
from infra.retry import Retry
from schemas.failures import Unavailable

WRITTEN = Retry(seconds=5)
"""How long a replica that is read from may lack what was just written."""


def name_of(client: QdrantClient, name: str, number: int) -> str:
    """The collection of an index, whether or not it is there yet."""
    numbered = f"{name}-{number}"
    if number != FIRST or client.collection_exists(numbered):
        return numbered
    return name if _there(client, name) else numbered


def ensure(client: QdrantClient, settings: QdrantSettings, number: int, size: int) -> None:
    """Make the collection of an index and its payload indexes, as far as they are missing. Safe to race."""
    name = name_of(client, settings.collection, number)
    if not _there(client, name):
        _create(client, name, settings, size)
    if number == FIRST and not _there(client, settings.collection):
        client.update_collection_aliases([_alias(name, settings.collection)])
    _check(client, name, size)


def point_alias(client: QdrantClient, name: str, number: int) -> None:
    """Have the alias NAME lead to this index, if it leads to one of ours."""
    leads_to = {alias.alias_name: alias.collection_name for alias in client.get_aliases().aliases}.get(name)
    numbered = f"{name}-{number}"
    ours = leads_to is not None and leads_to.removeprefix(f"{name}-").isdecimal()
    if ours and leads_to != numbered and client.collection_exists(numbered):
        gone = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))
        client.update_collection_aliases([gone, _alias(numbered, name)])


def drop(client: QdrantClient, name: str, number: int) -> None:
    """Remove the collection of an index; one that bears no number of ours stays."""
    client.delete_collection(f"{name}-{number}")


def _alias(collection: str, name: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=collection, alias_name=name))


def claim(client: QdrantClient, name: str, mine: rows.CollectionEncoder) -> rows.CollectionEncoder:
    """Write the meta point unless there is one; what it says then."""
    meta = models.PointStruct(id=rows.META_ID, vector={}, payload=rows.meta_payload(mine))
    client.upsert(name, [meta], update_mode=models.UpdateMode.INSERT_ONLY)
    return WRITTEN.run(lambda: maker_of(client, name), Unavailable)


def maker_of(client: QdrantClient, name: str) -> rows.CollectionEncoder:
    """Which encoder made the collection; raises Unavailable while that is not written down yet.

    The worker that makes a collection writes it a moment later, and a replica may have it later still.
    """
    records = client.retrieve(name, [rows.META_ID])
    if not records:
        raise Unavailable(
            f"collection {name} does not say yet which encoder made it: its index worker writes that when it starts"
        )
    return rows.encoder_of(records[0].payload or {})


def _there(client: QdrantClient, name: str) -> bool:
    aliases = {alias.alias_name for alias in client.get_aliases().aliases}
    return name in aliases or client.collection_exists(name)


def _create(client: QdrantClient, name: str, settings: QdrantSettings, size: int) -> None:
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
