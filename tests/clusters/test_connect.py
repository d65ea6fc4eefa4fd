"""A laptop reaches a cluster over one real ssh connection, through a host to jump over."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys

import ipyparallel as ipp
import psutil
import pytest

from batchspawner.client.blocking_client import run
from batchspawner.clusters import tunnel
from batchspawner.clusters.local_profile import clean
from batchspawner.errors import ConnectionFailed
from tests.clusters.killing import kill_oldest
from tests.hubs import wait_for
from tests.sshd import Sshd

# What ipyparallel itself warns about with today's versions of what it needs.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def connections(remote_site):
    """Return the ssh processes that lead to the cluster."""
    found = psutil.process_iter(["name", "cmdline"])
    ours = [one for one in found if one.info["name"] == "ssh" and one.info["cmdline"]]
    return [one for one in ours if str(remote_site.config) in one.info["cmdline"]]


def test_a_cluster_is_used_by_the_name_of_its_job(remote_site, laptop):
    with remote_site.connect():
        # One to the host, and the one through which it jumps.
        assert len(connections(remote_site)) == 2
        with ipp.Client(profile=f"job_{remote_site.cluster.job_id}") as rc:
            view = rc[:]
            assert len(set(view.apply_sync(os.getpid))) == 2
            view["x"] = 5
            assert view["x"] == [5, 5]
            assert rc.load_balanced_view().map_sync(abs, [-1, -2]) == [1, 2]
            assert rc.broadcast_view().apply_sync(abs, -1) == [1, 1]
    wait_for(lambda: not connections(remote_site), 10, "the end of ssh")


def test_a_profile_folder_leads_to_the_cluster_too(remote_site, laptop):
    with remote_site.connect(str(remote_site.cluster.profile_dir)) as link, link.client() as rc:
        assert rc.ids == [0, 1]


def test_the_copy_of_the_files_is_private_and_leads_nowhere_but_here(remote_site, laptop):
    with remote_site.connect() as link:
        assert link.connection_file.stat().st_mode & 0o777 == 0o600
        assert link.connection_file.parent.stat().st_mode & 0o777 == 0o700
        copy = json.loads(link.connection_file.read_text())
        original = json.loads(remote_site.cluster.connection_file.read_text())
        assert (copy["interface"], copy["location"]) == ("tcp://127.0.0.1", "127.0.0.1")
        assert copy["key"] == original["key"]
        assert sorted(copy) == sorted(original)


def test_hearts_and_all_ports_of_engines_are_forwarded(remote_site, laptop):
    with remote_site.connect() as link:
        engine = json.loads(link.files["engine"].read_text())
        for name in ("registration", "control", "mux", "task", "iopub", "hb_ping", "hb_pong"):
            socket.create_connection(("127.0.0.1", engine[name]), 5).close()
        assert len(engine["broadcast"]) == 2


def test_a_client_goes_on_after_the_connection_was_cut(remote_site, laptop):
    with remote_site.connect() as link, link.client() as rc:
        assert rc[:].apply_sync(abs, -1) == [1, 1]
        remote_site.login.cut()
        wait_for(lambda: link.trouble, 20, "the loss to be seen")
        wait_for(lambda: not link.trouble, 30, "the connection to be back")
        assert rc[:].apply_sync(abs, -2) == [2, 2]


def test_what_engines_print_first_arrives(remote_site, laptop):
    with remote_site.connect() as link:
        for _ in range(5):
            with link.client() as rc:
                printed = rc[:].execute("print('first')")
                assert printed.wait_for_output(5)
                assert printed.stdout == ["first\n", "first\n"]


def test_two_connections_have_a_profile_each(remote_site, laptop):
    with remote_site.connect() as one, remote_site.connect() as other:
        job = f"job_{remote_site.cluster.job_id}"
        assert (one.profile, other.profile) == (job, f"{job}-2")


def test_a_job_that_does_not_exist_is_reported(remote_site, laptop):
    with pytest.raises(ConnectionFailed, match=r"no \S+/profile_job_77/security/ipcontroller-cl"):
        remote_site.connect("77")


def test_a_wrong_key_is_reported(remote_site, laptop, tmp_path):
    config = tmp_path / "config"
    config.write_text(
        remote_site.config.read_text().replace(str(remote_site.place.folder / "key"), "/dev/null")
    )
    with pytest.raises(ConnectionFailed, match="Permission denied"):
        remote_site.connect(options=("-F", str(config)))


def test_a_host_that_does_not_answer_is_reported(remote_site, laptop):
    remote_site.jump.stop()
    with pytest.raises(ConnectionFailed, match="Connection refused"):
        remote_site.connect()


def test_a_host_that_does_not_forward_is_reported(remote_site, laptop, tmp_path):
    key = remote_site.place.folder / "key"
    strict = Sshd(tmp_path / "strict", key, remote_site.place.environment)
    with (strict.folder / "sshd_config").open("a") as settings:
        settings.write("AllowTcpForwarding no\n")
    (tmp_path / "config").write_text(strict.client_entry("login", key))
    strict.start()
    try:
        with pytest.raises(ConnectionFailed, match="administratively prohibited") as caught:
            remote_site.connect(options=("-F", str(tmp_path / "config")))
    finally:
        strict.stop()
    assert "login was reached, but nothing answers to it at 127.0.0.1:" in str(caught.value)


def test_files_of_a_controller_that_has_ended_lead_nowhere(remote_site, laptop, tmp_path):
    old = tmp_path / "profile_old"
    shutil.copytree(remote_site.cluster.profile_dir, old)
    file = old / "security" / "ipcontroller-client.json"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        file.write_text(json.dumps({**json.loads(file.read_text()), "registration": port}))
        with pytest.raises(ConnectionFailed, match=f"nothing answers to it at .*:{port}"):
            remote_site.connect(str(old))


_CRASH = """
import os, sys
from batchspawner.clusters import connect
link = connect("login", sys.argv[1], options=sys.argv[2:])
print(link.profile, flush=True)
sys.stdin.read()
"""


def test_what_a_crash_has_left_is_cleaned_up(remote_site, laptop):
    command = [sys.executable, "-c", _CRASH, remote_site.cluster.job_id, *remote_site.options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == f"job_{remote_site.cluster.job_id}\n"
        assert run(clean()) == []
        process.kill()
    assert laptop.left() != []
    assert run(clean()) == [f"login {remote_site.cluster.job_id}"]
    wait_for(lambda: not connections(remote_site), 10, "the end of ssh")


def test_a_program_that_ends_ends_its_connection(remote_site, laptop):
    code = _CRASH.replace("sys.stdin.read()", "")
    command = [sys.executable, "-c", code, remote_site.cluster.job_id, *remote_site.options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert laptop.left() == []


def test_a_connection_that_the_user_has_already_is_shared(remote_site, laptop, tmp_path):
    config, control = tmp_path / "config", remote_site.place.folder / "c"
    config.write_text(f"ControlPath {control}\n{remote_site.config.read_text()}")
    own = ["ssh", "-F", str(config), "-M", "-N", "login"]
    with subprocess.Popen(own, stdin=subprocess.DEVNULL) as process:
        wait_for(control.exists, 10, "the user's own connection")
        with remote_site.connect(options=("-F", str(config))) as link, link.client() as rc:
            assert rc[:].apply_sync(abs, -1) == [1, 1]
            assert link.tunnel.ssh.shared
            port = json.loads(link.connection_file.read_text())["registration"]
        assert process.poll() is None
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 5)
        process.terminate()


def test_the_end_of_the_controller_ends_the_connection(remote_site, laptop, monkeypatch):
    monkeypatch.setattr(tunnel, "_PROBE_INTERVAL_S", 0.5)
    with remote_site.connect() as link:
        (end, *_) = link.found.endpoints(link.found.client)
        gone = dataclasses.replace(end, port=1)
        run(link.tunnel.add(gone))
        run(link.tunnel.keep(gone))
        assert not link.is_over
    assert link.is_over


def test_a_killed_controller_ends_the_connection(remote_site, laptop, monkeypatch):
    monkeypatch.setattr(tunnel, "_PROBE_INTERVAL_S", 0.5)
    with (
        remote_site.own_cluster(1) as cluster,
        remote_site.connect(cluster.job_id, wait=60) as link,
    ):
        kill_oldest("ipyparallel.controller", cluster.profile_dir)
        wait_for(lambda: link.is_over, 60, "the end of the connection")


def test_a_killed_engine_leaves_the_others_to_a_laptop(remote_site, laptop):
    with (
        remote_site.own_cluster(2) as cluster,
        remote_site.connect(cluster.job_id, wait=60) as link,
        link.client() as rc,
    ):
        rc.wait_for_engines(2, timeout=60, interactive=False)
        with pytest.raises(Exception, match="died"):
            rc[0].apply(os._exit, 1).get(timeout=60)
        assert rc[1].apply_sync(abs, -1) == 1


def test_a_taken_port_is_avoided(remote_site, laptop, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free, asked = [taken.getsockname()[1]], []
        real = tunnel.free_port

        def port():
            asked.append(1)
            return free.pop() if free else real()

        monkeypatch.setattr(tunnel, "free_port", port)
        with remote_site.connect() as link, link.client() as rc:
            assert rc.ids == [0, 1]
            assert len(asked) == len(link.tunnel.forwards) + 1
