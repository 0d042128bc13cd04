"""What is deployed agrees with what is developed: lock, settings, routes, manifests."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from honcho.environ import parse_procfile

from config.fields import DATABASE_VARIABLES
from config.settings import Settings
from dev import ROOT
from dev.docs.licences import canonical, closure, locked
from dev.servers.database import SERVERS

VARIABLES = {name.upper() for name in Settings.model_fields} | {*DATABASE_VARIABLES}
REQUIREMENTS = [
    line
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
MANIFESTS = sorted((ROOT / "deploy").rglob("*.y*ml"))
UNIT = ROOT / "deploy" / "systemd" / "flash-sale-etl.service"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_lock_and_requirements_agree():
    assert {canonical(name) for name in locked()} == closure(REQUIREMENTS)
    for line in REQUIREMENTS:
        name, _, version = line.partition("==")
        assert locked()[canonical(name.partition("[")[0])] == version, line


def test_what_builds_the_module_is_locked_as_it_is_required():
    required, lock = (
        (ROOT / f"requirements-build.{kind}").read_text().lower() for kind in ("txt", "lock")
    )
    packages = re.findall(r"^\S+==\S+", required, re.MULTILINE)
    assert packages == re.findall(r"^\S+==\S+", lock, re.MULTILINE)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_every_locked_package_has_hashes_and_no_index(name):
    text = (ROOT / name).read_text()
    for entry in re.split(r"\n(?=\w)", text.strip()):
        assert re.fullmatch(r"\S+==\S+ \\\n( +--hash=sha256:[0-9a-f]{64}( \\)?\n?)+", entry), entry
    assert "://" not in text


def test_licences_cover_the_lock():
    page = (ROOT / "docs" / "licences.md").read_text()
    listed = re.findall(r"^\| ([\w-]+) \| (\d\S*) \| (?!\? )", page, re.MULTILINE)
    assert dict(listed) == locked()


def test_hadolint_finds_nothing_in_the_dockerfile():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


def test_procfile_has_what_heroku_runs():
    processes = parse_procfile((ROOT / "Procfile").read_text()).processes
    assert processes.keys() == {"release", "web", "worker"}
    assert (
        f"{sys.version_info[0]}.{sys.version_info[1]}" >= (ROOT / ".python-version").read_text()[:4]
    )


@pytest.mark.parametrize("fails", ["", "pip", "cythonize"])
def test_heroku_builds_the_module_and_goes_on_without_it(tmp_path, fails):
    for name in ("pip", "cythonize"):
        status = int(name == fails)
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@"\nexit {status}\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        [ROOT / "bin/post_compile"],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.splitlines()
    assert said[0] == "pip install -q --no-deps --require-hashes -r requirements-build.lock"
    assert ("cythonize -q -i models/_whole_events.pyx source/records/_scan.pyx" in said) == (
        fails != "pip"
    )
    assert said[-1].endswith("Python alone makes the rows, more slowly.") == bool(fails)


def test_app_json_names_settings_that_exist():
    found = json.loads((ROOT / "app.json").read_text())
    assert found["env"].keys() <= VARIABLES
    assert all(variable["description"] for variable in found["env"].values())
    assert found["formation"].keys() < {"release", "web", "worker"}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_yaml(path):
    assert all(yaml.safe_load_all(path.read_text()))


def test_compose_sets_what_exists_and_no_password():
    services = COMPOSE["services"]
    assert services.keys() >= {"kafka", "mysql", "worker", "prometheus", "grafana"}
    for name in ("worker", "migrate"):
        assert services[name]["environment"].keys() <= VARIABLES
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable and "RANDOM" not in variable:
                assert value.startswith("${"), f"{name}: {variable}"
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / source).exists(), mount


def test_what_reads_pages_from_elsewhere_has_the_token():
    services = COMPOSE["services"]
    # Through a published port, the host is another machine to the worker.
    assert services["worker"]["environment"]["WEB_TOKEN"].startswith("${WEB_TOKEN:?")
    [secret] = services["prometheus"]["secrets"]
    assert COMPOSE["secrets"][secret] == {"environment": "WEB_TOKEN"}
    prometheus = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    [job] = prometheus["scrape_configs"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    written = (ROOT / "docs" / "deploy.md").read_text()
    assert all(name in written for name in re.findall(r"\$\{(\w+):\?", str(COMPOSE)))
    assert json.loads((ROOT / "app.json").read_text())["env"]["WEB_TOKEN"]["generator"] == "secret"


def test_compose_runs_the_servers_that_the_tests_run():
    images = {name: found.get("image") for name, found in COMPOSE["services"].items()}
    kafka = re.search(
        r"<version>(\d+\.\d+\.\d+)</version>", (ROOT / "dev/setup/kafka-pom.xml").read_text()
    )
    assert kafka
    assert images["kafka"] == images["topic"] == f"apache/kafka:{kafka[1]}"
    assert images["mysql"].replace(":", "-") in SERVERS


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_the_unit_is_one_systemd_takes(tmp_path):
    # The program is looked up: there is one of another name.
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace("/opt/flash-sale-etl/.venv/bin/faust", "/bin/sh"))
    done = subprocess.run(
        ["systemd-analyze", "verify", here], capture_output=True, text=True, check=False
    )
    mine = [line for line in done.stderr.splitlines() if "flash-sale-etl" in line]
    assert (done.returncode, mine) == (0, [])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_the_unit_exposes_little():
    # Tenths of systemd's points: OK is below 30, and the network is 10 of what is left.
    options = ("--offline=true", "--threshold=15", "--no-pager")
    command = ["systemd-analyze", "security", *options, str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "offline" in done.stderr:
        pytest.skip("this systemd looks at running units only")
    assert done.returncode == 0, done.stdout
