"""How a job exchanges its claim code for its secrets."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys

import pytest

from batchspawner import singleuser
from batchspawner.spawners.secrets.claim import new_code, server_of
from tests.test_singleuser import hub, wrap  # noqa: F401  (hub is a fixture)

CODE, OTHER_CODE = new_code(7), new_code(7)
NEXT = "BATCHSPAWNER_NEXT_CODE_FILE"
SHOW = "import json, os; print(json.dumps({**os.environ}))"
GIVEN = {"JUPYTERHUB_API_TOKEN": "granted", "DB_PASSWORD": "hunter2", "COLOUR": "red"}


def claim(one, **more) -> dict[str, str]:
    """Claim as a job would, and return what the server finds in its environment."""
    more = {"JUPYTERHUB_API_TOKEN": CODE, **more}
    done = wrap(one.url, sys.executable, "-c", SHOW, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_code_is_exchanged_for_the_environment_of_the_server(hub):  # noqa: F811
    one = hub(environment=GIVEN)
    environment = claim(one)
    ((_, authorization, body),) = one.reports
    assert authorization == f"token {CODE}"
    assert set(body) == {"port", "host", "claim", "job_id"}
    assert {name: environment[name] for name in GIVEN} == GIVEN


def test_the_code_itself_does_not_reach_the_server(hub):  # noqa: F811
    assert CODE not in str(claim(hub(environment=GIVEN)))


def test_what_the_job_has_set_itself_stays(hub):  # noqa: F811
    assert claim(hub(environment=GIVEN), COLOUR="blue")["COLOUR"] == "blue"


def test_the_job_says_which_one_it_is_where_the_scheduler_tells_it(hub):  # noqa: F811
    one = hub(environment=GIVEN)
    claim(one, BATCHSPAWNER_JOB_ID_VARIABLE="MY_JOB", MY_JOB="4711")
    assert one.reports[0][2]["job_id"] == "4711"


def test_a_try_that_is_repeated_is_recognised_as_the_same(hub):  # noqa: F811
    one = hub(503, 201, environment=GIVEN)
    claim(one)
    first, second = (body for _, _, body in one.reports)
    assert first == second
    other = hub(environment=GIVEN)
    claim(other)
    assert other.reports[0][2]["claim"] != first["claim"]


def test_the_code_may_lie_in_a_file(hub, tmp_path):  # noqa: F811
    file = tmp_path / "private"
    file.write_text(json.dumps({"JUPYTERHUB_API_TOKEN": CODE}))
    one = hub(environment=GIVEN)
    environment = claim(
        one, JUPYTERHUB_API_TOKEN="lies-in-a-file", BATCHSPAWNER_PRIVATE_FILE=str(file)
    )
    assert one.reports[0][1] == f"token {CODE}"
    assert environment["JUPYTERHUB_API_TOKEN"] == "granted"
    assert "BATCHSPAWNER_PRIVATE_FILE" not in environment


def test_the_file_may_have_been_brought_along(hub, tmp_path):  # noqa: F811
    (tmp_path / "private").write_text(json.dumps({"JUPYTERHUB_API_TOKEN": CODE}))
    one = hub(environment=GIVEN)
    claim(one, BATCHSPAWNER_PRIVATE_FILE="/no/home/private", _CONDOR_SCRATCH_DIR=str(tmp_path))
    assert one.reports[0][1] == f"token {CODE}"


def test_the_next_run_of_the_job_claims_with_a_code_of_its_own(hub, tmp_path):  # noqa: F811
    place = tmp_path / "private" / "next"
    one = hub(environment=GIVEN)
    assert NEXT not in claim(one, **{NEXT: str(place)})
    assert (stat.S_IMODE(place.stat().st_mode), os.listdir(place.parent)) == (0o600, ["next"])
    claim(one, **{NEXT: str(place)})
    claim(one, JUPYTERHUB_API_TOKEN=OTHER_CODE, **{NEXT: str(place)})  # of another job
    codes = [authorization.partition(" ")[2] for _, authorization, _ in one.reports]
    following = [body["next"] for _, _, body in one.reports]
    assert codes == [CODE, following[0], OTHER_CODE]
    assert len({CODE, *following}) == 4
    assert [server_of(code) for code in following] == [7, 7, 7]


def test_a_run_that_was_refused_leaves_the_code_that_there_was(hub, tmp_path):  # noqa: F811
    place = tmp_path / "next"
    claim(hub(environment=GIVEN), **{NEXT: str(place)})
    before = place.read_text()
    done = wrap(hub(403).url, "true", JUPYTERHUB_API_TOKEN=CODE, **{NEXT: str(place)})
    assert done.returncode == singleuser.EX_UNAVAILABLE
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"next": before}


def test_a_job_that_cannot_keep_a_code_names_none(hub, tmp_path):  # noqa: F811
    (tmp_path / "private").write_text(json.dumps({"JUPYTERHUB_API_TOKEN": CODE}))
    one = hub(environment=GIVEN)
    claim(one, **{NEXT: "/proc/nowhere/next"})
    # Nor does one whose file was brought to this node only.
    claim(
        one,
        BATCHSPAWNER_PRIVATE_FILE="/no/home/private",
        _CONDOR_SCRATCH_DIR=str(tmp_path),
        **{NEXT: str(tmp_path / "next")},
    )
    assert ["next" in body for _, _, body in one.reports] == [False, False]


@pytest.mark.parametrize("text", [None, "", "[]", "{"])
def test_a_file_that_is_not_there_or_is_none_says_what_to_do(hub, tmp_path, text):  # noqa: F811
    file = tmp_path / "private"
    if text is not None:
        file.write_text(text)
    one = hub(environment=GIVEN)
    done = wrap(one.url, "true", BATCHSPAWNER_PRIVATE_FILE=str(file))
    assert (done.returncode, one.reports) == (singleuser.EX_CONFIG, [])
    assert f"cannot read {file}" in done.stderr
    assert "The nodes must share the home folders" in done.stderr


@pytest.mark.parametrize("answer", [{}, {"environment": None}, {"environment": {}}])
def test_a_hub_that_returns_no_environment_is_an_error(hub, answer):  # noqa: F811
    done = wrap(hub(**answer).url, "true", JUPYTERHUB_API_TOKEN=CODE)
    assert done.returncode == singleuser.EX_UNAVAILABLE
    assert done.stderr.endswith("the Hub's answer to the claim has no environment\n")


def test_a_refused_claim_ends_the_job_with_the_reason(hub):  # noqa: F811
    one = hub(403, message="this code was used already; the use is logged as an alarm")
    done = wrap(one.url, "true", JUPYTERHUB_API_TOKEN=CODE)
    assert (done.returncode, len(one.reports)) == (singleuser.EX_UNAVAILABLE, 1)
    assert "this code was used already" in done.stderr
    assert CODE not in done.stderr


FILES = {"KEYFILE": "a key", "CERTFILE": "a certificate", "CLIENT_CA": "whom to trust"}


def certificates(**files) -> str:
    return base64.b64encode(json.dumps({"name": "jh-1234-7-tls", **files}).encode()).decode()


def test_certificates_become_files_that_only_their_owner_reads(hub, tmp_path):  # noqa: F811
    given = {**GIVEN, "BATCHSPAWNER_CERTIFICATES": certificates(**FILES)}
    one = hub(environment=given)
    entry = certificates(**dict.fromkeys(FILES, "older, for the entry"))
    environment = claim(one, HOME=str(tmp_path), BATCHSPAWNER_CERTIFICATES=entry)
    folder = tmp_path / ".batchspawner" / "jh-1234-7-tls"
    texts = {name: (folder / f"{name.lower()}.pem").read_text() for name in FILES}
    assert texts == FILES
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in [folder, *folder.iterdir()]}
    assert modes == {
        "jh-1234-7-tls": "0o700",
        "keyfile.pem": "0o600",
        "certfile.pem": "0o600",
        "client_ca.pem": "0o600",
    }
    assert {environment[f"JUPYTERHUB_SSL_{name}"] for name in FILES} == {
        str(folder / f"{name.lower()}.pem") for name in FILES
    }
    assert "BATCHSPAWNER_CERTIFICATES" not in environment


@pytest.mark.parametrize("word", ["lies-in-the-script", "e30=", "W10="])
def test_certificates_that_are_none_are_named(hub, tmp_path, word):  # noqa: F811
    one = hub(environment=GIVEN)
    done = wrap(one.url, "true", HOME=str(tmp_path), BATCHSPAWNER_CERTIFICATES=word)
    assert (done.returncode, one.reports) == (singleuser.EX_CONFIG, [])
    assert f"cannot write the server's certificates into {tmp_path}/.batchspawner" in done.stderr
