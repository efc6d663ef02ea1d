"""The files of infra/deploy: `python -m tests.infra.deploy.deploy_files` prints what kustomize would make of them.

kustomize itself is not needed: of its features the kustomization uses resources, a namespace, labels and images.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[3] / "infra" / "deploy"
K8S = DEPLOY / "k8s"
KUSTOMIZATION = yaml.safe_load((K8S / "kustomization.yaml").read_text())
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())
DASHBOARD = json.loads((DEPLOY / "grafana" / "lookstream.json").read_text())
COMPOSE_IMAGE = "lookstream:local"
"""The image of our parts in compose.yaml; on Kubernetes it is called lookstream."""
CLUSTER_WIDE = {"Namespace"}
WORKLOADS = {"Deployment", "StatefulSet", "Job", "CronJob"}
EXPANSION = re.compile(r"\$\((\w+)\)")
"""How Kubernetes names one variable in the value of another."""
RENDERS = {"apiVersion", "kind", "namespace", "resources", "labels", "images"}
"""The features of kustomize that this file supports."""

Manifest = dict[str, Any]


def rendered() -> list[Manifest]:
    """Every object that `kubectl apply --kustomize` sends."""
    assert set(KUSTOMIZATION) <= RENDERS, f"teach {__file__} to render {set(KUSTOMIZATION) - RENDERS}"
    texts = [(K8S / name).read_text() for name in KUSTOMIZATION["resources"]]
    return [_placed(manifest) for text in texts for manifest in yaml.safe_load_all(text) if manifest]


def _placed(manifest: Manifest) -> Manifest:
    """With the kustomization's namespace, labels and images."""
    metadata = manifest["metadata"]
    if manifest["kind"] not in CLUSTER_WIDE:
        metadata["namespace"] = KUSTOMIZATION["namespace"]
    for labels in KUSTOMIZATION["labels"]:
        assert set(labels) == {"pairs"}
        metadata["labels"] = metadata.get("labels", {}) | labels["pairs"]
    for container in containers_of(manifest):
        for image in KUSTOMIZATION["images"]:
            if container["image"].partition(":")[0] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
    return manifest


def workloads() -> list[Manifest]:
    """The manifests that make pods."""
    return [manifest for manifest in rendered() if manifest["kind"] in WORKLOADS]


def containers_of(manifest: Manifest) -> list[Manifest]:
    """The containers of a workload, those included that run before the others."""
    if manifest["kind"] not in WORKLOADS:
        return []
    pod = manifest["spec"]["template"]["spec"]
    return [*pod.get("initContainers", ()), *pod["containers"]]


def containers() -> list[Manifest]:
    """Every container on Kubernetes."""
    return [container for manifest in workloads() for container in containers_of(manifest)]


def services() -> dict[str, Manifest]:
    """The services of compose.yaml that run our image."""
    return {name: service for name, service in COMPOSE["services"].items() if service["image"] == COMPOSE_IMAGE}


def config_map() -> dict[str, str]:
    """The settings that all parts share on Kubernetes."""
    [shared] = [manifest["data"] for manifest in rendered() if manifest["kind"] == "ConfigMap"]
    return dict(shared)


def environment_of(container: Manifest, secrets: dict[tuple[str, str], str]) -> dict[str, str]:
    """The variables that a container on Kubernetes gets, with the secrets that are named, by (secret, key)."""
    values = config_map() if container.get("envFrom") else {}
    for variable in container["env"]:
        if "value" in variable:
            text = EXPANSION.sub(lambda found: values[found[1]], variable["value"])
            values[variable["name"]] = text
        else:
            reference = variable["valueFrom"]["secretKeyRef"]
            values[variable["name"]] = secrets[reference["name"], reference["key"]]
    return values


def secret_keys() -> Iterator[tuple[str, str]]:
    """Every key of a Secret that a manifest refers to, as (secret, key)."""
    for container in containers():
        for variable in container["env"]:
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                yield reference["name"], reference["key"]
    for manifest in rendered():
        spec = manifest.get("spec", {})
        for target in spec.get("secretTargetRef", ()):
            yield target["name"], target["key"]
        for endpoint in (*spec.get("podMetricsEndpoints", ()), *spec.get("endpoints", ())):
            yield endpoint["authorization"]["credentials"]["name"], endpoint["authorization"]["credentials"]["key"]


def queries() -> dict[str, str]:
    """Every query of the dashboard and of the alerts, by its panel or alert."""
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    parts = {
        f"{panel['title']} {target['refId']}": target["expr"] for panel in panels for target in panel["targets"]
    }
    return parts | {rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"]}


if __name__ == "__main__":
    print(yaml.safe_dump_all(rendered(), sort_keys=False), end="")
