"""What encryption of the connections between programs and their jobs costs.

On the embedded queue, with and without encryption in turns, each time in a fresh process: 200
functions from the call to the last result (two workers), and a kernel from its start to the answer
to its first cell: one that encrypts by itself (Curve), and one whose messages the agent's
connection carries. `start_ms` is the time from the start of an agent until its driver has heard
it, and `start_cpu_ms` what both need of a processor for all of that connection. The limits:
1.10 for `functions_s` (`encrypted / plain`), 20 ms `more` for a kernel.
usage: python benchmarks/encryption.py [ROUNDS]
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from batchspawner.allocation import tls
from benchmarks.measuring import report

TASKS = 200
CURVE = {"supported_encryption": ["curve"]}


def square(number: int) -> int:
    return number * number


# --- what is measured, once in a process


def functions(_: Path) -> dict[str, float]:
    from batchspawner.functions import Executor

    begun = time.perf_counter()
    with Executor("local", workers=2) as executor:
        assert sum(executor.map(square, range(TASKS))) == sum(n * n for n in range(TASKS))
        return {"functions_s": time.perf_counter() - begun}


def agent(folder: Path) -> dict[str, float]:
    from batchspawner.allocation.call_folder import CallFolder
    from batchspawner.allocation.listener import Listener

    async def heard() -> dict[str, float]:
        listener = await Listener.open("127.0.0.1")
        call = CallFolder.create(folder / "call")
        listener.expect(call)
        begun, used = time.perf_counter(), cpu()
        process = await asyncio.create_subprocess_shell(f"exec {call.command}")
        found = await call.next_agent()
        seconds = time.perf_counter() - begun
        found.finish()
        await process.wait()
        await listener.close()
        return {"start_ms": 1000 * seconds, "start_cpu_ms": 1000 * (cpu() - used)}

    return asyncio.run(heard())


def cpu() -> float:
    """Return the processor seconds that this process and its children have used."""
    return sum(os.times()[:4])


def curve(folder: Path) -> dict[str, float]:
    return {"kernel_with_curve_ms": 1000 * asyncio.run(kernel(folder, CURVE))}


def carried(folder: Path) -> dict[str, float]:
    return {"other_kernel_ms": 1000 * asyncio.run(kernel(folder, {}))}


async def kernel(folder: Path, metadata: dict[str, object]) -> float:
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    place = folder / "specs" / "batch"
    place.mkdir(parents=True)
    provisioner = {
        "provisioner_name": "batch-provisioner",
        "config": {"scheduler": "local", "linger": 0},
    }
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    metadata = {**metadata, "kernel_provisioner": provisioner}
    spec = {"argv": argv, "display_name": "batch", "language": "python", "metadata": metadata}
    (place / "kernel.json").write_text(json.dumps(spec))
    specs = KernelSpecManager(kernel_dirs=[str(place.parent)])
    manager = AsyncKernelManager(kernel_name="batch", kernel_spec_manager=specs)
    begun = time.perf_counter()
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    await client.execute_interactive("6 * 7", timeout=60, output_hook=lambda _: None)
    seconds = time.perf_counter() - begun
    client.stop_channels()
    await manager.shutdown_kernel(now=True)
    manager.context.destroy(linger=0)
    return seconds


# --- what runs it


def measured(part: str, folder: Path, encryption: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory(dir=folder) as own:
        done = subprocess.run(
            [sys.executable, __file__, part, own],
            env={**os.environ, tls.VARIABLE: encryption},
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
            check=True,
        )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    if len(sys.argv) > 2:
        print(json.dumps(globals()[sys.argv[1]](Path(sys.argv[2]))))
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    kinds = {"plain": "0", "encrypted": "1"}
    found: dict[str, dict[str, list[float]]] = {name: {} for name in kinds}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["BATCHSPAWNER_SCHEDULER"] = "local"
        os.environ["BATCHSPAWNER_QUEUE_DIR"] = str(folder / "queue")
        os.environ["BATCHSPAWNER_CALL_DIR"] = str(folder / "calls")
        measured("agent", folder, "1")  # makes the certificate, once in a month
        for number in range(rounds):
            # Neither is always the one that finds everything in memory.
            names = list(kinds)[:: 1 if number % 2 else -1]
            for part in ("agent", "functions", "curve", "carried"):
                for name in names:
                    for figure, value in measured(part, folder, kinds[name]).items():
                        found[name].setdefault(figure, []).append(value)
    report("encryption", {"rounds": rounds, "tasks": TASKS, **summary(found)})


def summary(found: dict[str, dict[str, list[float]]]) -> dict[str, dict[str, float]]:
    """Return the best and the median of each figure, and what encryption adds.

    `more` and `encrypted / plain` are medians over the rounds, of two that ran one after the
    other.
    """
    results: dict[str, dict[str, float]] = {
        name: {} for name in (*found, "more", "encrypted / plain")
    }
    for name, figures in found.items():
        for figure, values in figures.items():
            digits = 3 if figure.endswith("_s") else 1
            results[name][f"{figure}, best"] = round(min(values), digits)
            results[name][f"{figure}, median"] = round(statistics.median(values), digits)
    for figure, plain in found["plain"].items():
        pairs = list(zip(plain, found["encrypted"][figure]))
        more = statistics.median(after - before for before, after in pairs)
        results["more"][figure] = round(more, 3 if figure.endswith("_s") else 1)
        ratio = statistics.median(after / before for before, after in pairs)
        results["encrypted / plain"][figure] = round(ratio, 3)
    return results


if __name__ == "__main__":
    main()
