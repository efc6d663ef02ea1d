"""Standing searches over Kafka: the topic that keeps them, and the one that tells what they match."""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime

from infra.client.search_client import SearchClient
from infra.config.settings import KafkaSettings
from infra.kafka import EventSink, OutgoingRecord, Record, TopicReader, read_to_end
from schemas.envelope import Event, from_bytes
from schemas.failures import Rejected, Unavailable
from schemas.filters import Filters
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_MATCHES, SEARCH_WATCHES
from schemas.watches import Watch, WatchMatched, watch_key

SOURCE = "lookstream/watch"
REMEMBERED = 100_000
"""Ids of matches that are remembered, to tell each once."""
POLL_SECONDS = 0.2


class WatchRefused(Unavailable):
    """The search that a watch is made of could not be answered; the message says why."""


class WatchClient:
    """Adds, lists and ends standing searches; for one thread."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    def add(self, watch_id: str, request: SearchRequest, min_confidence: float = 0.5) -> tuple[Watch, SearchResult]:
        """Have what a request looks for looked for in every picture that is indexed from now on.

        The request is answered once, which gives the look, and the hits that there are already. What it says of
        pages, groups and order does not count. It takes the place of one of that id. Raises WatchRefused,
        NoAnswer, and Unavailable when Kafka is away.
        """
        with SearchClient(self._kafka) as searches:
            result = searches.search(request.model_copy(update={"look": True}))
        if result.look is None or result.encoder is None:
            raise WatchRefused(f"the search was answered `{result.status}`: {result.message or 'without a look'}")
        watch = Watch(
            watch_id=watch_id,
            tenant=request.tenant,
            look=result.look,
            encoder=result.encoder,
            weights=request.weighting(),
            filters=_but_for(request.filters, request.named_items),
            any_of=request.any_of,
            none_of=request.none_of,
            restricted=request.restricted,
            min_confidence=min_confidence,
            created_at=datetime.now(UTC),
        )
        self._keep({watch.key: watch})
        return watch, result

    def remove(self, tenant: str, watch_ids: Collection[str]) -> list[str]:
        """End standing searches; the ids of those that there were not."""
        known = {watch.watch_id for watch in self.all() if watch.tenant == tenant}
        self._keep({watch_key(tenant, watch_id): None for watch_id in watch_ids if watch_id in known})
        return [watch_id for watch_id in watch_ids if watch_id not in known]

    def all(self) -> list[Watch]:
        """Every standing search, the oldest first."""
        newest: dict[str, Watch] = {}
        for record in read_to_end(self._kafka, [SEARCH_WATCHES]):
            key = (record.key or b"").decode("utf-8", "replace")
            newest.pop(key, None)
            if isinstance(watch := _body(record), Watch):
                newest[key] = watch
        return sorted(newest.values(), key=lambda watch: watch.created_at)

    def follow(self, *, from_start: bool = False) -> Iterator[WatchMatched | None]:
        """What standing searches match from now on, or as far back as the topic goes; each once, for ever.

        None comes now and then while there is nothing.
        """
        reader = TopicReader(self._kafka, SEARCH_MATCHES)
        told: OrderedDict[bytes, None] = OrderedDict()
        try:
            if from_start:
                reader.rewind()
            while True:
                record = reader.poll(POLL_SECONDS)
                if record is None:
                    yield None
                elif (name := record.headers.get("ce_id") or b"") not in told:
                    told[name] = None
                    if len(told) > REMEMBERED:
                        told.popitem(last=False)
                    if isinstance(match := _body(record), WatchMatched):
                        yield match
        finally:
            reader.close()

    def _keep(self, watches: Mapping[str, Watch | None]) -> None:
        """Write these values of the topic; none ends a standing search."""
        with closing(EventSink(self._kafka)) as sink:
            for key, watch in watches.items():
                if watch is None:
                    sink.send_record(OutgoingRecord(SEARCH_WATCHES, key.encode(), None))
                else:
                    sink.send(SEARCH_WATCHES, key, Event(watch, source=SOURCE))
            sink.flush()


def _body(record: Record) -> object:
    """The event in a record; none when it is no event of this version."""
    try:
        return None if record.value is None else from_bytes(record.value)
    except Rejected:
        return None


def _but_for(filters: Filters, items: tuple[str, ...]) -> Filters:
    """The filters, which let these items not pass either."""
    return filters.model_copy(update={"exclude_items": tuple(dict.fromkeys((*filters.exclude_items, *items)))})
