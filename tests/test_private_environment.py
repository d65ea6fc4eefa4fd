"""Secrets do not show when what holds them is printed or logged."""

from __future__ import annotations

import json
import logging
import pickle

import pytest

from batchspawner import (
    CondorSpawner,
    GridengineSpawner,
    LocalQueueSpawner,
    LsfSpawner,
    MoabSpawner,
    OarSpawner,
    PBSSpawner,
    SlurmSpawner,
    TorqueSpawner,
)
from batchspawner.commands import Command
from batchspawner.jobs import JobRequest
from batchspawner.private_environment import PrivateEnvironment
from batchspawner.spawners.secrets.claim import Application
from batchspawner.spawners.secrets.package import Package
from tests.spawners.site import TOKEN, make_spawner

SECRET = "hunter2"


def test_an_environment_shows_its_names_only():
    environment = PrivateEnvironment({"PASSWORD": SECRET, "A": "b"})
    assert f"{environment}" == f"{environment!r}" == "<2 variables: A, PASSWORD>"
    assert f"{PrivateEnvironment()}" == "<0 variables: none>"


def test_a_log_gets_no_more_of_it_than_a_page(caplog):
    caplog.set_level(logging.DEBUG)
    environment = PrivateEnvironment(PASSWORD=SECRET)
    logging.debug("%s %r %s", environment, {"env": environment}, [environment])
    assert SECRET not in caplog.text


def test_it_is_an_environment_all_the_same():
    environment = PrivateEnvironment(PASSWORD=SECRET)
    assert {**environment} == dict(environment) == {"PASSWORD": SECRET}
    assert json.loads(json.dumps(environment)) == environment
    assert pickle.loads(pickle.dumps(environment)) == environment


def test_neither_a_request_nor_a_call_shows_what_it_brings_to_the_scheduler():
    request = JobRequest(f"export PASSWORD={SECRET}", "tag", {"PASSWORD": SECRET})
    call = Command(("submit",), str, SECRET, {"PASSWORD": SECRET})
    assert SECRET not in f"{request} {request!r} {call} {call!r}"


def test_neither_a_package_nor_a_claim_shows_its_code():
    package = Package(f"export A={SECRET}", "", PrivateEnvironment(A=SECRET))
    application = Application(SECRET, 4321, claimant=SECRET, following=SECRET)
    assert SECRET not in f"{package!r} {application!r}"


@pytest.mark.parametrize(
    "cls",
    [
        CondorSpawner,
        GridengineSpawner,
        LocalQueueSpawner,
        LsfSpawner,
        MoabSpawner,
        OarSpawner,
        PBSSpawner,
        SlurmSpawner,
        TorqueSpawner,
    ],
    ids=lambda cls: cls.__name__,
)
def test_the_environment_of_no_server_shows_itself_to_a_log_of_the_site(cls):
    environment = make_spawner(cls, req_homedir="/home/ada").get_env()
    assert environment["JUPYTERHUB_API_TOKEN"] == TOKEN
    assert TOKEN not in f"{environment} {environment!r}"
