"""What a user can do wrong before anything runs: one sentence, an exit status, no traceback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config.version import VERSION
from dev import ROOT
from tests.helpers import commands
from tests.helpers.worker import FAUST, environment

NOWHERE = {
    "KAFKA_URL": "kafka://127.0.0.1:1",
    "DATABASE_URL": "mysql://u:s3cret@127.0.0.1:1/d",
    "START_TIMEOUT": 0,
}


@pytest.fixture
def faust(tmp_path):
    """Runs `faust -A app …` with these settings only; returns the ended process."""

    def run(*arguments, status=0, cwd=ROOT, **settings):
        done = commands.run(arguments, environment(**settings) | {"PYTHONPATH": str(ROOT)}, cwd)
        assert done.returncode == status, done.stdout + done.stderr
        for noise in ("Traceback", "NoneType", "Crashed", "SystemExit", "\x1b", "s3cret"):
            assert noise not in done.stdout + done.stderr
        return done

    return run


@pytest.mark.parametrize("arguments", [("--help",), ("worker", "--help"), ("migrate", "--help")])
def test_help_needs_no_setting_and_minds_no_wrong_one(faust, arguments):
    assert "Usage:" in faust(*arguments).stdout
    assert faust(*arguments, FLUSH_INTERVAL="x", FLUSH_INTERVALL="3").stderr == ""


@pytest.mark.parametrize("how", ["path", "-W"])
def test_a_command_in_another_folder_names_what_is_missing(faust, tmp_path, how):
    (tmp_path / ".env").write_text("FLUSH_INTERVAL=x")
    by = ("-W", ROOT) if how == "-W" else ()
    found = faust(*by, "status", status=2, cwd=tmp_path).stderr
    assert [line.split()[0] for line in found.splitlines()] == ["KAFKA_URL", "DATABASE_URL"]


def test_unknown_command_is_named_without_settings(faust):
    assert "No such command 'workr'" in faust("workr", status=2).stderr


@pytest.mark.parametrize(
    ("command", "asks"),
    [
        ("migrate", "DATABASE_URL"),
        ("batches", "DATABASE_URL"),
        ("simulate", "KAFKA_URL"),
        ("check", "KAFKA_URL DATABASE_URL"),
        ("worker", "KAFKA_URL DATABASE_URL"),
    ],
)
def test_command_needs_only_the_servers_it_uses(faust, command, asks):
    found = faust(command, status=2).stderr
    assert re.findall(r"^(\w+) is not set", found, re.MULTILINE) == asks.split()


def test_migrate_without_kafka_asks_the_database(faust):
    found = faust("migrate", status=1, DATABASE_URL=NOWHERE["DATABASE_URL"], START_TIMEOUT=0)
    assert "Can't connect to MySQL server" in found.stderr
    assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_knows_the_apps_commands(faust, shell):
    script = faust("completion", SHELL=f"/bin/{shell}").stdout
    assert f"_FAUST_COMPLETE={shell}_complete" in script
    assert f"faust -W {ROOT} -A app)" in script or f"$1 -W {ROOT} -A app)" in script


def test_bash_completes_the_apps_commands_in_any_folder(faust, tmp_path):
    script = faust("completion", SHELL="/bin/bash").stdout
    typed = "COMP_WORDS=(faust -A app mig); COMP_CWORD=3; _faust_completion faust; echo $COMPREPLY"
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{typed}"],
        cwd=tmp_path,
        env=environment(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("migrate\n", "")


def test_completion_for_another_shell_says_which_there_are(faust):
    found = faust("completion", SHELL="/bin/tcsh", status=1).stderr
    assert (
        found == "There is no completion for 'tcsh': run this in bash, zsh or fish, or set SHELL.\n"
    )


def test_the_app_is_found_from_another_folder_if_it_is_named(faust, tmp_path):
    by_path = faust("completion", cwd=tmp_path, SHELL="/bin/bash").stdout
    done = subprocess.run(
        [*FAUST, "-W", ROOT, "completion"],
        cwd=tmp_path,
        env=environment(SHELL="/bin/bash"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == by_path


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (("reset",), "offsets reset"),
        (("send", "@enrichment", "{}"), "simulate"),
        (("livecheck", "--without-web"), "--help"),
        (("clean-versions", "--help"), "--help"),
    ],
)
def test_a_command_of_fausts_is_refused_in_a_sentence(faust, call, instead):
    [sentence] = faust(*call, status=2).stderr.splitlines()
    assert f"`{call[0]}` is Faust's and has no use here: `faust -A app {instead}`" in sentence


def test_help_lists_only_what_applies(faust):
    listed = faust("--help").stdout.partition("Commands:")[2].split("\n")
    assert "worker" in "".join(listed)
    for name in ("agents", "model", "models", "reset", "send", "tables"):
        assert not any(line.startswith(f"  {name} ") for line in listed)


def test_a_closed_pipe_ends_a_command_quietly():
    theirs, ours = os.pipe()
    os.close(theirs)
    with os.fdopen(ours, "wb") as closed:
        done = subprocess.run(
            [*FAUST, "completion"],
            cwd=ROOT,
            env=environment(SHELL="/bin/bash"),
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, "")


def test_the_version_is_said_by_the_worker_command(faust):
    assert faust("worker", "--version").stdout.startswith(f"flash-sale ETL {VERSION} (")


def test_a_wrong_setting_is_an_object_where_lines_are(faust):
    found = faust("worker", status=2, LOG_FORMAT="json", FLUSH_INTERVAL="x", **NOWHERE)
    (line,) = (found.stdout + found.stderr).splitlines()
    told = json.loads(line)
    assert (told["level"], told["message"][:23]) == ("CRITICAL", "FLUSH_INTERVAL is wrong")
    assert {"timestamp", "logger", "process"} <= told.keys()


def test_a_port_in_use_is_one_sentence(faust):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        found = faust("worker", status=1, PORT=port, **NOWHERE)
        assert found.stdout == ""
        assert found.stderr.count("\n") == 1
        assert f"Port {port} on 0.0.0.0 cannot be used: Address already in use" in found.stderr
        assert "Change PORT" in found.stderr
        other = faust("worker", "--without-web", status=1, PORT=port, **NOWHERE).stderr
        assert "The database at 127.0.0.1:1 does not answer" in other
        option = faust("worker", "--web-port", port, status=1, **NOWHERE).stderr
        assert f"Port {port} on 0.0.0.0 cannot be used" in option


def test_fatal_error_is_the_last_line_and_in_json_the_first(faust, tmp_path):
    sentence = "The database at 127.0.0.1:1 does not answer: start it, or change DATABASE_URL"
    found = faust("worker", "-l", "info", "--without-web", status=1, **NOWHERE)
    assert sentence in found.stderr.splitlines()[-1]
    found = faust("worker", "-l", "info", "--without-web", status=1, LOG_FORMAT="json", **NOWHERE)
    first, *others = map(json.loads, found.stdout.splitlines())
    assert first["level"] == "CRITICAL"
    assert first["message"].startswith(sentence)
    assert others == []
    log = tmp_path / "log"
    found = faust("worker", "-l", "info", "--without-web", "-f", log, status=1, **NOWHERE)
    assert sentence in log.read_text().splitlines()[-1]
    assert sentence in found.stderr.splitlines()[-1]


def test_only_a_terminal_gets_colours(tmp_path):
    log = tmp_path / "log"
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        command = f"{' '.join(FAUST)} worker --without-web"
        on_terminal = _on_terminal(command, **variables)
        assert ("\x1b[" in on_terminal) is coloured, on_terminal
        assert "does not answer" in on_terminal
    _on_terminal(f"{command} 2>{log}")
    assert "does not answer" in log.read_text()
    assert "\x1b" not in log.read_text()


def _on_terminal(command, **variables):
    """What a command prints where its output is a terminal."""
    done = subprocess.run(
        [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])", "sh", "-c", command],
        cwd=ROOT,
        env=environment(TERM="xterm", **NOWHERE, **variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout
