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
MODULES = ("models/_whole_events.pyx", "source/records/_scan.pyx")
COPIED = (
    "dev/setup/setup.sh",
    "dev/setup/kafka-pom.xml",
    *MODULES,
    *map(str, ROOT.glob("requirements*.txt")),
)


@pytest.fixture
def setup(tmp_path):
    """Runs set-up in a folder whose pip warns and ends with ``status``; returns the process."""
    for path in (ROOT / name for name in COPIED):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    # No browser, promtool or MySQL is to be looked for.
    for name in (
        ".local/servers/mysql-9.7/ready",
        ".local/done/no-chromium",
        ".local/done/promtool",
        ".venv/bin/pip",
        ".venv/pyvenv.cfg",
        "include/python3/Python.h",
        "bin/mariadbd",
        "bin/cc",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch(mode=0o755)
    for name in PROGRAMS:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    program(tmp_path / ".venv/bin/cythonize", "exit 0")

    def run(status=0):
        program(
            tmp_path / ".venv/bin/python",
            f'[ "$1" != -c ] || {{ echo {tmp_path}/include/python3; exit; }}',
            f'echo "{WARNING}" >&2',
            f"exit {status}",
        )
        return subprocess.run(
            [tmp_path / "dev/setup/setup.sh"],
            env={"PATH": str(tmp_path / "bin"), "MARIADBD": str(tmp_path / "bin/mariadbd")},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def program(path, *lines):
    """Write a program of the shell's."""
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def test_warnings_of_pip_do_not_drown_what_set_up_says(setup, tmp_path):
    done = setup(status=0)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"Installing the Python packages ...\nCompiling {' '.join(MODULES)} ...\n"
    assert WARNING in (tmp_path / ".local/pip.log").read_text()
    assert setup(status=1).stderr == "", "there is nothing left to do"


def test_the_app_is_found_from_any_folder_after_set_up(setup, tmp_path):
    packages = tmp_path / ".venv/lib/python3.11/site-packages"
    packages.mkdir(parents=True)
    setup()
    # Python reads such files at its start: each line is a folder of modules.
    assert [file.read_text() for file in packages.glob("*.pth")] == [f"{tmp_path}\n"]


def test_what_pip_said_is_shown_when_it_fails(setup):
    done = setup(status=1)
    assert done.returncode == 1
    assert WARNING in done.stderr
    assert done.stderr.endswith("pip could not install the Python packages.\n")


@pytest.mark.parametrize("name", [*MODULES, ".venv/pyvenv.cfg"])
def test_module_is_compiled_again_only_after_a_change(setup, tmp_path, name):
    program(tmp_path / ".venv/bin/cythonize", f'echo "$@" >>{tmp_path}/compiled')
    setup()
    setup()
    assert (tmp_path / "compiled").read_text() == f"-q -i {' '.join(MODULES)}\n"
    with (tmp_path / name).open("a") as file:
        file.write("# changed\n")
    assert setup().stderr == f"Compiling {' '.join(MODULES)} ...\n"
    assert (tmp_path / "compiled").read_text() == f"-q -i {' '.join(MODULES)}\n" * 2


@pytest.mark.parametrize("missing", ["bin/cc", "include/python3/Python.h"])
def test_without_a_compiler_set_up_says_so_once_and_goes_on(setup, tmp_path, missing):
    (tmp_path / missing).unlink()
    done = setup()
    assert done.returncode == 0
    assert done.stderr.splitlines()[1:] == [
        "a C compiler for Python is missing: Python alone makes the rows, more slowly. "
        "Install gcc and python3-dev to change that."
    ]
    assert setup().stderr == ""
    (tmp_path / missing).touch(mode=0o755)
    assert setup().stderr == f"Compiling {' '.join(MODULES)} ...\n"


def test_what_cannot_be_compiled_is_said_once(setup, tmp_path):
    program(tmp_path / ".venv/bin/cythonize", "echo a reason >&2", "exit 1")
    done = setup()
    assert done.returncode == 0
    assert done.stderr.splitlines()[2:] == [
        "They could not be compiled (see .local/cython.log): Python alone makes the rows, more "
        "slowly. Install gcc and python3-dev to change that."
    ]
    assert (tmp_path / ".local/cython.log").read_text() == "a reason\n"
    assert setup().stderr == ""


def test_a_bare_debian_is_made_by_root_alone(tmp_path):
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    done = subprocess.run(
        [ROOT / "dev/setup/fresh.sh"],
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
