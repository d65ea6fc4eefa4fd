"""The examples of ipyparallel's manual run with engines of ours.

https://ipyparallel.readthedocs.io/en/latest/tutorial/index.html
"""

from __future__ import annotations

import asyncio
import os
import signal

import ipyparallel as ipp
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from tests.clusters.conftest import own_place
from tests.hubs import wait_for

pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

N = 4


def new_cluster(place, **kwargs):
    return ipp.Cluster(
        engines="batchspawner",
        profile_dir=str(place.profiles / "profile_test"),
        controller_args=["--HeartMonitor.period=300"],
        **kwargs,
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with own_place(tmp_path_factory.mktemp("examples")) as place:
        one = new_cluster(place, n=N)
        one.start_cluster_sync()
        yield one
        one.stop_cluster_sync()
        assert (place.jobs(), place.left()) == ({}, [])


@pytest.fixture(scope="module")
def rc(cluster):
    with cluster.connect_client_sync() as client:
        client.wait_for_engines(N, timeout=120, interactive=False)
        yield client


@pytest.fixture
def shell(rc):
    """IPython's shell with the magics of `rc`."""
    one = InteractiveShell.instance()
    rc.activate()
    yield one
    InteractiveShell.clear_instance()


def test_with_statement(place):
    with new_cluster(place, n=2) as rc:
        pids = rc[:].apply_async(os.getpid).get_dict()
        assert sorted(pids) == [0, 1]
        assert len(set(pids.values())) == 2


def test_start_and_connect_of_an_async_program(place):
    async def program():
        cluster = new_cluster(place)
        rc = await cluster.start_and_connect(n=2)
        try:
            return await asyncio.wrap_future(rc[:].apply_async(abs, -3))
        finally:
            rc.close()
            await cluster.stop_cluster()

    assert asyncio.run(program()) == [3, 3]
    assert (place.jobs(), place.left()) == ({}, [])


def test_start_and_connect_activates_the_magics(place):
    shell = InteractiveShell.instance()
    cluster = new_cluster(place)
    try:
        with cluster.start_and_connect_sync(n=2, activate=True) as rc:
            rc.wait_for_engines(2, timeout=60, interactive=False)
            shell.run_line_magic("px", "a = 6 * 7")
            assert rc[:]["a"] == [42, 42]
    finally:
        cluster.stop_cluster_sync()
        InteractiveShell.clear_instance()


def test_map_of_a_direct_view(rc):
    assert rc[:].map_sync(lambda x: x**10, range(32)) == [x**10 for x in range(32)]


def test_remote_and_parallel_functions(rc):
    view = rc[:]

    @view.remote(block=True)
    def getpid():
        import os

        return os.getpid()

    @view.parallel(block=True)
    def double(part):
        return [2 * one for one in part]

    assert len(set(getpid())) == N
    assert list(double(range(16))) == [2 * one for one in range(16)]
    assert view.parallel(block=True)(lambda x: 10.0 * x**4).map(range(32)) == [
        10.0 * x**4 for x in range(32)
    ]


def test_push_pull_scatter_and_gather(rc):
    view = rc[:]
    view.block = True
    view.push({"a": 1.03234, "b": 3453})
    assert view.pull("a") == [1.03234] * N
    view["c"] = ["speed"]
    assert view["c"] == [["speed"]] * N
    view.scatter("x", range(64))
    view.execute("y = [i ** 10 for i in x]")
    assert list(view.gather("y")) == [i**10 for i in range(64)]
    with view.sync_imports(quiet=True):
        import fractions  # noqa: F401  (the engines use it)
    view.execute("third = str(fractions.Fraction(1, 3))")
    assert view["third"] == ["1/3"] * N


def test_broadcast_view(rc):
    view = rc.broadcast_view()
    view.block = True
    assert view.apply(abs, -2) == [2] * N
    view["d"] = 7
    assert view["d"] == [7] * N


def test_load_balanced_view(rc):
    view = rc.load_balanced_view()
    assert view.map_sync(lambda x: x + 1, range(20)) == list(range(1, 21))
    assert list(view.imap(lambda x: 2 * x, range(5), ordered=True)) == [0, 2, 4, 6, 8]

    @view.parallel()
    def f(x):
        return 10.0 * x**4

    assert list(f.map(range(8))) == [10.0 * x**4 for x in range(8)]
    first = view.apply(abs, -1)
    with view.temp_flags(after=[first]):
        assert view.apply_sync(abs, -2) == 2


def test_functional_dependencies(rc):
    view = rc.load_balanced_view()

    @ipp.require("math")
    @ipp.interactive
    def root(x):
        return math.sqrt(x)  # noqa: F821  (the engine has imported it)

    assert view.apply_sync(root, 9) == 3.0


def test_executor(rc):
    with rc.executor() as executor:
        assert list(executor.map(abs, range(-3, 3))) == [3, 2, 1, 0, 1, 2]
        assert executor.submit(abs, -7).result(60) == 7


def test_outputs_and_errors(rc):
    result = rc[:].execute("print('hello')")
    result.get(60)
    result.wait_for_output(60)
    assert result.stdout == ["hello\n"] * N
    with pytest.raises(ipp.CompositeError, match="division by zero"):
        rc[:].execute("1 / 0", block=True)
    with pytest.raises(ipp.RemoteError, match="ZeroDivisionError"):
        rc[0].apply_sync(lambda: 1 / 0)


def test_px_magics(rc, shell):
    shell.run_line_magic("px", "import os")
    with capture_output() as shown:
        shell.run_cell_magic("px", "--targets 1", "print('of one')")
    assert "of one" in shown.stdout
    shell.run_cell_magic("px", "--noblock", "e = 5")
    with capture_output():
        shell.run_line_magic("pxresult", "")
    shell.run_line_magic("autopx", "")
    shell.run_cell("f = e + 1")
    shell.run_line_magic("autopx", "")
    assert rc[:]["f"] == [6] * N


@pytest.mark.parametrize("by", ["cluster", "client"])
def test_signals_interrupt_engines(cluster, rc, tmp_path, by):
    def work(folder):
        import os
        import pathlib
        import time

        pathlib.Path(folder, str(os.getpid())).touch()
        time.sleep(600)

    result = rc[:].apply_async(work, str(tmp_path))
    wait_for(lambda: len(list(tmp_path.iterdir())) == N, 60, "work on all engines")
    if by == "cluster":
        cluster.signal_engines_sync(signal.SIGINT)
    else:
        rc.send_signal(signal.SIGINT, block=True)
    with pytest.raises(ipp.CompositeError, match="KeyboardInterrupt"):
        result.get(timeout=60)
    assert rc[:].apply_async(abs, -1).get(timeout=60) == [1] * N


def test_engines_come_and_go(cluster, rc):
    more = cluster.start_engines_sync(1)
    rc.wait_for_engines(N + 1, timeout=60, interactive=False)
    cluster.stop_engines_sync(more)
    wait_for(lambda: len(rc.ids) == N, 60, "the end of an engine")


def test_a_cluster_from_its_file(cluster):
    other = ipp.Cluster.from_file(cluster.cluster_file)
    with other.connect_client_sync() as rc:
        rc.wait_for_engines(N, timeout=60, interactive=False)
        assert rc[:].apply_async(abs, -1).get(timeout=60) == [1] * N
    found = ipp.ClusterManager().load_clusters(profile_dirs=[cluster.profile_dir])
    assert [one.cluster_file for one in found.values()] == [cluster.cluster_file]


def test_engines_are_restarted(cluster, rc):
    before = rc[:].apply_async(os.getpid).get(timeout=60)
    cluster.restart_engines_sync()
    rc.wait_for_engines(N, timeout=60, interactive=False)
    after = rc[:].apply_async(os.getpid).get(timeout=60)
    assert (len(after), set(after) & set(before)) == (N, set())
