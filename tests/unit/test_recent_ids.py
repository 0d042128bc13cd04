"""The filter of recent ids finds each of them, and few others."""

from db.write import deduplicate
from db.write.deduplicate import RecentIds


def ids(first, after):
    return [b"evt-%d" % number for number in range(first, after)]


def test_added_ids_are_found_and_few_others():
    recent = RecentIds()
    # Hashes differ from run to run: 3 of 100 runs have two ids in one place.
    assert len(recent.add(ids(0, 1000))) <= 3
    recent.add(ids(1000, 200_000))
    assert recent.add(ids(0, 200_000)) == ids(0, 200_000)
    assert len(recent.add(ids(200_000, 300_000))) < 3_000


def test_it_is_emptied_before_it_finds_too_many(monkeypatch):
    monkeypatch.setattr(deduplicate, "_MOST", 1000)
    recent = RecentIds()
    recent.add(ids(0, 900))
    recent.add(ids(900, 1100))
    assert recent.add(ids(900, 1000)) == ids(900, 1000)
    assert len(recent.add(ids(0, 600))) < 10
