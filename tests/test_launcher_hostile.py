"""Whatever a launcher is sent, nothing but its fixed commands runs."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchspawner import launcher
from batchspawner.launcher import Refusal
from tests.launching import ME, TAG, Desk

HOSTILE = st.one_of(
    st.sampled_from(
        [
            "--uid=0",
            "-1",
            "12; id",
            "$(id)",
            "`id`",
            "12\n13",
            "../../etc/passwd",
            "12/../13",
            "",
            " ",
            "12 ",
            "\0",
            "*",
            "٣",
            "12\ud800",
            "jh-0123456789ab\n",
            "{home}",
            "9" * 500,
            "!cmd",
        ]
    ),
    st.text(),
    st.integers(),
    st.floats(),
    st.none(),
    st.booleans(),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.text(), max_size=3),
)
PATHS = st.text() | st.sampled_from(
    [
        "/etc/cron.d/x",
        "~/.bashrc",
        f"{ME.pw_dir}/.bashrc",
        f"{ME.pw_dir}/.batchspawner/../.bashrc",
        f"{ME.pw_dir}/.batchspawner/",
        f"{ME.pw_dir}/.batchspawner",
        f"{ME.pw_dir}/.batchspawner/..",
        f"{ME.pw_dir}/.batchspawner/x/y",
        f"{ME.pw_dir}//.batchspawner/x",
    ]
)
KEYS = st.sampled_from(["verb", "job_id", "tag", "script", "environment", "signal", "user", "argv"])
VERBS = st.sampled_from(
    ["submit", "cancel", "signal", "tail-log", "stat-log", "show", "find", "exec", "Submit"]
)
FORMED = st.one_of(
    st.fixed_dictionaries(
        {
            "verb": st.just("submit"),
            "tag": st.just(TAG) | HOSTILE,
            "script": st.just("#!/bin/sh\n") | HOSTILE,
            "environment": st.dictionaries(st.text(), HOSTILE) | HOSTILE,
            "files": st.just({}) | st.dictionaries(PATHS, HOSTILE) | HOSTILE,
        }
    ),
    st.fixed_dictionaries(
        {"verb": st.sampled_from(["cancel", "tail-log"]), "job_id": st.just("12") | HOSTILE}
    ),
    st.fixed_dictionaries(
        {"verb": st.just("tail-log"), "job_id": st.just("12")},
        optional={"size": st.just(1) | HOSTILE, "changed_at": st.floats() | HOSTILE},
    ),
    st.fixed_dictionaries(
        {
            "verb": st.just("signal"),
            "job_id": st.just("12") | HOSTILE,
            "signal": st.just(15) | HOSTILE,
        }
    ),
)
REQUESTS = st.one_of(
    FORMED,
    st.dictionaries(KEYS, VERBS | HOSTILE),
    st.tuples(FORMED, st.dictionaries(KEYS, VERBS | HOSTILE)).map(lambda two: {**two[0], **two[1]}),
)
FUZZ = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
ALLOWED = {
    "submit": ["/tool", "submit", f"--comment={TAG}"],
    "show": ["/tool", "show", "12"],
    "cancel": ["/tool", "cancel", "12"],
}


def test_whatever_a_hostile_request_says_nothing_but_the_fixed_commands_run(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher.syslog, "syslog", lambda *_: None)
    desk = Desk(tmp_path)
    ran = []

    class Done:
        returncode, stdout, stderr = 0, TAG.encode(), b""

    def run(command, *, env, cwd, shell=False, **_):
        assert set(env) <= {"PATH", "SITE", "HOME", "USER", "LOGNAME", "SHELL"} | {
            name for name in env if name.startswith(("JUPYTERHUB_", "JUPYTER_", "JPY_", "BATCHSP"))
        }
        assert (shell, cwd) == (False, "/")
        ran.append(command)
        return Done

    monkeypatch.setattr(launcher.subprocess, "run", run)
    desk.rules.update(
        ALLOWED,
        job_id="[0-9]{1,9}",
        log="/nonexistent/{job_id}",
        signal=["/tool", "signal", "{signal}", "{job_id}"],
    )

    @FUZZ
    @given(REQUESTS)
    def ask(request):
        ran.clear()
        try:
            desk.send(json.dumps(request).encode())
        except Refusal:
            assert ran in ([], [ALLOWED["show"]])
            return
        for command in ran:
            assert command[:1] == ["/tool"]
            assert command in ALLOWED.values() or command[1:2] in (["signal"], ["show"], ["cancel"])
            assert all(word.isascii() and word.isalnum() for word in command[2:]) or (
                command == ALLOWED["submit"]
            )

    ask()


@FUZZ
@given(st.binary() | st.text().map(str.encode))
def test_bytes_that_are_no_request_are_refused_and_nothing_else_happens(data):
    with pytest.raises(Refusal):
        launcher.read_request(io.BytesIO(data))
