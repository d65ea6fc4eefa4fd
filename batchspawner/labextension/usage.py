"""What this server's job uses of the cores, the memory and the GPUs that it has asked for."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from ..agent.cgroups import job_group, numbers_in, text_in
from ..errors import SchedulerError
from ..runners import LocalRunner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_MIB = 1024**2

_PROC = Path("/proc")

_GPU_QUERY = ("nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits")
"""It prints a line for each GPU of the job: https://docs.nvidia.com/deploy/nvidia-smi/."""


@dataclass(frozen=True)
class Usage:
    """What is used, and what was asked for; None where that is not known, memory in bytes."""

    cores: float | None = None
    cores_asked: float | None = None
    memory: int | None = None
    memory_asked: int | None = None
    gpus: float | None = None
    gpus_asked: int | None = None


class UsageReader:
    """Reader of what the processes of this job use: their control group's, or a sum of ours.

    Without a control group of the job, it counts this server and what it has started.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._cores_asked = _cores_asked(environment)
        self._gpus_asked = _gpus_asked(environment)
        self._group = job_group()
        self._memory_asked = memory_asked(environment) or self._memory_limit()
        self._last: tuple[float, float] | None = None
        self.gpus: float | None = None

    async def ask_gpus(self) -> None:
        """Ask the GPUs how busy they are, if the job has some and NVIDIA's program is here."""
        if not self._gpus_asked or which(_GPU_QUERY[0]) is None:
            return
        with contextlib.suppress(SchedulerError):
            result = await LocalRunner().run(_GPU_QUERY)
            self.gpus = busy_gpus(result.stdout) if result.ok else None

    def read(self) -> Usage:
        """Return what is used now; cores as a mean since the last call."""
        memory, busy = self._group_usage() or _tree_usage(os.getpid())
        cores = None
        now = time.monotonic()
        if self._last is not None and now > self._last[0]:
            cores = max(0.0, round((busy - self._last[1]) / (now - self._last[0]), 1))
        self._last = now, busy
        return Usage(
            cores=cores,
            cores_asked=self._cores_asked,
            # A row is sent again if it has changed, so that steps are coarse.
            memory=memory // (8 * _MIB) * (8 * _MIB),
            memory_asked=self._memory_asked,
            gpus=self.gpus,
            gpus_asked=self._gpus_asked,
        )

    def _group_usage(self) -> tuple[int, float] | None:
        """Return bytes of memory and seconds of cores that the control group has used."""
        used = text_in(self._group, "memory.current") if self._group else ""
        busy = numbers_in(self._group, "cpu.stat").get("usage_usec") if self._group else None
        if not self._group or not used.isdecimal() or busy is None:
            return None
        # What the kernel can drop at any time is no use of the job's.
        dropped = numbers_in(self._group, "memory.stat").get("inactive_file", 0)
        return int(used) - dropped, busy / 1e6

    def _memory_limit(self) -> int | None:
        limit = text_in(self._group, "memory.max") if self._group else ""
        return int(limit) if limit.isdecimal() else None


def memory_asked(environment: Mapping[str, str]) -> int | None:
    """Return the bytes of memory that the job's variables say it may use, None if they do not."""
    with contextlib.suppress(KeyError, ValueError):
        return int(environment["MEM_LIMIT"])
    return None


def busy_gpus(text: str) -> float | None:
    """Return how many GPUs are busy, as a sum of their utilisations, None if none tells that."""
    known = [int(line) / 100 for line in text.split() if line.isdecimal()]
    return round(sum(known), 1) if known else None


def _cores_asked(environment: Mapping[str, str]) -> float | None:
    with contextlib.suppress(KeyError, ValueError):
        return float(environment["CPU_LIMIT"])
    return None


def _gpus_asked(environment: Mapping[str, str]) -> int | None:
    """Return how many GPUs a job was given, as schedulers tell programs that use them."""
    # https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables
    listed = environment.get("CUDA_VISIBLE_DEVICES", "")
    return len(listed.split(",")) if listed else None


def _tree_usage(root: int) -> tuple[int, float]:
    """Return bytes of memory and seconds of cores of a process and of all below it."""
    memory, busy = 0, 0.0
    for pid in _tree(root):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name of a program, in parentheses, may hold spaces: proc(5).
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            busy += sum(int(one) for one in fields[11:15]) / _TICKS_PER_S
            memory += int(fields[21]) * _PAGE_BYTES
    return memory, busy


def _tree(root: int) -> Iterator[int]:
    yield root
    with contextlib.suppress(OSError):
        for thread in (_PROC / str(root) / "task").iterdir():
            with contextlib.suppress(OSError):
                for child in (thread / "children").read_text().split():
                    yield from _tree(int(child))
