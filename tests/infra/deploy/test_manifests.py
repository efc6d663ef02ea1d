"""The compose file, the manifests and the image fit the program: commands, settings, secrets, versions."""

import json
import os
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from typer.main import get_command

from infra.config.settings import Settings, describe_settings, read_settings
from infra.qdrant.server.nodes import MIN_VERSION
from lookstream.cli import app
from tests.infra.deploy.deploy_files import (
    COMPOSE,
    DEPLOY,
    EXPANSION,
    K8S,
    config_map,
    containers,
    containers_of,
    environment_of,
    rendered,
    secret_keys,
    services,
    workloads,
)

ROOT = DEPLOY.parents[1]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
OPERATE = (ROOT / "docs" / "operate.md").read_text()
SECRET = re.compile("TOKEN|PASSWORD|KEY|SECRET")
LOCKS = [ROOT / "requirements.lock", DEPLOY / "image.lock", DEPLOY / "build.lock"]
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def compose_variables() -> dict[str, set[str]]:
    """The variables of the user's that each service of compose.yaml takes, by its name."""
    services = COMPOSE["services"].items()
    found = {name: set(re.findall(r"\$\{(\w+)", yaml.safe_dump(service))) for name, service in services}
    return found | {"prometheus": set(re.findall(r"\$\{(\w+)", yaml.safe_dump(COMPOSE["configs"])))}


def given_variables() -> Iterator[str]:
    """Every variable that a part of ours is given, but those that only fill in another one's value."""
    for service in services().values():
        yield from service["environment"]
    for container in containers():
        filled_in = {name for each in container["env"] for name in EXPANSION.findall(each.get("value", ""))}
        yield from {variable["name"] for variable in container["env"]} - filled_in
    yield from config_map()
    yield from re.findall(r"\b(LOOKSTREAM_\w+)=", DOCKERFILE)


def given_commands() -> Iterator[list[str]]:
    """Every command line of ours that a container runs, without the program's name."""
    for service in services().values():
        yield service["command"]
        test = service.get("healthcheck", {}).get("test", [])
        yield from [test[2:]] if test[:2] == ["CMD", "lookstream"] else []
    for container in containers():
        yield container["args"]
        probes = [container.get(name, {}).get("exec") for name in PROBES]
        yield from (probe["command"][1:] for probe in probes if probe)
    yield json.loads(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[0])


