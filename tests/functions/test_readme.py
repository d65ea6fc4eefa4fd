"""The examples of slurminade's README run word for word, with a scheduler and without one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from collections import Counter
from functools import partial

import pytest

from tests.folders import open_to_all
from tests.hubs import wait_for
from tests.real import slurm
from tests.real.users import USERS

VERSION = "slurminade==0.6.1"
FIRST = Counter(["Prepare", "Clean up", *(f"f({number})" for number in range(100))])


@pytest.fixture(scope="session")
def examples(tmp_path_factory):
    """The programs that its README shows, with our module in the place of its own."""
    folder = tmp_path_factory.mktemp("readme")
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), VERSION]
    subprocess.run(argv, check=True, capture_output=True, timeout=120)
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        name = next(one for one in archive.getnames() if one.endswith("/README.md"))
        text = archive.extractfile(name).read().decode()
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ours = "import batchspawner.functions as slurminade"
    return [re.sub("^import slurminade$", ours, one, flags=re.MULTILINE) for one in blocks]


@pytest.fixture
def place():
    """A folder that the jobs' owner can write into."""
    with open_to_all() as folder:
        yield folder


def run(place, example, environment, *prefix):
    """Run an example to its end; return the folder of its jobs."""
    script = place / f"example{len(list(place.iterdir()))}.py"
    script.write_text(example)
    calls = place / f"{script.stem}-calls"
    # A name that it uses is an old one.
    quiet = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}
    variables = {**environment, **quiet, "BATCHSPAWNER_CALL_DIR": str(calls)}
    argv = [*prefix, "env", *(f"{k}={v}" for k, v in variables.items()), sys.executable, script]
    done = subprocess.run(argv, cwd=place, capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (0, "")
    return calls


def printed(calls):
    """Return how often the jobs have printed which line, and which line came last."""
    files = sorted(calls.glob("functions/*/output"), key=lambda one: one.stat().st_mtime)
    lines = [line for file in files for line in file.read_text().splitlines()]
    return Counter(lines), lines[-1:]


def both_said(calls):
    return printed(calls)[0] == Counter(["hello", "world!"])


def check(examples, place, environment, *prefix):
    calls = run(place, examples[0], environment, *prefix)
    wait_for(lambda: printed(calls) == (FIRST, ["Clean up"]), 120, "the jobs of the first example")
    for example in examples[1:]:
        calls = run(place, example, environment, *prefix)
        if "sec_order_func" in example:
            wait_for(partial(both_said, calls), 120, "both functions")


@pytest.mark.packaging
def test_the_examples_run_without_a_scheduler(examples, place):
    environment = {"BATCHSPAWNER_SCHEDULER": "local", "BATCHSPAWNER_QUEUE_DIR": f"{place}/queue"}
    check(examples, place, {**environment, "PATH": os.environ["PATH"]})


@pytest.mark.slurm
@pytest.mark.scheduler
@pytest.mark.skipif(bool(slurm.unavailable()), reason=slurm.unavailable())
def test_the_examples_run_on_a_real_slurm(examples, place):
    cluster = slurm.SlurmCluster().start()
    try:
        # What the first example asks for.
        cluster.run("scontrol", "create", "partitionname=alg", "nodes=ALL", "state=up")
        features = [f"{kind}Features=alggen02" for kind in ("Available", "Active")]
        cluster.run("scontrol", "update", "nodename=n1", *features)
        environment = {**cluster.environment, "BATCHSPAWNER_SCHEDULER": "slurm"}
        check(examples, place, environment, "sudo", "-H", "-u", USERS[0])
    finally:
        cluster.stop()
