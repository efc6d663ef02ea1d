"""Collections: create and check the collection of each generation on a Qdrant server, and its alias.

The collection of generation N is NAME-N, and the alias NAME points to the serving one. If NAME-1 does not exist, an
existing collection or an alias of another collection with that NAME is used as the first generation.
"""

from qdrant_client import QdrantClient, models

from infra.config.qdrant import QdrantSettings
from infra.qdrant import rows
from infra.qdrant.contract import VECTOR, EncoderDiffers
from infra.qdrant.generations import FIRST
from infra.qdrant.payload_indexes import FIELDS
from infra.qdrant.server.errors import REFUSED
from infra.qdrant.server.filters import index_of
from infra.retry import Retry
from schemas.failures import Unavailable

REPLICATION_RETRY = Retry(seconds=5)
"""Time for which the replica that answers a read may lack a recent write."""


def name_of(client: QdrantClient, name: str, number: int) -> str:
    """Return the collection name of a generation, whether or not the collection exists yet."""
    numbered = f"{name}-{number}"
    if number != FIRST or client.collection_exists(numbered):
        return numbered
    return name if _exists(client, name) else numbered


def ensure(client: QdrantClient, settings: QdrantSettings, number: int, size: int) -> None:
    """Create the collection of a generation and its payload indexes if missing. Safe to run concurrently."""
    name = name_of(client, settings.collection, number)
    if not _exists(client, name):
        _create(client, name, settings, size)
    if number == FIRST and not _exists(client, settings.collection):
        client.update_collection_aliases([_create_alias(name, settings.collection)])
    _check(client, name, size)


def point_alias(client: QdrantClient, name: str, number: int) -> None:
    """Point the alias NAME to this generation, if it points to one of our collections."""
    target = {alias.alias_name: alias.collection_name for alias in client.get_aliases().aliases}.get(name)
    numbered = f"{name}-{number}"
    is_ours = target is not None and target.removeprefix(f"{name}-").isdecimal()
    if is_ours and target != numbered and client.collection_exists(numbered):
        deletion = models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=name))
        client.update_collection_aliases([deletion, _create_alias(numbered, name)])


def drop(client: QdrantClient, name: str, number: int) -> None:
    """Delete the collection of a generation; a first collection without a number is kept."""
    client.delete_collection(f"{name}-{number}")


def _create_alias(collection: str, name: str) -> models.CreateAliasOperation:
    return models.CreateAliasOperation(create_alias=models.CreateAlias(collection_name=collection, alias_name=name))


def claim(client: QdrantClient, name: str, encoder: rows.CollectionEncoder) -> rows.CollectionEncoder:
    """Write the metadata point if it is missing, and return the encoder that it then contains."""
    meta = models.PointStruct(id=rows.META_ID, vector={}, payload=rows.meta_payload(encoder))
    client.upsert(name, [meta], update_mode=models.UpdateMode.INSERT_ONLY)
    return REPLICATION_RETRY.run(lambda: encoder_of(client, name), Unavailable)


def encoder_of(client: QdrantClient, name: str) -> rows.CollectionEncoder:
    """Return the encoder that made the collection; raises Unavailable while it is not recorded yet.

    The worker that creates a collection records the encoder a moment later, and a replica may get it later still.
    """
    records = client.retrieve(name, [rows.META_ID])
    if not records:
        raise Unavailable(
            f"collection {name} does not say yet which encoder made it: its index worker writes that when it starts"
        )
    return rows.encoder_from_payload(records[0].payload or {})


def _exists(client: QdrantClient, name: str) -> bool:
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
        if not client.collection_exists(name):  # otherwise another worker created it first
            raise


def _check(client: QdrantClient, name: str, size: int) -> None:
    """Check the vector configuration, and create missing payload indexes; raises EncoderDiffers."""
    collection = client.get_collection(name)
    vectors = collection.config.params.vectors
    look = vectors.get(VECTOR) if isinstance(vectors, dict) else None
    if look is None or look.size != size or look.distance != models.Distance.DOT:
        raise EncoderDiffers(
            f"collection {name} has no vector `{VECTOR}` of {size} numbers (Dot), which this encoder needs: use "
            "the old encoder or another LOOKSTREAM_QDRANT_COLLECTION"
        )
    for field in FIELDS:
        stored = collection.payload_schema.get(field.name)
        if stored is None or (field.kind == "text" and not _ranks(stored)):
            client.create_payload_index(name, field.name, index_of(field))


def _ranks(stored: models.PayloadIndexInfo) -> bool:
    """Whether a text index ranks points: those that a server before 1.20 made do not."""
    return isinstance(stored.params, models.TextIndexParams) and bool(stored.params.scoring)
