"""PyMySQL loads cryptography and CA certificates only when it needs them.

In processes of their own: here it is loaded already.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from pymysql import converters
from pymysql.constants import FIELD_TYPE

from db.connection import driver
from dev.servers.certificates import Authority

_ENCRYPT = """
import sys
from db.connection import driver
driver.install()
assert not any(name.startswith("cryptography") for name in sys.modules), "loaded already"
import pymysql
for salt in (b"a" * 20, b"b" * 20):
    key = __import__("cryptography.hazmat.primitives.asymmetric.rsa", fromlist=["rsa"])
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding
    private = key.generate_private_key(65537, 2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    encrypted = pymysql._auth.sha2_rsa_encrypt(b"secret", salt, public)
    sha1 = hashes.SHA1()
    plain = private.decrypt(encrypted, padding.OAEP(padding.MGF1(sha1), sha1, None))
    assert bytes(a ^ b for a, b in zip(plain, salt)) == b"secret\\0", plain
print("same")
"""

_APP = "import app, sys; print([name for name in sys.modules if name.startswith('cryptography')])"


_CONNECT = """
from db.connection import driver
driver.install()
from pymysql.connections import Connection
asked = (None, {"check_hostname": True})
contexts = [Connection(ssl=each, defer_connect=True).ctx for each in asked]
print([context.cert_store_stats()["x509_ca"] for context in contexts])
print(contexts[0].verify_mode.name, contexts[0].check_hostname)
"""


def _run(code: str, **more: str) -> str:
    environment = {
        "KAFKA_URL": "kafka://127.0.0.1:1",
        "DATABASE_URL": "mysql://u@127.0.0.1/d",
        **more,
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_worker_starts_without_cryptography():
    assert _run(_APP) == "[]\n"


def test_a_password_is_encrypted_as_pymysql_does_it():
    assert _run(_ENCRYPT) == "same\n"


def test_ca_certificates_are_loaded_only_for_a_connection_that_verifies(tmp_path: Path):
    authorities = tmp_path / "authorities.pem"
    authorities.write_text(Authority("one").pem + Authority("another").pem)
    printed = _run(_CONNECT, SSL_CERT_FILE=str(authorities), SSL_CERT_DIR=str(tmp_path))
    assert printed == "[0, 2]\nCERT_NONE False\n"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-27 08:00:00",
        "2026-11-27 08:00:00.1",
        "2026-11-27 08:00:00.123",
        "2026-11-27 08:00:00.123456",
        "0000-00-00 00:00:00",
        "2026-00-00 00:00:00.000",
    ],
)
def test_times_are_read_as_pymysql_reads_them(text):
    expected = converters.convert_datetime(text)
    for kind in (FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP):
        found = driver.CONVERSIONS[kind](text)
        assert (found, type(found)) == (expected, type(expected))
