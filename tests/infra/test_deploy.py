"""The files of infra/deploy fit the program: their settings, commands and metrics are those that exist."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

import lookstream
from infra.metrics import CanaryMetrics, GatewayMetrics, ItemMetrics, SearchMetrics, WorkerMetrics
from infra.settings import Settings, describe_settings

DEPLOY = Path(__file__).parents[2] / "infra" / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())
DASHBOARD = json.loads((DEPLOY / "grafana" / "lookstream.json").read_text())
OWN = "lookstream:local"
"""The image of our parts in compose.yaml; on Kubernetes it is called lookstream."""
FROM_PROMETHEUS = {"up"}


def manifests() -> list[dict[str, Any]]:
    """Every object of the Kubernetes files."""
    paths = sorted((DEPLOY / "k8s").glob("*.yaml"))
    return [one for path in paths for one in yaml.safe_load_all(path.read_text()) if one]


def containers() -> list[dict[str, Any]]:
    specs = [one["spec"]["template"]["spec"] for one in manifests() if one["kind"] in ("Deployment", "Job")]
    return [container for spec in specs for container in spec["containers"]]


def services() -> dict[str, dict[str, Any]]:
    return {name: one for name, one in COMPOSE["services"].items() if one["image"] == OWN}


def given_settings() -> Iterator[str]:
    """Every variable that a part of ours is given."""
    for service in services().values():
        yield from service["environment"]
    for container in containers():
        yield from (variable["name"] for variable in container["env"])
    for one in manifests():
        yield from one["data"] if one["kind"] == "ConfigMap" else ()
    yield from re.findall(r"\b(LOOKSTREAM_\w+)=", (DEPLOY / "Dockerfile").read_text())


def given_commands() -> Iterator[list[str]]:
    """Every command line of ours that a container runs, without the program's name."""
    for service in services().values():
        yield service["command"]
        test = service.get("healthcheck", {}).get("test", [])
        yield from [test[2:]] if test[:2] == ["CMD", "lookstream"] else []
    for container in containers():
        yield container["args"]
        probes = [
            container.get(name, {}).get("exec") for name in ("startupProbe", "readinessProbe", "livenessProbe")
        ]
        yield from (probe["command"][1:] for probe in probes if probe)
    yield json.loads(re.findall(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)[0])


def queries() -> dict[str, str]:
    """Every query of the dashboard and of the alerts, by what it is for."""
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    shown = {
        f"{panel['title']} {target['refId']}": target["expr"] for panel in panels for target in panel["targets"]
    }
    return shown | {rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"]}


def told_metrics() -> set[str]:
    """The names of all samples that there can be."""
    worker = WorkerMetrics("index")
    ItemMetrics(worker.registry)
    SearchMetrics(worker.registry)
    text = (worker.registry, CanaryMetrics().registry, GatewayMetrics().registry)
    families = [family for registry in text for family in registry.collect()]
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    return {family.name + ending for family in families for ending in endings[family.type]} | FROM_PROMETHEUS


def test_every_variable_is_a_setting_that_exists() -> None:
    given = set(given_settings())
    assert len(given) > 15
    assert given - {setting.variable for setting in describe_settings(Settings())} == set()


def test_what_is_given_makes_sense_as_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    [shared] = [one["data"] for one in manifests() if one["kind"] == "ConfigMap"]
    for name, value in shared.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert (settings.kafka.replication, settings.qdrant.replicas, settings.metrics.port) == (3, 2, 9400)


@pytest.mark.parametrize("words", list(given_commands()), ids=shlex.join)
def test_every_command_is_one_that_exists(words: list[str]) -> None:
    command: Any = get_command(lookstream.app)
    while hasattr(command, "commands"):
        command = command.commands[words[0]]
        words = words[1:]
    command.make_context(command.name, list(words))


@pytest.mark.parametrize("what", list(queries()))
def test_every_query_asks_for_metrics_that_are_told(what: str) -> None:
    words = set(re.findall(r"\b((?:lookstream|process)_\w+|up)\b(?=[{\[)\s]|$)", queries()[what]))
    assert words
    assert words - told_metrics() == set()


def test_every_alert_is_explained_to_whoever_is_woken() -> None:
    page = (DEPLOY.parents[1] / "docs" / "operate.md").read_text()
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert f"### {rule['alert']}\n" in page, rule["alert"]


def test_no_container_of_ours_runs_as_root_or_may_write_where_it_need_not() -> None:
    for one in manifests():
        if one["kind"] not in ("Deployment", "Job"):
            continue
        pod = one["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"] is True
            assert (own["allowPrivilegeEscalation"], own["capabilities"]) == (False, {"drop": ["ALL"]})
            assert container["resources"]["limits"]["memory"]
    assert re.search(r"^USER 10001$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for name, service in services().items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name


def test_no_secret_is_written_down() -> None:
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("TOKEN|PASSWORD|API_KEY", name):
                assert str(value).startswith("${"), name
    for container in containers():
        for variable in container["env"]:
            if re.search("TOKEN|PASSWORD|API_KEY", variable["name"]):
                assert "secretKeyRef" in variable["valueFrom"], variable["name"]


def test_what_listens_beyond_its_machine_has_a_token() -> None:
    for name, service in services().items():
        for variable in [one for one in service["environment"] if one.endswith("_HOST")]:
            assert variable.replace("_HOST", "_TOKEN") in service["environment"], (name, variable)
    for service in COMPOSE["services"].values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


def test_what_kafka_keeps_lies_on_its_volume() -> None:
    kafka = COMPOSE["services"]["kafka"]
    [volume] = kafka["volumes"]
    assert volume.partition(":")[2] == kafka["environment"]["KAFKA_LOG_DIRS"]
