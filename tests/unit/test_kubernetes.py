"""The manifests: what the API takes, and what agrees with the app's own settings and timings."""

import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from config.settings import Settings
from dev import ROOT
from source import commit_reporter
from web import probe

FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS = {
    (found["kind"], found["metadata"]["name"]): found
    for name in KUSTOMIZATION["resources"]
    for found in yaml.safe_load_all((FOLDER / name).read_text())
}
NAME = "flash-sale-etl"
DEPLOYMENT = OBJECTS["Deployment", NAME]["spec"]
JOB = OBJECTS["Job", f"{NAME}-migrate"]["spec"]
PODS = {"worker": DEPLOYMENT["template"], "migrate": JOB["template"]}
WORKER = PODS["worker"]["spec"]["containers"][0]
#: Of Kubernetes and of its schemas.
VERSION = "1.37.0"


def default(name):
    return Settings.model_fields[name].default


def literals():
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    return dict(line.split("=", 1) for line in generated["literals"])


def rendered():
    """What `kubectl kustomize` makes of the folder, or its files where there is no kubectl."""
    if shutil.which("kubectl"):
        command = ["kubectl", "kustomize", str(FOLDER)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = list(yaml.safe_load_all(text))
        kinds = {(one["kind"], one["metadata"]["name"]) for one in found}
        assert kinds >= OBJECTS.keys()
        return found
    return list(OBJECTS.values())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_api_takes_what_is_rendered(tmp_path):
    uv = str(Path(sys.executable).with_name("uv"))
    validate = [uv, "tool", "run", f"kubernetes-validate=={VERSION}"]
    if subprocess.run([*validate, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("kubernetes-validate cannot be fetched")
    ours = [one for one in rendered() if one["kind"] != "ScaledObject"]
    assert len(ours) >= 4
    for number, found in enumerate(ours):
        path = tmp_path / f"{number}.yaml"
        path.write_text(yaml.safe_dump(found))
        command = [*validate, "--strict", "-k", VERSION, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    # What it takes is not everything.
    (tmp_path / "0.yaml").write_text(yaml.safe_dump(found | {"spec": {"podSelectors": {}}}))
    command = [*validate, "--strict", "-k", VERSION, str(tmp_path / "0.yaml")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_the_grace_covers_the_last_write_and_commit():
    needed = default("shutdown_timeout") + commit_reporter.LAST_COMMIT_TIMEOUT
    graces = {
        "kubernetes": PODS["worker"]["spec"]["terminationGracePeriodSeconds"],
        "compose": number(ROOT / "compose.yaml", r"stop_grace_period: (\d+)s"),
        "systemd": number(ROOT / "deploy/systemd/flash-sale-etl.service", r"TimeoutStopSec=(\d+)"),
        "page": number(ROOT / "docs/deploy.md", r"SIGTERM ends a worker within (\d+) seconds"),
    }
    assert set(graces.values()) == {30}
    assert needed * 2 < 30


def number(path, pattern):
    (found,) = re.findall(pattern, path.read_text())
    return int(found)


def test_the_probes_leave_a_worker_time_to_start():
    start, alive, ready = (WORKER[f"{name}Probe"] for name in ("startup", "liveness", "readiness"))
    assert start["periodSeconds"] * start["failureThreshold"] >= 60
    assert DEPLOYMENT["progressDeadlineSeconds"] > default("start_timeout")
    # The probe's own limit ends before Kubernetes ends the probe.
    assert ready["timeoutSeconds"] > probe.TIMEOUT
    assert alive["httpGet"] == start["httpGet"] == {"path": "/health/", "port": "web"}
    assert ready["exec"]["command"] == ["python", "-m", "web.probe", "/ready/"]
    listed = (ROOT / "docs" / "web.md").read_text()
    assert all(f"| `{page}` |" in listed for page in ("/health/", "/ready/", "/metrics"))


def test_ports_are_those_of_the_app():
    assert [port["containerPort"] for port in WORKER["ports"]] == [default("port")]
    policy = OBJECTS["NetworkPolicy", NAME]["spec"]
    assert [port["port"] for port in policy["ingress"][0]["ports"]] == [default("port")]
    egress = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert egress == {53, 3306, int(literals()["KAFKA_URL"].rpartition(":")[2])}
    annotations = PODS["worker"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(default("port"))


def test_settings_are_the_apps_and_secrets_are_files():
    assert {name.lower() for name in literals()} <= Settings.model_fields.keys()
    assert literals()["TOPIC"] == default("topic")
    assert literals()["CONSUMER_GROUP"] == default("consumer_group")
    for name, pod in PODS.items():
        (container,) = pod["spec"]["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": NAME}}]
        mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
        for one in container["env"]:
            setting = one["name"].removesuffix("_FILE").lower()
            assert setting in Settings.secrets(), setting
            assert one["value"].startswith(f"{mounts['secrets']}/"), name
            assert f"{one['value'].rpartition('/')[2]}=" in (ROOT / "docs/deploy.md").read_text()


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS.keys())
def test_pods_have_no_rights(pod):
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    user = spec["securityContext"]
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}" in (ROOT / "Dockerfile").read_text()
    assert (user["runAsNonRoot"], spec["automountServiceAccountToken"]) == (True, False)
    assert user["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"] == KUSTOMIZATION["images"][0]["name"]


def test_workers_are_selected_and_the_migration_is_not():
    workers, migrate = (pod["metadata"]["labels"] for pod in PODS.values())
    selectors = [
        DEPLOYMENT["selector"]["matchLabels"],
        OBJECTS["PodDisruptionBudget", NAME]["spec"]["selector"]["matchLabels"],
        *(
            spread["labelSelector"]["matchLabels"]
            for spread in PODS["worker"]["spec"]["topologySpreadConstraints"]
        ),
    ]
    assert all(first == second for first, second in pairwise([workers, *selectors]))
    both = OBJECTS["NetworkPolicy", NAME]["spec"]["podSelector"]["matchLabels"]
    assert both.items() <= workers.items()
    assert both.items() <= migrate.items()
    assert workers != migrate


def test_keda_scales_by_the_lag_of_the_apps_group():
    scaled = OBJECTS["ScaledObject", NAME]["spec"]
    assert scaled["scaleTargetRef"] == {"name": OBJECTS["Deployment", NAME]["metadata"]["name"]}
    assert "replicas" not in DEPLOYMENT, "two would decide"
    assert scaled["fallback"]["replicas"] == scaled["minReplicaCount"] >= 2
    (trigger,) = scaled["triggers"]
    asked = {k: v for k, v in trigger["metadata"].items() if k.endswith("FromEnv")}
    assert asked.keys() == {
        f"{one}FromEnv" for one in ("bootstrapServers", "topic", "consumerGroup")
    }
    assert set(asked.values()) <= literals().keys()
    # It takes addresses alone.
    assert "//" not in literals()["KAFKA_URL"]
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
