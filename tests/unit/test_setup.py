"""What set-up says: its own lines, and what pip said only when pip failed."""

import os
import re
import shutil
import subprocess

import pytest
import yaml

from dev import ROOT

WARNING = "WARNING: Running pip as the 'root' user"
#: All that the script needs when there is nothing to fetch but Python packages.
PROGRAMS = ("cat", "cksum", "dirname", "mkdir", "sh", "touch", "uname")


@pytest.fixture
def setup(tmp_path):
    """Runs set-up in a folder whose pip warns and ends with ``status``; returns the process."""
    for name in ("dev/setup.sh", "dev/kafka-pom.xml", "requirements.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "requirements-dev.txt", tmp_path)
    # Neither a browser nor promtool is to be looked for.
    for name in (
        ".local/done/no-chromium",
        ".local/done/promtool",
        ".venv/bin/pip",
        "bin/mariadbd",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch(mode=0o755)
    for name in PROGRAMS:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    python = tmp_path / ".venv/bin/python"

    def run(status):
        python.write_text(f'#!/bin/sh\necho "{WARNING}" >&2\nexit {status}\n')
        python.chmod(0o755)
        return subprocess.run(
            [tmp_path / "dev/setup.sh"],
            env={"PATH": str(tmp_path / "bin"), "MARIADBD": str(tmp_path / "bin/mariadbd")},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_warnings_of_pip_do_not_drown_what_set_up_says(setup, tmp_path):
    done = setup(status=0)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "Installing the Python packages ...\n"
    assert WARNING in (tmp_path / ".local/pip.log").read_text()
    assert setup(status=1).stderr == "", "there is nothing left to do"


def test_what_pip_said_is_shown_when_it_fails(setup):
    done = setup(status=1)
    assert done.returncode == 1
    assert WARNING in done.stderr
    assert done.stderr.endswith("pip could not install the Python packages.\n")


def test_a_bare_debian_is_made_by_root_alone(tmp_path):
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    done = subprocess.run(
        [ROOT / "dev/fresh.sh"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "make test-fresh needs root: it makes a Debian to chroot into.\n"


def test_the_hooks_before_a_commit_are_what_lint_runs():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    assert [hook["entry"] for hook in hooks] == re.findall(r"@(.*)", lint)
