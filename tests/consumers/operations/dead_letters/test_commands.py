"""The commands for dead letters, as people and programs use them."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from consumers.operations.dead_letters.dead_letter import read_topics
from consumers.operations.dead_letters.local_file import DeadLetterFile
from infra.config.kafka import KafkaSettings
from infra.kafka import OutgoingRecord
from infra.local_state import DEAD_LETTERS_FILE, LocalState
from lookstream.cli import app
from schemas.failures import Code
from tests.consumers.operations.dead_letters.conftest import DeadLetterWriter, MakeRecord

LINK = "https://ana:canary@cdn.example/a.png?sig=canary"


def run(*words: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["dead-letters", *map(str, words)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(autouse=True)
def local(kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with the local state of a running `lookstream up`."""
    for name in os.environ:
        if name.startswith("LOOKSTREAM_"):
            monkeypatch.delenv(name)
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("LOOKSTREAM_DATA", str(data))
    monkeypatch.setenv("LOOKSTREAM_KAFKA_PREFIX", kafka.prefix)
    monkeypatch.setenv("LOOKSTREAM_QDRANT_API_KEY", "canary-key")
    LocalState(os.getpid(), kafka.bootstrap, None, ready=True).write(data)
    return data


@pytest.fixture
def letters(dead_letter_writer: DeadLetterWriter, make_record: MakeRecord) -> None:
    """Three letters: two missing pictures, one of them written twice, and one that is no JSON."""
    record = make_record("a", headers={"authorization": b"canary", "link": LINK.encode()})
    dead_letter_writer.write(record, message=f"{LINK} answered 404")
    dead_letter_writer.write(record, message=f"{LINK} answered 404")
    dead_letter_writer.write(make_record("b", offset=1), message="there is no picture `b.png` canary-key")
    dead_letter_writer.sink.send_record(
        OutgoingRecord("social.posts.dead", None, b"\x1b[31m canary-key", {"dead-code": b"event_unreadable"})
    )
    dead_letter_writer.sink.flush()


@pytest.mark.usefixtures("letters")
def test_letters_are_listed_each_once_the_newest_first_without_secrets() -> None:
    listed = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert len(listed) == 3
    assert [letter["died_at"] for letter in listed] == sorted((one["died_at"] for one in listed), reverse=True)
    [first] = [letter for letter in listed if letter["position"] == "catalog.items/1/0"]
    assert first["message"] == "https://***@cdn.example/a.png?*** answered 404"
    assert (first["key"], first["worker"], first["replayed_at"]) == ("default:a", "host-0", None)
    table = run("list", "--code", "image_missing", "--key", "default:*", "--since", "1h", "--limit", "1").stdout
    assert "catalog.items/1/1" in table
    assert "catalog.items/1/0" not in table
    assert "no dead letters" in run("list", "--code", "key_invalid").stdout


@pytest.mark.usefixtures("letters")
def test_one_letter_is_shown_whole_with_its_picture_cut_short_and_secrets_masked(
    tmp_path: Path, make_record: MakeRecord
) -> None:
    raw = tmp_path / "raw"
    printed = run("show", "catalog.items/1/0", "--raw", raw).stdout
    assert raw.read_bytes() == make_record("a").value
    assert '"item_id": "a"' in printed
    assert "characters)" in printed
    assert "canary" not in printed
    assert "header authorization" in printed
    assert "\x1b" not in run("show", "social.posts.dead/0/0").stdout
    assert "there is no dead letter catalog.items/9/9" in run("show", "catalog.items/9/9", code=2).stderr


@pytest.mark.usefixtures("letters")
def test_letters_are_counted_without_secrets() -> None:
    stats = json.loads(run("stats", "--json").stdout)
    assert stats["by_code"] == {"image_missing": 2, "event_unreadable": 1}
    assert stats["by_topic"] == {"catalog.items": 2, "social.posts.dead": 1}
    tables = run("stats").stdout
    assert "host-0" in tables
    assert "canary" not in tables + json.dumps(stats)


def test_wrong_options_are_reported_before_anything_is_read() -> None:
    for command in ("list", "stats", "replay"):
        assert "did you mean image_missing?" in run(command, "--code", "image_mising", code=2).stderr
    assert "give 30m, 2h, 3d" in run("list", "--since", "soon", code=2).stderr


@pytest.mark.usefixtures("letters")
def test_open_letters_are_saved_once_and_listed_with_those_of_the_next_broker(
    local: Path, kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord
) -> None:
    assert "kept 3 dead letters" in run("save").stderr
    assert run("save").stderr == ""
    assert len(run("list", "--json").stdout.splitlines()) == 3
    DeadLetterFile(local / DEAD_LETTERS_FILE).drop(
        {letter.id for letter in read_topics(kafka) if letter.code == "event_unreadable"}
    )
    dead_letter_writer.write(make_record("later", offset=0), Code.IMAGE_FORMAT)
    [first, second] = [
        json.loads(line)["id"]
        for line in run("list", "--json", "--key", "default:*").stdout.splitlines()
        if "catalog.items/1/0" in line
    ]
    assert first != second
    assert (
        "several dead letters are from catalog.items/1/0, as topics were recreated"
        in run("show", "catalog.items/1/0", code=2).stderr
    )
    assert '"item_id": "later"' in run("show", first).stdout
    assert first in run("list").stdout


def test_without_a_broker_the_kept_letters_are_still_there_and_replay_says_what_is_missing(
    local: Path, kafka: KafkaSettings, dead_letter_writer: DeadLetterWriter, make_record: MakeRecord
) -> None:
    dead_letter_writer.write(make_record("a"))
    run("save")
    (local / "up.json").unlink()
    assert "catalog.items/1/0" in run("list").stdout
    assert '"item_id": "a"' in run("show", "catalog.items/1/0").stdout
    assert "start `lookstream up`, then replay" in run("replay", code=2).stderr
    (local / DEAD_LETTERS_FILE).unlink()
    assert "start `lookstream up`" in run("list", code=1).stderr


@pytest.mark.usefixtures("letters")
def test_without_an_index_nothing_is_replayed() -> None:
    assert "no embedded index runs" in run("replay", code=1).stderr
