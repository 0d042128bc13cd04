"""Reads from a checkpoint where a Structured Streaming job stopped. Spark writes:

- ``offsets/N`` before it reads batch N: a line ``v1``, a line of metadata, and a line for each
  source; Kafka's, ``{"topic": {"0": 123}}``, says where the batch ENDS in each partition;
- ``commits/N`` after it has written batch N: a line ``v1`` and a line of metadata;
- ``sources/I/0`` once: where batch 0 of source I begins.

So everything below ``offsets/N`` of the newest committed batch N is done. A batch with offsets but
no commit was planned: all, some or none of its events are written.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import FatalError
from pipeline.partition import Partition

_VERSION = "v1"
#: Kafka's offsets and partition numbers.
_OFFSETS = range(2**63)
_PARTITIONS = range(2**31)


@dataclass(frozen=True, slots=True)
class SparkCheckpoint:
    """Where a job stopped.

    Args:
        committed: number of the newest committed batch; None if there is none.
        next_offsets: by partition, where the job would continue after that batch.
        planned: numbers of the batches planned after it, usually none or one.
        planned_ends: by partition, where the last of these ends.
        written: when its newest file was written, in seconds since 1970.
    """

    committed: int | None
    next_offsets: Mapping[Partition, int]
    planned: list[int] = field(default_factory=list)
    planned_ends: Mapping[Partition, int] = field(default_factory=dict)
    written: float = 0.0


def read_checkpoint(location: str | Path, topic: str) -> SparkCheckpoint:
    """Read a checkpoint's offsets of a topic.

    Args:
        location: the job's ``checkpointLocation``, on a file system of this machine.
        topic: the topic the job must have read.

    Raises:
        FatalError: it is missing, damaged, of an unknown version, or of a job that read another
            topic; the text says what to change.
    """
    if "://" in str(location):
        raise FatalError(
            f"{location} is not on this machine: copy the checkpoint here (`hdfs dfs -get`, or "
            "`aws s3 cp --recursive`) and name the copy."
        )
    try:
        return _read(Path(location), topic)
    except OSError as error:
        raise FatalError(
            f"The checkpoint {location} cannot be read: {error.strerror or error}."
        ) from error


def _read(directory: Path, topic: str) -> SparkCheckpoint:
    if not (directory / "offsets").is_dir():
        raise FatalError(
            f"{directory} is no checkpoint of Structured Streaming: it has no folder `offsets`. "
            "Name what the job has as checkpointLocation."
        )
    offsets = _numbered(directory / "offsets")
    commits = _numbered(directory / "commits") if (directory / "commits").is_dir() else {}
    if not offsets and not commits:
        raise FatalError(f"The checkpoint {directory} has no batch: the job never read an event.")
    newest = max(commits, default=None)
    needed = range(0 if newest is None else newest, max([*offsets, newest or 0]) + 1)
    missing = next((number for number in needed if number not in offsets), None)
    if missing is not None:
        raise _damaged(directory / "offsets" / str(missing), "it is missing")
    planned = sorted(number for number in offsets if newest is None or number > newest)
    last = _batch_ends(offsets[max(offsets)], topic)
    if newest is None:
        found = _job_start(directory, offsets[0], topic)
    else:
        _parsed(commits[newest], 2)
        found = _batch_ends(offsets[newest], topic)
    for partition, end in last.items():
        if end < found.get(partition, 0):
            raise _damaged(
                offsets[max(offsets)],
                f"{partition} ends at {end}, before the committed {found[partition]}",
            )
    files = [*offsets.values(), *commits.values()]
    return SparkCheckpoint(
        newest,
        found,
        planned,
        last if planned else {},
        max(file.stat().st_mtime for file in files),
    )


def _numbered(folder: Path) -> dict[int, Path]:
    """The folder's files by number; other files, such as checksums, are ignored."""
    return {
        int(file.name): file
        for file in folder.iterdir()
        if file.name.isascii() and file.name.isdecimal() and file.is_file()
    }


