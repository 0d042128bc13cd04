"""Making a MariaDB's data."""

from dev.mariadb import _initialise


def test_servers_made_at_the_same_time_share_no_folder_for_temporary_tables(tmp_path, monkeypatch):
    programs, data = tmp_path / "bin", tmp_path / "own" / "data"
    programs.mkdir()
    data.parent.mkdir()
    (programs / "mariadbd").touch()
    installer = programs / "mariadb-install-db"
    installer.write_text(f'#!/bin/sh\necho "$TMPDIR" >{tmp_path}/used\n')
    installer.chmod(0o755)
    monkeypatch.setenv("MARIADBD", str(programs / "mariadbd"))
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.setenv("TMPDIR", "/tmp")
    _initialise(data)
    assert (tmp_path / "used").read_text().strip() == str(data.parent)
