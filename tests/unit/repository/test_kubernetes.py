"""The manifests in docs/several-workers.md hold together, and say what the image and the worker do."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from notifier.service.loops import GRACE
from notifier.web import app

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/several-workers.md").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SECTION = DOCUMENT.partition("## On Kubernetes\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def manifests() -> dict[str, Any]:
    """By their kinds."""
    (text,) = re.findall(r"^```yaml\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)
    return {each["kind"]: each for each in YAML(typ="safe").load_all(text)}


@pytest.fixture(scope="module")
def pod(manifests: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifests["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    return dict(only)


def test_all_that_selects_the_pods_selects_them(manifests: dict[str, Any], pod: dict[str, Any]) -> None:
    assert {kind: each["apiVersion"] for kind, each in manifests.items()} == {
        "Deployment": "apps/v1",
        "PodDisruptionBudget": "policy/v1",
    }
    deployment, budget = (manifests[kind]["spec"] for kind in ("Deployment", "PodDisruptionBudget"))
    labels = deployment["template"]["metadata"]["labels"]
    (spread,) = pod["topologySpreadConstraints"]
    assert [each["matchLabels"] for each in (deployment["selector"], budget["selector"], spread["labelSelector"])] == [
        labels
    ] * 3
    assert budget["maxUnavailable"] < deployment["replicas"]


def test_a_pod_has_the_time_that_the_worker_takes_to_end(pod: dict[str, Any]) -> None:
    assert pod["terminationGracePeriodSeconds"] > GRACE + 3  # it ends within 10 seconds


def test_a_replica_is_called_as_its_pod(container: dict[str, Any]) -> None:
    (named,) = [each for each in container["env"] if each["name"] == "NOTIFIER_REPLICA"]
    assert named["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_each_probe_asks_for_what_the_worker_answers_at_the_port_that_the_image_listens_on(
    container: dict[str, Any],
) -> None:
    (port,) = container["ports"]
    assert f"NOTIFIER_LISTEN=0.0.0.0:{port['containerPort']}" in DOCKERFILE
    probes = {name: container[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}
    asked = {name: probe["httpGet"]["path"] for name, probe in probes.items()}
    assert asked == {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}
    assert all(f'"{path}"' in Path(app.__file__).read_text() for path in asked.values())
    assert {probe["httpGet"]["port"] for probe in probes.values()} == {port["name"]}
    assert all(probe["timeoutSeconds"] == 5 for probe in probes.values())  # docs/server.md says why


def test_a_database_that_is_away_for_some_minutes_restarts_nobody(container: dict[str, Any]) -> None:
    """`/healthz` is 503 then, and who is started meanwhile can't begin."""
    for name in ("startupProbe", "livenessProbe"):
        probe = container[name]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 600, name


def test_what_is_mounted_is_there_and_is_a_whole_directory_which_follows_changes(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    mounts = {each["name"]: each for each in container["volumeMounts"]}
    assert mounts.keys() == {each["name"] for each in pod["volumes"]}
    assert all(each["readOnly"] and "subPath" not in each for each in mounts.values())
    assert f"NOTIFIER_CONFIG={mounts['watchlist']['mountPath']}/watchlist.yaml" in DOCKERFILE
    files = [each["value"] for each in container["env"] if each["name"].endswith("_FILE")]
    assert files
    assert {Path(file).parent for file in files} == {Path(mounts["secrets"]["mountPath"])}


def test_a_pod_writes_nothing_and_has_no_right_that_it_does_not_need(
    pod: dict[str, Any], container: dict[str, Any]
) -> None:
    assert container["securityContext"] == {
        "runAsNonRoot": True,  # the image's user is a number, by which Kubernetes sees that
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert re.search(r"^USER \d+:\d+$", DOCKERFILE, re.MULTILINE)
    assert pod["automountServiceAccountToken"] is False