def _batch_ends(file: Path, topic: str) -> dict[Partition, int]:
    return _of_topic(file, _sources(file), topic)[1]


def _job_start(directory: Path, first_batch: Path, topic: str) -> dict[Partition, int]:
    """Where a job without a committed batch began to read."""
    index, _ = _of_topic(first_batch, _sources(first_batch), topic)
    file = directory / "sources" / str(index) / "0"
    if not file.is_file():
        raise _damaged(file, "it is missing, and no batch is committed")
    # For versions before 2.1, Spark begins the file with a zero byte.
    lines = _lines(file)
    _require_version(file, lines[0].removeprefix("\0"))
    return _of_topic(file, lines[1:], topic)[1]


def _sources(file: Path) -> list[str]:
    """The lines of the sources in a batch's offsets."""
    return _parsed(file, 3)[2:]


def _parsed(file: Path, at_least: int) -> list[str]:
    """The lines of a file whose version and metadata are valid."""
    lines = _lines(file)
    _require_version(file, lines[0])
    if len(lines) < at_least:
        raise _damaged(file, "it is cut off")
    _json(file, lines[1])
    return lines


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except UnicodeDecodeError:
        raise _damaged(file, "it is not text") from None
    if lines == [""]:
        raise _damaged(file, "it is empty")
    return lines


def _require_version(file: Path, line: str) -> None:
    if line == _VERSION:
        return
    if line[:1] == "v" and line[1:].isdecimal():
        raise FatalError(
            f"{file} has version {line}, and only {_VERSION} is known: use `faust -A app offsets "
            "adopt --from-table`."
        )
    raise _damaged(file, f"its first line is not {_VERSION}")


def _of_topic(file: Path, sources: list[str], topic: str) -> tuple[int, dict[Partition, int]]:
    """Index of the source that reads the topic, and its offsets."""
    found: list[tuple[int, dict[Partition, int]]] = []
    others: set[str] = set()
    for index, line in enumerate(sources):
        if line == "-":
            continue  # nothing was read from this source yet
        by_topic = _json(file, line)
        others |= by_topic.keys() - {topic}
        if topic in by_topic:
            found.append((index, _partitions(file, topic, by_topic[topic])))
    if len(found) == 1:
        return found[0]
    if found:
        raise FatalError(
            f"{file} has the topic {topic!r} in {len(found)} sources: which of them wrote the rows "
            "cannot be told. Use `faust -A app offsets adopt --from-table`."
        )
    names = ", ".join(map(repr, sorted(others))) or "none"
    raise FatalError(
        f"{file} is of a job that did not read the topic {topic!r} (topics there: {names}): name "
        "the checkpoint of the job that is replaced, or change TOPIC."
    )


def _partitions(file: Path, topic: str, found: object) -> dict[Partition, int]:
    if not isinstance(found, dict) or not found:
        raise _damaged(file, "a topic has no offsets by partition")
    offsets: dict[Partition, int] = {}
    for name, offset in found.items():
        known = name.isascii() and name.isdecimal() and len(name) < 11
        if not known or int(name) not in _PARTITIONS:
            raise _damaged(file, f"{name[:50]!r} is not a partition")
        # In Python, True is an int.
        if type(offset) is not int or offset not in _OFFSETS:
            raise _damaged(file, f"partition {name} has no offset")
        offsets[Partition(topic, int(name))] = offset
    return offsets


def _json(file: Path, line: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise _damaged(file, "a line is not JSON") from None
    if not isinstance(found, dict):
        raise _damaged(file, "a line is not a JSON object")
    return found


def _damaged(file: Path, why: str) -> FatalError:
    return FatalError(
        f"The checkpoint is damaged at {file}: {why}. Use a whole copy, or `faust -A app offsets "
        "adopt --from-table`."
    )
