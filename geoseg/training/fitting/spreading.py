"""One network trained by several processes, one for each device."""

from __future__ import annotations

import copy
import mmap
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from torch.multiprocessing.spawn import ProcessException, start_processes

from geoseg.core.protocols import Progress, Silent
from geoseg.errors import GeosegError, ResourceError, TrainingError
from geoseg.inference.device import Compute, cores
from geoseg.training.fitting.course import Course
from geoseg.training.fitting.crew import Crew
from geoseg.training.fitting.speed import at_full_speed

_POLL = 0.2  # seconds between two looks at the processes
_PATIENCE = 300.0  # seconds for a step, a validation and a checkpoint
_BACKENDS = {"cuda": "nccl"}


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """What each process is told: the course, its part of the machine, the learning rate, and the way back."""

    course: Course
    compute: Compute
    rate: float
    port: int
    told: Any  # a queue of (method of Progress, arguments), or ("raise", error)
    stop: Any  # an event: whoever waits for the run wants no more of it


class Told:
    """Progress that goes to another process, and an interruption that comes from there."""

    def __init__(self, orders: Orders) -> None:
        """Take the orders."""
        self._orders = orders

    def plan(self, plan: dict[str, Any]) -> None:
        """Pass it on."""
        self._orders.told.put(("plan", (plan,)))

    def advance(self, tiles: int, pixels: int) -> None:
        """Pass it on."""
        self._orders.told.put(("advance", (tiles, pixels)))

    def stage(self, name: str) -> None:
        """Pass it on."""
        self._orders.told.put(("stage", (name,)))

    def warn(self, message: str) -> None:
        """Pass it on."""
        self._orders.told.put(("warn", (message,)))

    def note(self, values: Mapping[str, Any]) -> None:
        """Pass it on."""
        self._orders.told.put(("note", (dict(values),)))


def check_devices(compute: Compute, count: int) -> None:
    """Raise ResourceError unless there are so many devices of a kind. A CPU counts as many times as it has cores."""
    there = {"cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0, "cpu": cores()}
    if count > there.get(compute.device.type, 1):
        raise ResourceError(
            f"loop.devices: found {count}, and {there.get(compute.device.type, 1)} of the kind {compute.device.type}; "
            "expected no more than there are: lower loop.devices, or choose another loop.device"
        )


def spread(course: Course, compute: Compute, rate: float, progress: Progress) -> None:
    """Train in several processes; what comes of it lies in the run's folder as a checkpoint.

    An interruption ends the processes after their step, with a checkpoint, and goes on upwards. Raises what the first
    process to fail raised.
    """
    ForkingPickler.register(np.memmap, _by_name)
    context = torch.multiprocessing.get_context("spawn")
    orders = Orders(replace(course, existing="resume"), compute, rate, _free_port(), context.Queue(), context.Event())
    course.network.to("cpu")
    with _silent_library():
        processes = start_processes(  # type: ignore[no-untyped-call]
            _member, args=(orders,), nprocs=course.options.loop.devices, join=False, start_method="spawn"
        )
    try:
        while not processes.join(timeout=_POLL):
            _pass_on(orders.told, progress)
        _pass_on(orders.told, progress)
    except BaseException as error:
        orders.stop.set()
        _end(processes)
        if isinstance(error, ProcessException):
            _pass_on(orders.told, Silent())  # what the process itself said comes first
            raise TrainingError(
                f"one of the processes that train together has ended: {error}; go on with --resume, or with "
                "loop.devices 1"
            ) from error
        raise


@contextmanager
def _silent_library() -> Iterator[None]:
    """Keeps torch's C++ from writing advice to the terminal of processes that start meanwhile."""
    name = "TORCH_CPP_LOG_LEVEL"
    before = os.environ.get(name)
    os.environ.setdefault(name, "ERROR")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def _end(processes: Any) -> None:
    """Wait until the processes have ended after their step; those that do not are killed."""
    limit = time.monotonic() + _PATIENCE
    for process in processes.processes:
        process.join(max(0.0, limit - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _pass_on(told: Any, progress: Progress) -> None:
    while not told.empty():
        name, arguments = told.get()
        if name == "raise":
            raise arguments[0]
        getattr(progress, name)(*arguments)


def _member(rank: int, orders: Orders) -> None:
    """One process of the crew."""
    from geoseg.training.fitting.fit import go_on

    _leave_interruptions_to(os.getppid())
    size = orders.course.options.loop.devices
    course = replace(orders.course, network=copy.deepcopy(orders.course.network))  # it came in memory that all share
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(orders.port), "NODE_RANK": "0"}
    os.environ |= {"WORLD_SIZE": str(size), "RANK": str(rank), "LOCAL_RANK": str(rank)}
    kind = orders.compute.device.type
    compute = replace(
        orders.compute,
        device=torch.device(kind, rank) if kind == "cuda" else orders.compute.device,
        threads=max(1, orders.compute.threads // size),
    )
    if kind == "cuda":
        torch.cuda.set_device(compute.device)
    torch.distributed.init_process_group(_BACKENDS.get(kind, "gloo"), rank=rank, world_size=size)
    try:
        with at_full_speed(compute):
            go_on(course, compute, Crew(rank, size, orders.stop), Told(orders) if rank == 0 else Silent(), orders.rate)
        torch.distributed.barrier()
    except KeyboardInterrupt:
        return
    except GeosegError as error:
        orders.told.put(("raise", (error,)))
        orders.told.close()
        orders.told.join_thread()
        raise
    finally:
        torch.distributed.destroy_process_group()


def _leave_interruptions_to(parent: int) -> None:
    """The parent decides what a Ctrl-C does; one that has died leaves nothing to train for."""

    def heed(_number: int, _frame: Any) -> None:
        if os.getppid() != parent:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, heed)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def _by_name(array: np.memmap[Any, Any]) -> tuple[Any, ...]:
    """How a whole file in memory travels: by its name. Parts of one travel as numbers."""
    base: Any = array.base  # typed as an array, and a mapping where the array is a whole file
    if isinstance(base, mmap.mmap) and array.filename is not None and array.flags.c_contiguous:
        return _mapped, (str(array.filename), array.dtype.str, array.offset, array.shape)
    return np.asarray, (np.array(array),)


def _mapped(name: str, dtype: str, offset: int, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    return np.memmap(name, dtype, "r", offset, shape)
