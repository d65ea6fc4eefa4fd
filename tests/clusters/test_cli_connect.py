"""The command `batchspawner connect` leads to a cluster and to its Jupyter server."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
import webbrowser

import ipyparallel as ipp
import pytest

from batchspawner.errors import ConnectionFailed
from tests.hubs import wait_for

# What ipyparallel itself warns about with today's versions of what it needs.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def start(*words):
    """Start the command, and return its process when it is connected, with what it said."""
    command = [sys.executable, "-m", "batchspawner.cli", "connect", *words]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("Ctrl-C"):
            break
    return process, "".join(said)


def test_the_command_leads_to_a_cluster_until_it_is_interrupted(far, laptop):
    job = far.cluster.job_id
    process, said = start(*far.options, "login", job)
    assert said == (
        "Connected. In Python here:  import ipyparallel as ipp; "
        f"rc = ipp.Client(profile='job_{job}')\nCtrl-C ends the connection.\n"
    )
    with ipp.Client(profile=f"job_{job}") as rc:
        assert rc.ids == [0, 1]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "\n", "")


def test_a_command_that_is_interrupted_while_it_waits_for_the_job_cleans_up(far, laptop):
    command = [sys.executable, "-m", "batchspawner.cli", "connect", "--wait=600", *far.options]
    with subprocess.Popen([*command, "login", "77"], stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: list(laptop.folder.glob("bs-*/s")), 30, "the connection")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 0
    assert (laptop.left(), list(laptop.folder.glob("bs-*"))) == ([], [])


def test_a_terminated_command_cleans_up_too(far, laptop):
    process, _ = start(*far.options, "login", far.cluster.job_id)
    process.terminate()
    process.communicate(timeout=30)
    assert laptop.left() == []


def test_what_a_killed_command_has_left_is_removed_on_demand(far, laptop):
    process, _ = start(*far.options, "login", far.cluster.job_id)
    process.kill()
    process.communicate(timeout=30)
    command = [sys.executable, "-m", "batchspawner.cli", "connect", "--clean"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    job = far.cluster.job_id
    assert done.stdout == f"Removed the files of the connection to login {job}.\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "name the host, and the job's id or the profile's folder there"),
        (("-oBatchMode=yes", "1"), "name the host, and the job's id or the profile's folder there"),
        (("login", ""), "name the host, and the job's id or the profile's folder there"),
        (("lo gin", "1"), "'lo gin' is no host of ssh; write HOST or USER@HOST"),
    ],
)
def test_a_mistake_is_explained(far, laptop, words, error):
    process, _ = start(*words)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (1, "", f"batchspawner connect: {error}\n")


def test_the_end_of_the_job_ends_the_command(far, laptop):
    with far.own_cluster(1) as cluster:
        process, _ = start(*far.options, "--wait=60", "login", cluster.job_id)
        cluster.stop()
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == "The controller no longer answers: its job has ended.\n"


def test_the_jupyter_server_in_the_job_is_reached(far, laptop, monkeypatch):
    pytest.importorskip("jupyter_server")
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    with (
        far.own_cluster(1, notebook="server --allow-root") as cluster,
        far.connect(cluster.job_id, notebook=True, wait=60) as link,
    ):
        page = link.open_notebook()
        assert (opened, "token" in page) == ([page], False)
        with urllib.request.urlopen(page, timeout=10) as answer:
            (url,) = re.findall('url=([^"]*)', answer.read().decode())
        assert url == link.notebook_url
        status = link.notebook_url.replace("/?", "/api/status?")
        with urllib.request.urlopen(status, timeout=10) as answer:
            assert json.load(answer)["kernels"] == 0


def test_a_cluster_without_a_jupyter_server_says_so(far, laptop):
    with pytest.raises(ConnectionFailed, match="batchspawner cluster start --notebook"):
        far.connect(notebook=True)
