"""Pictures that were fetched ahead: each belongs to one record, not to every record of its event."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from infra.fetching.prefetch import Prefetch
from schemas.failures import Failure
from schemas.items import FileImage, ImageRef
from tests.conftest import draw_disc
from tests.consumers.indexer_harness import HashPictures, IndexerHarness, open_indexer, open_shard
from tests.consumers.item_histories import upsert
from tests.infra.fetching.picture_host import images


@dataclass
class FilePictures(HashPictures):
    """Fetches files of a folder, ahead of their batch too; the looks are those of HashPictures."""

    prefetch: Prefetch = field(kw_only=True)

    def begin(self, pairs: Sequence[tuple[str, ImageRef]]) -> None:
        self.prefetch.begin(pairs)

    def fetch_waves(self, pairs: Sequence[tuple[str, ImageRef]]) -> Iterator[dict[int, bytes | Failure]]:
        return self.prefetch.fetch_waves(pairs)


@pytest.fixture
def indexer(tmp_path: Path) -> Iterator[IndexerHarness]:
    for name in ("shop", "index"):
        (tmp_path / name).mkdir()
    with images(roots={"shop": str(tmp_path / "shop")}) as opened, closing(open_shard(tmp_path / "index")) as shard:
        yield open_indexer(shard, FilePictures(prefetch=Prefetch(opened)))


def test_a_replay_gets_the_picture_that_is_there_by_then(indexer: IndexerHarness, tmp_path: Path) -> None:
    event = replace(upsert("lamp", 1, FileImage(root="shop", path="lamp.png")), position="catalog.items/0/7")
    assert indexer.handle(event)
    indexer.job.prepare([event])  # the look-ahead, on a thread of its own, is later than the batch
    (tmp_path / "shop" / "lamp.png").write_bytes(draw_disc("#cc2222"))
    assert indexer.handle(replace(event, position="catalog.items/0/9")) == {}
