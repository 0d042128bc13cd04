"""The image of the Dockerfile as it is: built, and run as the documentation says."""

import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from dev import ROOT
from dev.docs.licences import canonical, locked
from dev.servers.processes import free_port
from tests.helpers.databases import each_server_slow
from tests.helpers.events import event, ids, names, stored
from tests.helpers.image import Podman, require_podman
from tests.helpers.worker import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: Seconds that the manifests give it.
GRACE = 30
SECRETS = "/run/secrets/etl"


@pytest.fixture(scope="module")
def podman(folder):
    require_podman()
    # Podman takes a longer path for none.
    with TemporaryDirectory(prefix="etl-", dir="/tmp") as running:
        yield Podman(folder / "podman", Path(running))


@pytest.fixture(scope="module")
def image(podman):
    return podman.build("etl")


@pytest.fixture
def secrets(tmp_path, migrated_url, database_url):
    texts = {
        "database-url": migrated_url,
        "owner-url": database_url,
        "web-token": "0123456789abcdef",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(f"{text}\n")
    tmp_path.chmod(0o755)
    return tmp_path


@each_server_slow
def test_the_image_stores_each_event_once_and_stops_in_its_grace(
    podman, image, secrets, broker, topic, produce, migrated_url
):
    settings = {
        "KAFKA_URL": broker.url,
        "DATABASE_URL_FILE": f"{SECRETS}/database-url",
        "WEB_TOKEN_FILE": f"{SECRETS}/web-token",
        "TOPIC": topic,
        "STARTING_OFFSETS": "earliest",
        "FLUSH_INTERVAL": 1,
        "PORT": free_port(),
    }
    probe = podman.inspect(image, "Healthcheck", "Test")[1:]
    produce([event(n) for n in range(2_000)])
    with podman.run(image, secrets, **settings) as worker:
        wait_until(lambda: stored(migrated_url) == 2_000, 60, "the first events are stored")
        assert worker.execute(probe).returncode == 0
        assert worker.execute([*probe[:-1], "/ready/"]).returncode == 0
        assert "rows by the compiled module" in worker.log_text()

        status = worker.status()
        assert status["Uid"].split() == ["10001"] * 4
        assert (int(status["CapBnd"], 16), status["NoNewPrivs"]) == (0, "1")
        for path in ("/app/x", "/venv/x"):
            written = worker.execute(["python", "-c", f"open('{path}', 'w')"])
            assert "Read-only file system" in written.stderr

        produce([event(n) for n in range(2_000, 30_000)])
        wait_until(lambda: stored(migrated_url) > 2_000, 60, "more are stored")
        begun = time.monotonic()
        assert worker.stop(GRACE) == 0, worker.log_text()
        assert time.monotonic() - begun < GRACE
    with podman.run(image, secrets, **settings):
        wait_until(lambda: stored(migrated_url) >= 30_000, 60, "the rest is stored")
    assert ids(migrated_url) == names(range(30_000))


def test_the_image_migrates(podman, image, secrets):
    settings = {"KAFKA_URL": "kafka:9092", "DATABASE_URL_FILE": f"{SECRETS}/owner-url"}
    with podman.run(image, secrets, "faust", "-A", "app", "migrate", **settings) as migration:
        assert migration.wait() == 0, migration.log_text()


def test_the_image_holds_the_lock_and_no_tools(podman, image):
    files = podman.files(image, "venv", "app")
    found = {
        canonical(match[1]): match[2]
        for match in (re.search(r"/([^/]+)-([^-/]+)\.dist-info/METADATA$", name) for name in files)
        if match
    }
    assert found == locked()
    assert not [name for name in files if name.startswith("app/") and name.endswith(".c")]
    assert {"app/app.py", "app/web/probe.py"} <= files.keys()
    assert not [name for name in files if name.startswith(("app/tests", "app/.", "app/dev"))]


def test_two_builds_have_the_same_files(podman, image):
    again = podman.build("again")
    assert podman.files(again, "venv", "app") == podman.files(image, "venv", "app")


def test_the_image_is_as_large_as_the_page_says(podman, image):
    page = (ROOT / "docs" / "deploy.md").read_text()
    (said,) = map(int, re.findall(r"adds (\d+) MB to", page))
    base = podman.inspect("python:3.11-slim-bookworm", "Size")
    assert abs(podman.inspect(image, "Size") - base) / 1e6 == pytest.approx(said, rel=0.1)


def test_what_has_no_wheel_on_arm64_is_built_from_source(podman, image):
    podman.build("source", FROM_SOURCE="faust-streaming")
    wheels, source = (
        {name for name in podman.files(tag, "venv") if "/faust/" in name}
        for tag in (image, "source")
    )
    assert source >= {name for name in wheels if name.endswith(".so")} != set()