def read_as_settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    for name in [name for name in os.environ if name.startswith("LOOKSTREAM_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return read_settings()


def test_every_variable_is_a_setting_that_exists() -> None:
    given = set(given_variables())
    assert len(given) > 15
    assert given - {setting.variable for setting in describe_settings(Settings())} == set()


@pytest.mark.parametrize("words", list(given_commands()), ids=shlex.join)
def test_every_command_is_one_that_exists(words: list[str]) -> None:
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words[0]]
        words = words[1:]
    command.make_context(command.name, list(words))


@pytest.mark.parametrize("container", containers(), ids=lambda one: shlex.join(one["args"]))
def test_what_a_container_on_kubernetes_is_given_makes_sense_as_settings(
    monkeypatch: pytest.MonkeyPatch, container: dict[str, Any]
) -> None:
    secrets = {place: f"secret-of-{place[1]}" for place in secret_keys()}
    settings = read_as_settings(monkeypatch, environment_of(container, secrets))
    assert (settings.kafka.replication, settings.qdrant.replicas, settings.metrics.port) == (3, 2, 9400)
    assert settings.kafka.sasl_username == "secret-of-kafka-username"


@pytest.mark.parametrize("name", services())
def test_what_a_service_of_compose_is_given_makes_sense_as_settings(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    given = {
        variable: re.sub(r"\$\{(\w+)[^}]*\}", r"secret-of-\1", str(value))
        for variable, value in services()[name]["environment"].items()
    }
    assert read_as_settings(monkeypatch, given).kafka.bootstrap == "kafka:9092"


def test_each_token_of_the_gateway_has_a_secret_of_its_own_and_one_use(monkeypatch: pytest.MonkeyPatch) -> None:
    [gateway] = [container for container in containers() if container["args"] == ["gateway"]]
    environment = environment_of(gateway, {place: f"secret-of-{place[1]}" for place in secret_keys()})
    service = services()["gateway"]["environment"]["LOOKSTREAM_GATEWAY_TOKENS"]
    for text in (environment["LOOKSTREAM_GATEWAY_TOKENS"], service):
        tokens = json.loads(text)
        assert [token["uses"] for token in tokens] == [["search"], ["search", "write"], ["operate"]]
        assert len({token["token"] for token in tokens}) == len(tokens)


def test_no_secret_of_compose_has_two_uses() -> None:
    used = compose_variables()
    assert used["qdrant"] == {"QDRANT_KEY"}
    assert used["grafana"] == {"GRAFANA_PASSWORD"}
    assert used["gateway"] >= {"SEARCH_TOKEN", "WRITE_TOKEN", "OPERATE_TOKEN"}
    for worker in ("index", "query"):
        assert used[worker] & {"SEARCH_TOKEN", "WRITE_TOKEN", "OPERATE_TOKEN", "GRAFANA_PASSWORD"} == set()
    assert used["prometheus"] == {"METRICS_TOKEN", "OPERATE_TOKEN"}


def test_compose_says_how_to_make_every_secret_that_it_takes() -> None:
    [names] = re.findall(r"^#   for name in (.*); do$", (DEPLOY / "compose.yaml").read_text(), re.MULTILINE)
    assert set(names.split()) == set.union(*compose_variables().values()) - {"TORCH_INDEX"}


def test_every_key_of_a_secret_is_documented_and_no_other() -> None:
    used = set(secret_keys()) | {("kafka-ca", "ca.crt")}
    comment = (K8S / "settings.yaml").read_text().partition("apiVersion")[0].replace("\n#", " ")
    listed = {
        (secret, key.strip())
        for secret, keys in re.findall(r"(lookstream|kafka-ca): +([\w., -]+?)(?= +\S+: |\s*$)", comment)
        for key in keys.split(",")
    }
    assert listed == used
    rows = re.findall(r"^\| `(lookstream|kafka-ca)` \| `([\w.-]+)` \|", OPERATE, re.MULTILINE)
    assert set(rows) == used


def test_no_secret_is_written_down() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if SECRET.search(name) and not name.startswith("KAFKA_"):
                assert "${" in str(value), name
    for container in containers():
        for variable in container["env"]:
            if SECRET.search(variable["name"]):
                assert "secretKeyRef" in variable.get("valueFrom", {}) or "$(" in variable["value"], variable[
                    "name"
                ]


def test_every_qdrant_is_one_that_the_program_accepts() -> None:
    values = yaml.safe_load((DEPLOY / "engines" / "qdrant.yaml").read_text())
    tags = [COMPOSE["services"]["qdrant"]["image"].partition(":")[2], values["image"]["tag"]]
    assert len(set(tags)) == 1, "compose and Kubernetes are tried with one version"
    for tag in tags:
        assert [int(part) for part in tag.removeprefix("v").split(".")[:2]] >= list(MIN_VERSION)
    floor = ".".join(map(str, MIN_VERSION))
    for page in ("README.md", "docs/operate.md"):
        versions = re.findall(r"Qdrant[^.|]{0,40}?(\d+\.\d+) or newer", (ROOT / page).read_text())
        assert set(versions) == {floor}, page


def test_applying_again_changes_nothing_that_cannot_be_changed() -> None:
    kinds = {manifest["kind"] for manifest in rendered()}
    assert not kinds & {"Job", "Pod"}, "what has finished cannot be applied again with another image"


def test_what_is_scaled_by_itself_has_no_number_of_replicas() -> None:
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in rendered() if one["kind"] == "ScaledObject"}
    assert scaled == {"index-worker", "query-worker"}
    for manifest in workloads():
        assert ("replicas" in manifest["spec"]) == (manifest["metadata"]["name"] not in scaled)


def test_every_manifest_is_in_the_kustomization() -> None:
    kustomization = yaml.safe_load((K8S / "kustomization.yaml").read_text())
    assert {path.name for path in K8S.glob("*.yaml")} - {"kustomization.yaml"} == set(kustomization["resources"])


def test_every_name_that_a_manifest_refers_to_is_there() -> None:
    names = {(one["kind"], one["metadata"]["name"]) for one in rendered()}
    for manifest in rendered():
        if target := manifest.get("spec", {}).get("scaleTargetRef"):
            assert ("Deployment", target["name"]) in names
        for trigger in manifest.get("spec", {}).get("triggers", ()):
            if "authenticationRef" in trigger:
                assert ("TriggerAuthentication", trigger["authenticationRef"]["name"]) in names
        for container in containers_of(manifest):
            for source in container.get("envFrom", ()):
                assert ("ConfigMap", source["configMapRef"]["name"]) in names


def test_no_container_of_ours_runs_as_root_or_may_write_where_it_need_not() -> None:
    for manifest in workloads():
        pod = manifest["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in containers_of(manifest):
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True
            assert (own["allowPrivilegeEscalation"], own["capabilities"]) == (False, {"drop": ["ALL"]})
            assert container["resources"]["limits"]["memory"]
    assert re.search(r"^USER 10001$", DOCKERFILE, re.MULTILINE)
    for name, service in services().items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name


def test_what_listens_beyond_its_machine_has_a_token() -> None:
    for name, service in services().items():
        for variable in [one for one in service["environment"] if one.endswith("_HOST")]:
            part = variable.removesuffix("_HOST")
            assert {f"{part}_TOKEN", f"{part}_TOKENS"} & set(service["environment"]), (name, variable)
    for service in COMPOSE["services"].values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


def test_what_kafka_keeps_lies_on_its_volume() -> None:
    kafka = COMPOSE["services"]["kafka"]
    [volume] = kafka["volumes"]
    assert volume.partition(":")[2] == kafka["environment"]["KAFKA_LOG_DIRS"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_locked_package_has_its_hashes(lock: Any) -> None:
    packages = re.split(r"\n(?=\S)", lock.read_text().strip())
    assert len(packages) > 3
    for package in packages:
        assert re.match(r"[\w.-]+==\S+", package), package[:100]
        assert "--hash=sha256:" in package, f"{package[:60]}: run `make lock`"


def test_the_image_installs_nothing_but_what_is_locked() -> None:
    installs = re.findall(r"pip install (.*?)(?: \\)?$", DOCKERFILE, re.MULTILINE)
    assert installs
    for options in installs:
        assert "--no-deps" in options or "--requirement torch.lock" in options, options
    everything = {line.split("==")[0] for line in LOCKS[0].read_text().splitlines() if "==" in line}
    for lock in LOCKS[1:]:
        assert {line.split("==")[0] for line in lock.read_text().splitlines() if "==" in line} <= everything
