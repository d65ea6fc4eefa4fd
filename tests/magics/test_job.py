"""Cells as jobs, on every scheduler that there is."""

from __future__ import annotations

import contextlib
import functools
import getpass
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tests.hubs import wait_for
from tests.odd_values import ODD_VALUES

ROOT = Path(__file__).parents[2]


class User:
    """A user with a notebook, which is a process of the user's own."""

    def __init__(self, site, folder: Path) -> None:
        self.site, self.folder = site, folder
        prefix = site.client().runner.prefix
        self.name = getpass.getuser() if not prefix else site.users[0]
        self._check_python(prefix)
        shutil.chown(folder, self.name)
        self.calls = folder / "calls"
        self.open()

    def open(self) -> None:
        """Open the notebook."""
        prefix = self.site.client().runner.prefix
        settings = {
            "PYTHONPATH": str(ROOT),
            "BATCHSPAWNER_CALL_DIR": str(self.calls),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "BATCHSPAWNER_SCHEDULER": self.site.name,
        }
        assigned = [f"{name}={value}" for name, value in settings.items()]
        self.process = subprocess.Popen(
            [*prefix, "env", *assigned, sys.executable, "-m", "tests.magics.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env={**os.environ, **self.site.environment},
        )
        self.pid = int(self.process.stdout.readline())
        self.run("%load_ext batchspawner.magics")

    def _check_python(self, prefix) -> None:
        try:
            subprocess.run([*prefix, sys.executable, "-c", ""], check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"{self.name} cannot run {sys.executable}: {error.stderr.decode()}")

    def run(self, text: str) -> tuple[str, str]:
        """Run a cell in the notebook; return what it printed."""
        self.process.stdin.write(json.dumps(text) + "\n")
        self.process.stdin.flush()
        out, err = json.loads(self.process.stdout.readline())
        return out, err

    def value(self, expression: str):
        """Return what an expression is worth in the notebook."""
        out, err = self.run(f"import json; print(json.dumps({expression}))")
        assert out[:1] in '"[{0123456789tfn', out + err
        return json.loads(out)

    def becomes(self, expression: str, wanted) -> None:
        wait_for(lambda: self.value(expression) == wanted, 60, f"{expression} == {wanted!r}")

    def interrupt_when(self, exists: Path) -> threading.Thread:
        def send() -> None:
            wait_for(exists.exists, 60, str(exists))
            os.kill(self.pid, signal.SIGINT)

        thread = threading.Thread(target=send)
        thread.start()
        return thread

    def leave(self) -> None:
        """Close the notebook."""
        with self.process:
            self.process.stdin.close()
            self.process.wait(30)


@pytest.fixture
def user(site):
    # Not below tmp_path: each start of pytest closes that for others.
    with tempfile.TemporaryDirectory(prefix="batchspawner-cells-") as folder:
        one = User(site, Path(folder))
        yield one
        one.leave()


@pytest.fixture
def execute(site):
    return f"%%execute --wlm={site.name} --amgr=cell --jobid=job "


def test_the_transcript_reads_as_ever(user, execute):
    out, err = user.run(f"{execute}\necho Hello")
    job = user.value("job")
    begin, end = (
        f"Submitted batch job {job}\nRunning .\n",
        f"End batch job {job} Status:  COMPLETED\n",
    )
    # If the end is reported late, the output does not wait for it.
    transcripts = (f"{begin}{end}\nHello\n", f"{begin}Hello\n{end}")
    assert (re.sub(r"\.+\n", ".\n", out) in transcripts, err) == (True, ""), out


def test_the_exit_status_of_the_cell_is_told(user, execute):
    out, err = user.run(f"{execute} --check\necho error >&2; exit 3")
    job = user.value("job")
    assert out.splitlines()[2] == f"End batch job {job} Status:  FAILED (exit status 3)"
    assert err == f"error\nUsageError: job {job} ended: failed (exit status 3)\n"
    assert user.value("cell.get_output()") == ["", "error\n"]


def test_a_cell_begins_where_the_notebook_is_and_has_its_variables(user, execute):
    user.run("import os; os.environ['COLOUR'] = 'sky blue'; os.environ['JUPYTERHUB_API_TOKEN']='x'")
    user.run(
        f'{execute}\npwd; echo "$COLOUR ${{host}} {{folder}}" ${{JUPYTERHUB_API_TOKEN:-none}}; cat'
    )
    assert user.value("cell.log()") == f"{user.folder}\nsky blue  {{folder}} none\n"


def test_a_cell_has_each_variable_of_the_notebook_byte_by_byte(user, execute):
    user.run(f"import os; os.environ.update({ODD_VALUES!r})")
    user.run(f"{execute}\nenv -0 > variables")
    pairs = (one.partition(b"=") for one in (user.folder / "variables").read_bytes().split(b"\0"))
    found = {name.decode(): value.decode() for name, _, value in pairs}
    assert {name: found.get(name) for name in ODD_VALUES} == ODD_VALUES


def test_output_comes_while_the_job_runs(user, execute):
    release = user.folder / "release"
    body = f"echo first; until [ -e {release} ]; do sleep 0.1; done; echo second >&2"
    out, _ = user.run(f"{execute} --bg\n{body}")
    assert out == f"Submitted batch job {user.value('job')}\n"
    user.becomes("cell.log()", "first\n")
    assert user.value("[cell.state.name, cell.finished]") == ["RUNNING", False]
    release.touch()
    user.run("cell.wait_progress()")
    assert user.value("[cell.state.name, *cell.get_output()]") == [
        "COMPLETED",
        "first\n",
        "second\n",
    ]


def test_an_interrupt_cancels_the_job(user, execute, site):
    started = user.folder / "started"
    thread = user.interrupt_when(started)
    out, err = user.run(f"{execute}\ntouch {started}; sleep 600")
    thread.join()
    job = user.value("job")
    assert out.splitlines()[2].startswith(f"End batch job {job} Status:  CANCELLED")
    # A shell may say between these that its program was killed.
    assert err.startswith("cancelling; interrupt again to end it at once\n")
    assert err.endswith(f"UsageError: {job} was interrupted\n")
    wait_for(lambda: not site.jobs(), 40, "the end of the job")


@pytest.mark.parametrize("site", ["local"], indirect=True)
def test_a_second_interrupt_ends_a_job_that_does_not_listen(user, execute, site):
    started, asked = user.folder / "started", user.folder / "asked"
    user.run("import os; os.environ['BATCHSPAWNER_QUEUE_GRACE'] = '600'")
    threads = [user.interrupt_when(started), user.interrupt_when(asked)]
    user.run(
        f"{execute}\ntrap 'touch {asked}' INT TERM\ntouch {started}\n"
        "while true; do sleep 0.05; done"
    )
    for thread in threads:
        thread.join()
    wait_for(lambda: not site.jobs(), 40, "the end of the job")
    user.becomes("[cell.state.name, cell.finished]", ["CANCELLED", True])
    assert user.value("cell.record.ended - cell.record.started < 120")


def test_a_job_that_somebody_else_cancels_ends_the_wait(user, execute, site):
    started = user.folder / "started"
    user.run(f"{execute} --bg\necho before; touch {started}; sleep 600")
    wait_for(started.exists, 60, "the job")
    site.cancel(str(user.value("job")))
    user.run("cell.wait_progress()")
    # A shell that lives longer than its command may add that this was terminated.
    assert user.value("[cell.state.name, cell.log().splitlines()[0]]") == ["CANCELLED", "before"]


def test_a_job_that_waits_can_be_cancelled(user, execute, site):
    site.fill()
    try:
        user.run(f"{execute} --bg\necho never")
        assert user.value("cell.state.name") == "PENDING"
        assert "not submitted" not in user.value("repr(cell)")
        assert user.run(f"%jobcancel {user.value('job')}") == ("", "")
        out, _ = user.run("cell.wait_progress()")
        assert re.match(r"Waiting for resources [.o]+\nEnd batch job ", out), out
        # Not every accounting remembers a job that never ran.
        assert user.value("cell.state.name == 'CANCELLED' or cell.status.gone")
        assert user.value("cell.log()") == ""
    finally:
        site.drain()


def test_a_refused_job_says_why(user, execute):
    _, err = user.run(f"{execute} --no-such-option\ntrue")
    assert err.startswith("UsageError: ")
    assert "--no-such-option" in err


def test_a_cell_in_python_runs_in_a_job_with_variables_of_the_notebook(user, execute):
    user.run("import os; numbers = [3, 4]")
    _, err = user.run(
        f"{execute} --python --in numbers --out total,pid\n"
        "import os\ntotal = sum(numbers)\npid = os.getpid()\nprint('done')"
    )
    assert err == ""
    assert user.value("[total, pid != os.getpid(), *cell.get_output()]") == [7, True, "done\n", ""]


def test_a_cell_that_failed_can_be_submitted_again(user, execute):
    user.run(f"{execute}\nexit 3")
    user.run("cell.submit('echo again'); cell.wait_progress()")
    assert user.value("[cell.state.name, cell.log()]") == ["COMPLETED", "again\n"]


def test_an_interrupt_while_the_job_is_submitted_cancels_it(user, execute, site):
    user.run(
        "import asyncio, batchspawner.client, pathlib\n"
        "submit = batchspawner.client.BatchClient.submit\n"
        "async def slow(self, request):\n"
        "    job_id = await submit(self, request)\n"
        "    pathlib.Path('submitted').touch()\n"
        "    await asyncio.sleep(1)\n"
        "    return job_id\n"
        "batchspawner.client.BatchClient.submit = slow"
    )
    thread = user.interrupt_when(user.folder / "submitted")
    user.run(f"{execute}\nsleep 600")
    thread.join()
    wait_for(lambda: not site.jobs(), 40, "the end of the job")


def folders(calls):
    """Return the folders of calls; the certificate beside them is for a month of calls."""
    return [one for one in calls.iterdir() if one.name != "certificate.pem"]


def test_a_notebook_removes_what_an_earlier_one_had_to_leave(user, execute, site):
    started = user.folder / "started"
    user.run(f"{execute} --bg\ntouch {started}; sleep 600")
    wait_for(started.exists, 60, "the job")
    site.cancel(str(user.value("job")))
    os.kill(user.pid, signal.SIGKILL)
    user.process.wait(30)
    wait_for(lambda: not site.jobs(), 40, "the end of the job")
    user.leave()
    (left,) = folders(user.calls)
    user.open()
    user.run(f"{execute}\ntrue")
    wait_for(lambda: not left.exists(), 40, "the end of the folder")


def test_the_file_of_a_cell_is_gone_before_the_cell_can_be_killed(user, execute):
    user.run(f'{execute}\nname=$(readlink /proc/$$/fd/3); echo "$name"; ls -d "${{name%/cell*}}"')
    name, error = user.value("cell.get_output()")
    assert name.endswith("/cell (deleted)\n")
    assert "No such file or directory" in error


def test_nothing_is_left_behind(user, execute):
    home = Path(pwd.getpwnam(user.name).pw_dir)
    before = sorted(os.listdir(home))
    user.run(f"{execute}\necho Hello")
    user.process.stdin.close()
    user.process.wait(30)
    assert folders(user.calls) == []
    assert sorted(os.listdir(user.folder)) == ["calls", "ipython"]
    assert sorted(os.listdir(home)) == before


@pytest.mark.parametrize("site", ["slurm"], indirect=True)
def test_each_element_of_an_array_runs_the_cell(user, execute):
    user.run(
        f"{execute} --python --array=3-4 --out index\n"
        "import os\nindex = os.environ['SLURM_ARRAY_TASK_ID']"
    )
    assert user.value("[cell.state.name, cell.log(), index]") == [
        "COMPLETED",
        "",
        {"3": "3", "4": "4"},
    ]


@contextlib.contextmanager
def reservation(site, name):
    """Set the first node aside for a while."""
    scontrol = functools.partial(site.cluster.run, "scontrol")
    who = f"users=root,{site.users[0]}"
    named = f"reservationname={name}"
    when = ("starttime=now", "duration=60", "flags=ignore_jobs")
    scontrol("create", "reservation", named, who, *when, "nodes=n1")
    yield
    wait_for(lambda: not site.jobs(), 40, "the end of the jobs in the reservation")
    scontrol("delete", named)


@pytest.mark.parametrize("site", ["slurm"], indirect=True)
def test_the_examples_of_the_old_manual_read_as_they_did(user, site):
    user.run("import batchspawner.magics as m; m._DEFAULT_MGR = 'slurm'")
    user.run("m._DEFAULT_LINE_CMD_ARGS = {'slurm': '--partition=low --mem=50M --jobid=job'}")
    names = "srun -n 8 sh -c 'echo $SLURMD_NODENAME'"
    four, _ = user.run(f"%%execute -n8 -N4\n{names}")
    first = user.value("job")
    with reservation(site, "rsv"):
        line = "%%execute -n8 -N1 --reservation=rsv --time=00:42:00"
        one, _ = user.run(f"{line}\necho $SLURM_JOB_ID\n{names}")
    *transcript, _, _, _, _, _, _, _, _ = shown = settled(four, first)
    # How many tasks each of the four nodes gets is for Slurm to say.
    assert (transcript, {*shown[4:]}) == (TRANSCRIPT, {"g1", "n1", "n2", "n3"})
    assert settled(one, user.value("job")) == [*TRANSCRIPT, "JOB", *["n1"] * 8]


TRANSCRIPT = ["Submitted batch job JOB", "Running .", "End batch job JOB Status:  COMPLETED", ""]


def settled(printed: str, job: int) -> list[str]:
    """Return what a cell printed without what is different each time, the names of nodes sorted.

    A cell that needs more than a moment shows its output above the end line.
    """
    text = re.sub(rf"\b{job}\b", "JOB", re.sub(r"\.+$", ".", printed, flags=re.MULTILINE))
    lines = [one for one in text.splitlines() if not one.startswith("Waiting")]
    nodes = sorted(line for line in lines if re.fullmatch(r"[ng]\d", line))
    rest = [line for line in lines if line not in nodes]
    if rest.index(TRANSCRIPT[2]) == len(rest) - 1:
        output = rest[2:-1]
        rest = [*rest[:2], rest[-1], "", *output]
    return [*rest, *nodes]


@pytest.mark.parametrize("site", ["slurm"], indirect=True)
def test_lines_for_the_scheduler_count(user, execute):
    user.run(f"{execute}\n#SBATCH --comment=hello\nscontrol show job $SLURM_JOB_ID -o")
    assert "Comment=hello" in user.value("cell.log()")


@pytest.mark.parametrize("site", ["local"], indirect=True)
def test_the_end_of_the_walltime_ends_the_wait_and_is_told(user, execute):
    out, err = user.run(f"{execute} --check --walltime=0:06\necho before; sleep 600")
    end = f"End batch job {user.value('job')} Status:  TIMEOUT (it reached its walltime of 6 s)"
    assert out.splitlines()[2:] == ["before", end]
    assert user.value("cell.log()") == "before\n"
    assert err.startswith(f"UsageError: job {user.value('job')} ended: timeout (")
