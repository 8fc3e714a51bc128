from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from geoseg.io.stream import BatchStream


def record(value: int) -> pa.RecordBatch:
    return pa.record_batch({"value": [value]})


class Disk:
    """Writes to a list; waits until told to go on, and fails at one value."""

    def __init__(self, fails_at: int | None = None, held: bool = False) -> None:
        self.values: list[int] = []
        self.ended = False
        self.going = threading.Event()
        self._fails_at = fails_at
        if not held:
            self.going.set()

    def write(self, batches) -> None:
        self.going.wait(20)
        for batch in batches:
            value = batch.column(0)[0].as_py()
            if value == self._fails_at:
                raise OSError(28, "No space left on device")
            self.values.append(value)
        self.ended = True


def test_batches_reach_the_writer_in_order_and_end_waits_for_it():
    disk = Disk()
    stream = BatchStream(disk.write, "test")
    for value in range(50):
        stream.put(record(value))
    stream.end()
    assert disk.values == list(range(50))
    assert disk.ended


def test_nothing_is_a_file_too():
    disk = Disk()
    BatchStream(disk.write, "test").end()
    assert disk.ended


def test_few_batches_wait_and_then_the_caller_does():
    disk = Disk(held=True)
    stream = BatchStream(disk.write, "test")
    put = []

    def feed() -> None:
        for value in range(20):
            stream.put(record(value))
            put.append(value)

    feeding = threading.Thread(target=feed)
    feeding.start()
    feeding.join(0.2)
    assert feeding.is_alive()
    assert len(put) <= 4
    disk.going.set()
    feeding.join(20)
    stream.end()
    assert disk.values == list(range(20))


@pytest.mark.parametrize("fails_at", [0, 3, 49])
def test_a_failure_is_told_at_the_next_put_or_the_end_and_nobody_waits_for_ever(fails_at):
    stream = BatchStream(Disk(fails_at).write, "test")

    def feed() -> None:
        for value in range(50):
            stream.put(record(value))
        stream.end()

    with pytest.raises(OSError, match="No space left"):
        feed()
    with pytest.raises(OSError, match="No space left"):
        stream.put(record(0))
    with pytest.raises(OSError, match="No space left"):
        stream.end()
    stream.abort()
    assert not alive()


@pytest.mark.parametrize("held", [True, False])
def test_aborting_stops_a_writer_that_waits_and_one_that_is_behind(held):
    disk = Disk(held=held)
    stream = BatchStream(disk.write, "test")
    stream.put(record(0))
    stream.put(record(1))
    threading.Timer(0.1, disk.going.set).start()
    stream.abort()
    stream.abort()
    assert not disk.ended
    assert not alive()


def test_aborting_what_never_began_or_has_ended_does_nothing():
    disk = Disk()
    stream = BatchStream(disk.write, "test")
    stream.abort()
    assert not disk.ended
    stream = BatchStream(disk.write, "test")
    stream.end()
    stream.abort()
    assert disk.ended


def alive() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "geoseg-test"]
