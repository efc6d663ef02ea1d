"""Watch client: manage watches (standing searches) and read their matches over Kafka topics."""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime

from infra.client.search_client import SearchClient
from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, OutgoingRecord, Record, TopicReader, read_to_end
from schemas.envelope import Event, from_bytes
from schemas.failures import Rejected, Unavailable
from schemas.filters import Filters
from schemas.results import SearchResult
from schemas.searches import SearchRequest
from schemas.topics import SEARCH_MATCHES, SEARCH_WATCHES
from schemas.watches import Watch, WatchMatched, watch_key

SOURCE = "lookstream/watch"
MAX_KNOWN_IDS = 100_000
"""Ids of recent matches kept in memory, to return each match once."""
POLL_SECONDS = 0.2


class WatchRefused(Unavailable):
    """The search for a new watch could not be answered; the message gives the reason."""


class WatchClient:
    """Adds, lists and removes watches; for one thread."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka

    def add(self, watch_id: str, request: SearchRequest, min_confidence: float = 0.5) -> tuple[Watch, SearchResult]:
        """Add a watch: every picture indexed from now on is compared with the look of the request.

        The search runs once, for the look and the present hits; its options for paging, grouping and order have no
        effect on the watch. A watch of the same id is replaced. Raises WatchRefused, also for a search with `text`,
        NoAnswer, and Unavailable when Kafka is unavailable.
        """
        if request.text is not None:
            raise WatchRefused("a watch has no `text`: set `filters`")
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
            filters=_exclude(request.filters, request.named_items),
            any_of=request.any_of,
            none_of=request.none_of,
            restricted=request.restricted,
            min_confidence=min_confidence,
            created_at=datetime.now(UTC),
        )
        self._write({watch.key: watch})
        return watch, result

    def remove(self, tenant: str, watch_ids: Collection[str]) -> list[str]:
        """Remove watches of a tenant; returns the ids that did not exist."""
        known = {watch.watch_id for watch in self.all() if watch.tenant == tenant}
        self._write({watch_key(tenant, watch_id): None for watch_id in watch_ids if watch_id in known})
        return [watch_id for watch_id in watch_ids if watch_id not in known]

    def all(self) -> list[Watch]:
        """All watches, the oldest first."""
        watches_by_key: dict[str, Watch] = {}
        for record in read_to_end(self._kafka, [SEARCH_WATCHES]):
            key = (record.key or b"").decode("utf-8", "replace")
            watches_by_key.pop(key, None)
            if isinstance(watch := _event_in(record), Watch):
                watches_by_key[key] = watch
        return sorted(watches_by_key.values(), key=lambda watch: watch.created_at)

    def follow(self, *, from_start: bool = False) -> Iterator[WatchMatched | None]:
        """Endless stream of matches from now on, or from the start of the topic; each match once.

        Yields None regularly while there is no match.
        """
        reader = TopicReader(self._kafka, SEARCH_MATCHES)
        known_ids: OrderedDict[bytes, None] = OrderedDict()
        try:
            if from_start:
                reader.rewind()
            while True:
                record = reader.poll(POLL_SECONDS)
                if record is None:
                    yield None
                elif (event_id := record.headers.get("ce_id") or b"") not in known_ids:
                    known_ids[event_id] = None
                    if len(known_ids) > MAX_KNOWN_IDS:
                        known_ids.popitem(last=False)
                    if isinstance(match := _event_in(record), WatchMatched):
                        yield match
        finally:
            reader.close()

    def _write(self, watches: Mapping[str, Watch | None]) -> None:
        """Write the values to the watches topic; None (a tombstone) removes a watch."""
        with closing(EventSink(self._kafka)) as sink:
            for key, watch in watches.items():
                if watch is None:
                    sink.send_record(OutgoingRecord(SEARCH_WATCHES, key.encode(), None))
                else:
                    sink.send(SEARCH_WATCHES, key, Event(watch, source=SOURCE))
            sink.flush()


def _event_in(record: Record) -> object:
    """The event in a record; None if it is no event of this version."""
    try:
        return None if record.value is None else from_bytes(record.value)
    except Rejected:
        return None


def _exclude(filters: Filters, items: tuple[str, ...]) -> Filters:
    """The filters, with these items excluded too."""
    return filters.model_copy(update={"exclude_items": tuple(dict.fromkeys((*filters.exclude_items, *items)))})
