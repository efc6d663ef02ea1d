"""Rights in Kafka: the commands grant exactly what the table says, and the page shows the same table."""

import itertools
import shlex
from pathlib import Path

import pytest

from infra.kafka_admin.access import AccessRight, KafkaUser, access_rights
from schemas.topics import all_topics

PAGE = Path(__file__).parents[3] / "docs" / "operate.md"


def rights_table() -> str:
    """The table of docs/operate.md: `python -m tests.infra.kafka_admin.test_access` prints it."""
    lines = ["| part | resource | operations |", "|---|---|---|"]
    for part in KafkaUser:
        groups: dict[tuple[str, tuple[str, ...], bool], list[str]] = {}
        for right in access_rights(part):
            groups.setdefault((right.resource, right.operations, right.prefixed), []).append(f"`{right.name}`")
        for (resource, operations, prefixed), names in groups.items():
            kind = f"{resource}s that begin with" if prefixed else resource
            names_text = "every topic" if len(names) == len(all_topics()) else f"{kind} {', '.join(names)}"
            lines.append(f"| {part} | {names_text} | {', '.join(operations)} |")
    return "\n".join(lines) + "\n"


def test_the_page_shows_the_rights_of_each_part() -> None:
    table = PAGE.read_text().split("<!-- acls -->\n")[1].split("<!-- /acls -->")[0]
    assert table == rights_table(), "paste what `python -m tests.infra.kafka_admin.test_access` prints"


@pytest.mark.parametrize("part", KafkaUser)
def test_a_command_grants_a_right_and_nothing_else(part: KafkaUser) -> None:
    for right in access_rights(part, "shop."):
        words = shlex.split(right.command("User:me", "kafka:9092"))
        assert words[:6] == [
            "kafka-acls.sh",
            "--bootstrap-server",
            "kafka:9092",
            "--add",
            "--allow-principal",
            "User:me",
        ]
        granted = [after for word, after in itertools.pairwise(words) if word == "--operation"]
        assert granted == list(right.operations)
        assert words[words.index(f"--{right.resource}") + 1] == right.name
        assert right.name.startswith("shop.")
        assert ("prefixed" in words) is right.prefixed


def test_only_the_operator_may_create_or_change_topics() -> None:
    for part in set(KafkaUser) - {KafkaUser.TOPICS}:
        assert {operation for right in access_rights(part) for operation in right.operations} <= {
            "Read",
            "Write",
            "Describe",
        }


def test_names_with_letters_for_the_shell_are_quoted() -> None:
    right = AccessRight(access_rights(KafkaUser.SEND)[0].resource, "a b", ("Read",))
    assert shlex.split(right.command("User:CN=a b", "k:1"))[-1] == "a b"


if __name__ == "__main__":
    print(rights_table(), end="")
