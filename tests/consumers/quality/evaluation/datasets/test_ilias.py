"""ILIAS: queries among positives and distractors, which stay in their archives."""

import gc
import io
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image

from consumers.quality.evaluation.datasets.formats import open_dataset
from consumers.quality.evaluation.ground_truth import GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from infra.config.errors import BadInput
from tests.consumers.quality.evaluation.datasets.conftest import Select
from tests.consumers.quality.evaluation.made_datasets import draw_noise, encoded, make_ilias, write_tar


def test_queries_are_searched_among_positives_and_distractors(tmp_path: Path, read: Select) -> None:
    chosen = read(make_ilias(tmp_path))
    assert len(chosen.queries) == 9
    assert len(chosen.catalogue) == 18 + 10
    assert chosen.queries[0].image == "funny_name_000/query/Q000_00.jpg"
    assert [row.category for row in chosen.queries] == ["product"] * 6 + [""] * 3
    truth = GroundTruth(tuple(chosen.catalogue), tuple(chosen.queries))
    assert [len(truth.qrels_of(row)[0]) for row in chosen.queries] == [2] * 9
    assert chosen.skipped == ()


def test_the_protocol_is_map_at_1000(tmp_path: Path) -> None:
    dataset = open_dataset(make_ilias(tmp_path), None, None)
    assert (dataset.name, dataset.split, dataset.measure.name) == ("ILIAS", "images", "mAP@1000")
    assert "whole" in dataset.rule
    assert "2 archives" in dataset.rule


def test_distractors_are_read_out_of_their_archives(tmp_path: Path, read: Select) -> None:
    distractors = read(make_ilias(tmp_path)).catalogue[18:]
    assert distractors[6].image == "yfcc100m_00001.tar/1/1.jpg"
    assert [row.read() for row in distractors] == [encoded(draw_noise(n)) for n in range(10)]
    assert {row.label for row in distractors} == {""}


def test_the_split_crops_cuts_queries_to_the_box_around_their_boxes(tmp_path: Path, read: Select) -> None:
    whole, cut = (read(make_ilias(tmp_path), split).queries[0] for split in ("images", "crops"))
    assert Image.open(io.BytesIO(whole.read())).size == (128, 64)
    assert Image.open(io.BytesIO(cut.read())).size == (115 - 76, 39)


@pytest.mark.parametrize("content", ["", "1 2 3\n", "a b c d\n", None])
def test_a_query_without_a_box_is_left_out_of_crops(tmp_path: Path, read: Select, content: str | None) -> None:
    file = make_ilias(tmp_path) / "ilias_core" / "funny_name_000" / "query" / "Q000_00_bbox.txt"
    file.unlink() if content is None else file.write_text(content)
    chosen = read(tmp_path, "crops")
    assert len(chosen.queries) == 8
    assert [entry.name for entry in chosen.skipped] == ["funny_name_000/query/Q000_00.jpg"]


def test_a_damaged_archive_costs_its_own_rest_alone(tmp_path: Path, read: Select) -> None:
    file = make_ilias(tmp_path) / "yfcc100m" / "yfcc100m_00000.tar"
    data = bytearray(file.read_bytes())
    second = data.index(b"0/1.jpg")
    data[second : second + 512] = b"\x55" * 512
    file.write_bytes(data)
    chosen = read(tmp_path)
    assert len(chosen.catalogue) == 18 + 1 + 5
    [entry] = chosen.skipped
    assert entry.name == "yfcc100m/yfcc100m_00000.tar"
    assert "damaged" in entry.reason


def test_a_cut_archive_has_an_empty_last_picture(tmp_path: Path, read: Select) -> None:
    file = make_ilias(tmp_path) / "yfcc100m" / "yfcc100m_00000.tar"
    data = file.read_bytes()
    file.write_bytes(data[: data.index(b"0/4.jpg") + 600])
    chosen = read(tmp_path)
    assert len(chosen.catalogue) >= 18 + 4 + 5


def test_a_set_without_distractors_is_read(tmp_path: Path, read: Select) -> None:
    make_ilias(tmp_path)
    for file in (tmp_path / "yfcc100m").iterdir():
        file.unlink()
    (tmp_path / "yfcc100m").rmdir()
    assert len(read(tmp_path).catalogue) == 18


@pytest.mark.parametrize("content", ["[]", "{", '{"a": {"b": {"c": 1}}}', '{"a": 1}'])
def test_another_taxonomy_is_refused(tmp_path: Path, content: str) -> None:
    (make_ilias(tmp_path) / "taxonomy.json").write_text(content)
    with pytest.raises(BadInput, match="no taxonomy of ILIAS"):
        open_dataset(tmp_path, None, None)


def test_a_large_archive_is_listed_in_little_memory(tmp_path: Path) -> None:
    make_ilias(tmp_path)
    write_tar(tmp_path / "yfcc100m" / "yfcc100m_00002.tar", {f"{n}.jpg": b"\0" for n in range(5_000)})
    dataset = open_dataset(tmp_path, None, None)
    gc.collect()
    tracemalloc.start()
    assert sum(isinstance(entry, LabelledImage) for entry in dataset.catalogue()) == 18 + 10 + 5_000
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
