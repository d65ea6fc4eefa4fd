"""The node that a kernel runs on."""

from __future__ import annotations

import pytest

from batchspawner.errors import BatchError

from .driving import value

WHERE = "import os; print(os.environ['SLURMD_NODENAME'])"


async def test_a_job_is_asked_for_on_the_node_that_is_named(started, site):
    if site.name != "slurm":
        pytest.skip("it has one node")
    _, client = await started(node="n2")
    assert await value(client, WHERE) == ("ok", "n2\n")


async def test_a_kernel_joins_a_job_on_one_of_its_nodes(started, site, jobs):
    if site.name != "slurm":
        pytest.skip("it has one node")
    await started("one", nodes="2", allocation="work")
    ((job_id, _),) = jobs()
    manager, client = await started("two", jobid=job_id, node="n2")
    assert await value(client, WHERE) == ("ok", "n2\n")
    await manager.restart_kernel()
    assert await value(client, WHERE) == ("ok", "n2\n")
    with pytest.raises(BatchError, match=r"node g1 of job .* cannot be used: srun: error"):
        await started("three", jobid=job_id, node="g1")


async def test_a_node_that_cannot_be_reached_is_named(started, site, jobs):
    if site.name != "local":
        pytest.skip("it has such nodes")
    await started("one", allocation="work")
    with pytest.raises(BatchError, match="node: the local queue does not start programs on an"):
        await started("two", allocation="work", node="elsewhere")
