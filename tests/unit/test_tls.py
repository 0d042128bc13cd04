"""A private key is on disk for as long as OpenSSL reads it, and for nobody else."""

import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest

from config import tls
from dev.servers.certificates import Authority


def test_key_file_is_private_and_deleted(monkeypatch):
    pair = Authority("an authority").issue("client")
    seen = []
    load = ssl.SSLContext.load_cert_chain

    def look(context, chain, *rest):
        path = Path(chain)
        seen.append((path, path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777))
        load(context, chain, *rest)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", look)
    tls.client_context(certificate=pair.certificate, key=pair.key)
    [(path, mode, folder_mode)] = seen
    assert (mode, folder_mode) == (0o600, 0o700)
    assert not path.parent.exists()


def test_context_trusts_only_the_given_ca():
    authority = Authority("the only one")
    context = tls.client_context(trusted=authority.pem)
    [trusted] = context.get_ca_certs()
    assert trusted["subject"] == ((("commonName", "the only one"),),)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("systems", "ours"),
    [
        (ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_2),
        (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3),
    ],
)
def test_minimum_is_tls_1_2_or_the_systems(monkeypatch, systems, ours):
    def system_context(protocol):
        context = ssl.SSLContext(protocol)
        context.minimum_version = systems
        return context

    monkeypatch.setattr(tls, "ssl", SimpleNamespace(**{**vars(ssl), "SSLContext": system_context}))
    assert tls.client_context().minimum_version is ours
