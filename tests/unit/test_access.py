"""Who may read which page, over all that a request may be."""

from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.pages import OPEN, address, is_loopback, readers
from web.access import FORWARDING, Refusal, refusal

TOKEN = "a-token-of-the-tests"
SHOWS_EVENTS = ["/", "/batches/", "/dashboard/", "/dashboard/dead-letters/", "/graph/", "/nothing"]
LOCAL = ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"]
REMOTE = [
    *("10.1.2.3", "172.17.0.1", "192.0.2.2", "0.0.0.0", "::", "fe80::1%eth0", "fd00::2"),
    *("::ffff:10.1.2.3", "", None, "localhost", "/run/web.sock", "127.0.0.1.evil.test"),
]
OWN = ["localhost", "localhost:6066", "LocalHost:8080", "127.0.0.1", "127.0.0.1:1", "[::1]:6066"]
FOREIGN = [
    *("", "evil.test", "evil.test:6066", "localhost.evil.test", "127.0.0.1.evil.test:80"),
    *("evil.test:localhost", "[::1]evil.test", "localhost:6066@evil.test", "192.0.2.2"),
]

addresses = st.one_of(
    st.sampled_from([*LOCAL, *REMOTE]), st.ip_addresses().map(str), st.text(max_size=8)
)
names = st.one_of(
    st.sampled_from(["Host", "Accept", "Authorization", "X-Forwarded-Host", *FORWARDING]),
    st.text(max_size=12),
)
values = st.one_of(
    st.sampled_from([*OWN, *FOREIGN, "Bearer", f"Bearer {TOKEN}x", "Basic Og=="]),
    st.text(max_size=12),
)
headers = st.lists(st.tuples(names, values), max_size=6)
paths = st.one_of(st.sampled_from([*SHOWS_EVENTS, *OPEN]), st.text(max_size=12))
binds = st.sampled_from(["", "0.0.0.0", "::", "127.0.0.1", "192.0.2.2", "worker.test"])


def ask(path, peer, *found, token=None, bind="0.0.0.0"):
    return refusal(path, peer, found, token=token, bind=bind)


def is_forwarded(found):
    return any(name.lower() in FORWARDING or "forwarded" in name.lower() for name, _ in found)


@given(path=paths, peer=addresses, found=headers, bind=binds)
@example(path="/batches/", peer="10.1.2.3", found=[("Host", "localhost")], bind="")
@example(path="/", peer="127.0.0.1", found=[("Host", "a"), ("hoSt", "localhost")], bind="")
@example(path="/", peer="127.0.0.1", found=[], bind="")
def test_without_a_token_events_stay_on_this_machine(path, peer, found, bind):
    why = ask(path, peer, *found, bind=bind)
    if path in OPEN:
        assert why is None
    elif not is_loopback(peer or "") or is_forwarded(found):
        assert why is Refusal.ELSEWHERE
    else:
        hosts = [value for name, value in found if name.lower() == "host"]
        if why is None:
            assert len(hosts) == 1
            assert hosts[0].strip()
        else:
            assert why is Refusal.OTHER_HOST


@given(path=paths, peer=addresses, found=headers, bind=binds)
def test_with_a_token_nothing_else_opens_a_page(path, peer, found, bind):
    expected = None if path == "/health/" else Refusal.NO_TOKEN
    assert ask(path, peer, *found, token=TOKEN, bind=bind) is expected


@given(path=paths, peer=addresses, bind=binds, host=values)
def test_the_token_opens_every_page_to_everyone(path, peer, bind, host):
    found = [("Host", host), ("authorization", f"bearer {TOKEN}"), ("X-Forwarded-For", "1.2.3.4")]
    assert ask(path, peer, *found, token=TOKEN, bind=bind) is None


@pytest.mark.parametrize("path", SHOWS_EVENTS)
def test_local_pages_need_an_own_name_and_no_proxy(path):
    for peer, host in product(LOCAL, OWN):
        assert ask(path, peer, ("Host", host)) is None, (peer, host)
    for elsewhere, host in product(REMOTE, OWN):
        assert ask(path, elsewhere, ("Host", host)) is Refusal.ELSEWHERE, elsewhere
    for host in FOREIGN:
        assert ask(path, "127.0.0.1", ("Host", host)) is Refusal.OTHER_HOST, host
    for name in (*FORWARDING, "X-FORWARDED-PROTO"):
        assert ask(path, "::1", ("Host", "localhost"), (name, "")) is Refusal.ELSEWHERE, name


def test_the_bind_address_is_a_name_of_this_machine():
    for bind, host in (
        ("127.0.0.2", "127.0.0.2:6066"),
        ("worker.test", "Worker.test:6066"),
        ("0.0.0.0", "0.0.0.0:6066"),
        ("fd00::2", "[fd00::2]:6066"),
        ("[fd00::2]", "[fd00::2]"),
    ):
        assert ask("/", "127.0.0.1", ("Host", host), bind=bind) is None, bind
        assert ask("/", "127.0.0.1", ("Host", host), bind="127.0.0.1") is (
            None if is_loopback(bind) else Refusal.OTHER_HOST
        )


def test_a_router_in_front_is_another_machine():
    router = [("Host", "shop.herokuapp.test"), ("X-Forwarded-For", "203.0.113.9"), ("Via", "1.1 v")]
    assert ask("/batches/", "10.1.2.3", *router) is Refusal.ELSEWHERE
    assert ask("/health/", "10.1.2.3", *router) is None
    assert ask("/metrics", "10.1.2.3", ("Host", "10.9.8.7:6066")) is None


def test_each_refusal_says_what_to_set():
    for one in Refusal:
        assert "WEB_TOKEN" in one.sentence
        assert one.status == (401 if one is Refusal.NO_TOKEN else 403)


def test_the_start_says_where_pages_are_and_who_reads_them():
    assert address("0.0.0.0", 6066) == "http://127.0.0.1:6066"
    assert address("::", 6066) == address("[::1]", 6066) == "http://[::1]:6066"
    assert address("192.0.2.2", 1) == "http://192.0.2.2:1"
    for bind in ("0.0.0.0", "::", "127.0.0.1", "[::1]", "localhost"):
        assert readers(bind, has_token=False)[0] == "on this machine only"
    who, hint = readers("192.0.2.2", has_token=False)
    assert who.startswith("to nobody, because WEB_BIND=192.0.2.2 leaves out")
    assert "WEB_TOKEN" in hint
    assert readers("192.0.2.2", has_token=True) == ("to requests with WEB_TOKEN", "")
