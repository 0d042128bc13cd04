"""A Structured Streaming checkpoint is read exactly, or refused with one sentence."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import FatalError
from source.spark_checkpoint import read_checkpoint
from tests.helpers.partitions import of_topic

TOPIC = "flash_sale_events"
METADATA = '{"batchWatermarkMs":0,"batchTimestampMs":1764230400000,"conf":{}}'


def offsets(path, number, *sources, version="v1", metadata=METADATA):
    write(path / "offsets" / str(number), version, metadata, *map(line, sources))


def commit(path, number, version="v1", metadata='{"nextBatchWatermarkMs":0}'):
    write(path / "commits" / str(number), version, metadata)


def line(source):
    return source if isinstance(source, str) else json.dumps(source)


def write(file, *lines):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines))


def of(*ends, topic=TOPIC):
    return {topic: {str(number): end for number, end in enumerate(ends)}}


@pytest.fixture
def path(tmp_path):
    """Batches 0 to 3, all committed."""
    for number in range(4):
        offsets(tmp_path, number, of(10 * number, 20 * number))
        commit(tmp_path, number)
        # Spark's checksums, and what it leaves when it is killed.
        (tmp_path / "offsets" / f".{number}.crc").write_bytes(b"crc\0")
        (tmp_path / "offsets" / f".{number}.5e1c.tmp").write_bytes(b"")
    (tmp_path / "metadata").write_text('{"id":"9b6bfd7a"}')
    return tmp_path


def refusal(path, topic=TOPIC):
    with pytest.raises(FatalError) as caught:
        read_checkpoint(path, topic)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_the_newest_committed_batch_ends_where_the_job_stopped(path):
    found = read_checkpoint(path, TOPIC)
    assert found.committed == 3
    assert found.next_offsets == of_topic(TOPIC, {0: 30, 1: 60})
    assert (found.planned, found.planned_ends) == ([], {})
    assert found.written == max(one.stat().st_mtime for one in path.glob("*/[0-9]"))


def test_numbers_are_compared_as_numbers(path):
    for number in range(4, 12):
        offsets(path, number, of(10 * number, 20 * number))
        commit(path, number)
    assert read_checkpoint(path, TOPIC).next_offsets == of_topic(TOPIC, {0: 110, 1: 220})


def test_planned_batch_is_reported_but_not_counted(path):
    offsets(path, 4, of(45, 60, 7))
    found = read_checkpoint(path, TOPIC)
    assert found.next_offsets == of_topic(TOPIC, {0: 30, 1: 60})
    assert found.planned == [4]
    assert found.planned_ends == of_topic(TOPIC, {0: 45, 1: 60, 2: 7})


def test_old_batches_are_removed_by_spark_and_not_missed(path):
    for number in range(3):
        (path / "offsets" / str(number)).unlink()
        (path / "commits" / str(number)).unlink()
    assert read_checkpoint(path, TOPIC).next_offsets == of_topic(TOPIC, {0: 30, 1: 60})


def test_without_a_committed_batch_it_stopped_at_its_start(path):
    shutil.rmtree(path / "commits")
    for number in range(1, 4):
        (path / "offsets" / str(number)).unlink()
    assert "no batch is committed" in refusal(path)
    write(path / "sources" / "0" / "0", "\0v1", json.dumps(of(3, 4)))
    offsets(path, 0, of(5, 6))
    found = read_checkpoint(path, TOPIC)
    assert found.committed is None
    assert found.next_offsets == of_topic(TOPIC, {0: 3, 1: 4})
    assert (found.planned, found.planned_ends) == ([0], of_topic(TOPIC, {0: 5, 1: 6}))


def test_several_topics_and_several_sources(path):
    both = of(41, 61) | of(9, topic="other")
    offsets(path, 4, "-", {"logOffset": 7}, both)
    commit(path, 4)
    assert read_checkpoint(path, TOPIC).next_offsets == of_topic(TOPIC, {0: 41, 1: 61})
    assert read_checkpoint(path, "other").next_offsets == of_topic("other", {0: 9})
    offsets(path, 4, both, of(1, 2))
    assert "in 2 sources" in refusal(path)


def test_another_topics_checkpoint_is_named(path):
    sentence = refusal(path, "orders")
    assert "did not read the topic 'orders' (topics there: 'flash_sale_events')" in sentence
    assert "change TOPIC" in sentence


@pytest.mark.parametrize("missing", ["nothing", "no_folder", "a_file"])
def test_what_is_no_checkpoint_is_named(tmp_path, missing):
    if missing == "a_file":
        (tmp_path / "a_file").touch()
    elif missing == "no_folder":
        (tmp_path / "no_folder").mkdir()
    assert "is no checkpoint of Structured Streaming" in refusal(tmp_path / missing)


def test_a_job_that_read_nothing_has_no_batch(tmp_path):
    (tmp_path / "offsets").mkdir()
    assert "the job never read an event" in refusal(tmp_path)


@pytest.mark.parametrize("url", ["hdfs://namenode:8020/job", "s3a://bucket/job", "file:///job"])
def test_what_lies_elsewhere_must_be_copied_first(url):
    assert "copy the checkpoint here" in refusal(url)


def test_a_gap_is_damage(path):
    offsets(path, 5, of(50, 100))
    assert "offsets/4: it is missing" in refusal(path)
    (path / "offsets" / "5").unlink()
    (path / "offsets" / "3").unlink()
    assert "offsets/3: it is missing" in refusal(path)
    shutil.rmtree(path / "offsets")
    (path / "offsets").mkdir()
    assert "offsets/3: it is missing" in refusal(path)


def test_a_planned_batch_that_goes_back_is_damage(path):
    offsets(path, 4, of(45, 59))
    assert "/1 ends at 59, before the committed 60" in refusal(path)


@pytest.mark.parametrize("folder", ["offsets", "commits"])
@pytest.mark.parametrize("version", ["v2", "v10"])
def test_another_version_is_named(path, folder, version):
    write(path / folder / "3", version, METADATA, json.dumps(of(30, 60)))
    assert f"version {version}, and only v1 is known" in refusal(path)


@pytest.mark.parametrize("folder", ["offsets", "commits"])
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"v1", b"\xff\xfe", b"{}", b"v1\nx\n{}", b"v1\n[]\n{}", b"\0" * 50]
)
def test_a_damaged_file_is_named(path, folder, content):
    (path / folder / "3").write_bytes(content)
    assert f"{folder}/3: " in refusal(path)


@pytest.mark.parametrize(
    "partitions",
    [
        *('{"0":-1}', '{"0":true}', '{"0":1.5}', '{"0":"1"}', '{"0":null}', '{"x":1}', '{"-1":1}'),
        *('{"²":1}', '{"0":9223372036854775808}', '{"99999999999":1}', "{}", "[1]", "7"),
        '{"0":1' + "[" * 20_000,
    ],
)
def test_offsets_that_are_none_are_damage(path, partitions):
    offsets(path, 3, f'{{"{TOPIC}":{partitions}}}')
    assert "The checkpoint is damaged at" in refusal(path)


@given(
    st.dictionaries(st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1), min_size=1, max_size=9),
    st.integers(0, 10**9),
    st.booleans(),
)
def test_whatever_spark_stored_is_found(tmp_path_factory, ends, number, planned):
    path = tmp_path_factory.mktemp("checkpoint")
    source = {TOPIC: {str(partition): end for partition, end in ends.items()}}
    offsets(path, number, source)
    commit(path, number)
    if planned:
        offsets(path, number + 1, source)
    found = read_checkpoint(path, TOPIC)
    assert found.next_offsets == of_topic(TOPIC, ends)
    assert found.committed == number
    assert found.planned == ([number + 1] if planned else [])


@given(st.binary(max_size=60), st.sampled_from(["offsets/3", "commits/3", "offsets/4"]))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content, name):
    path = tmp_path_factory.mktemp("checkpoint")
    offsets(path, 3, of(30, 60))
    commit(path, 3)
    (path / name).write_bytes(content)
    try:
        found = read_checkpoint(path, TOPIC)
    except FatalError as error:
        refused = str(error)
    else:
        assert found.next_offsets == of_topic(TOPIC, {0: 30, 1: 60})
        return
    assert "\n" not in refused
