"""The agent and the call home: without a scheduler, the agent started as a job script would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest

from batchspawner.agent.call_home import call_home
from batchspawner.agent.protocol import MAGIC, ProtocolError, Unpacker, frame_keys, pack
from batchspawner.allocation.call_folder import CallFolder
from batchspawner.allocation.job_environment import own_environment
from batchspawner.allocation.listener import Listener
from batchspawner.allocation.packed_agent import packed_agent
from batchspawner.allocation.remote_process import start_order
from batchspawner.concurrency import within
from batchspawner.errors import BatchError
from batchspawner.schedulers import scheduler_class

SECONDS = 15


class Job:
    """Run a call's command here, as a job script would."""

    def __init__(self, call: CallFolder, **environment: str) -> None:
        env = {**os.environ, **environment}
        self.process = subprocess.Popen(
            shlex.split(call.command), env=env, stderr=subprocess.PIPE, start_new_session=True
        )

    def ended(self) -> int:
        _, self.printed = self.process.communicate(timeout=SECONDS)
        return self.process.returncode

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=SECONDS)


@pytest.fixture
def jobs():
    started = []

    def start(call, **environment):
        started.append(Job(call, **environment))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
async def listener():
    one = await Listener.open("127.0.0.1")
    yield one
    await one.close()


@pytest.fixture
async def call(tmp_path):
    return CallFolder.create(tmp_path / "call", linger=5)


async def in_time(awaitable):
    return await within(SECONDS, awaitable)


async def printed(process) -> dict[str, bytes]:
    found = {"stdout": b"", "stderr": b""}
    async for stream, data in process.output():
        found[stream] += data
    return found


async def ended(job: Job) -> int:
    return await asyncio.get_running_loop().run_in_executor(None, job.ended)


async def test_a_program_gets_its_input_and_reports_output_and_exit_status(listener, call, jobs):
    listener.expect(call)
    job = jobs(call)
    agent = await in_time(call.next_agent())
    process = await in_time(agent.start(["sh", "-c", "cat; echo no >&2; exit 3"], stdin=b"yes"))
    assert await in_time(printed(process)) == {"stdout": b"yes", "stderr": b"no\n"}
    assert await in_time(process.wait()) == 3
    agent.finish()
    assert await ended(job) == 0


async def test_input_and_output_of_many_megabytes_arrive_whole(listener, call, jobs):
    listener.expect(call)
    jobs(call)
    agent = await in_time(call.next_agent())
    data = os.urandom(1 << 16) * 400
    process = await in_time(agent.start(["cat"], stdin=data))
    assert (await in_time(printed(process)))["stdout"] == data


async def test_an_agent_says_where_it_runs_and_until_when(listener, tmp_path, jobs):
    call = CallFolder.create(tmp_path / "call", runtime=60, linger=5)
    listener.expect(call)
    job = jobs(call, SLURM_JOB_ID="17", SLURM_ARRAY_TASK_ID="4")
    agent = await in_time(call.next_agent())
    assert (agent.host, agent.job_id, agent.index) == (socket.gethostname(), "17", "4")
    assert (agent.facts["pid"], agent.address) == (job.process.pid, "127.0.0.1")
    assert agent.python == sys.version_info[:3]
    assert 0 < agent.ends - time.time() < 61


@pytest.mark.parametrize("scheduler", ["gridengine", "local", "lsf", "oar", "pbspro", "slurm"])
async def test_an_agent_knows_its_job_on_every_scheduler(listener, call, jobs, scheduler):
    listener.expect(call)
    jobs(call, **{scheduler_class(scheduler).job_id_variable: "17"})
    assert (await in_time(call.next_agent())).job_id == "17"


@pytest.mark.parametrize("told", [{"SGE_TASK_ID": "undefined"}, {"LSB_JOBINDEX": "0"}])
async def test_a_job_outside_of_an_array_is_no_element(listener, call, jobs, told):
    listener.expect(call)
    jobs(call, **told)
    assert (await in_time(call.next_agent())).index == ""


async def test_a_signal_reaches_all_that_a_program_started(listener, call, jobs):
    listener.expect(call)
    jobs(call)
    agent = await in_time(call.next_agent())
    process = await in_time(agent.start(["sh", "-c", "sh -c 'sleep 99; true'; true"]))
    process.send_signal(signal.SIGTERM)
    assert await in_time(process.wait()) == -signal.SIGTERM


async def test_an_order_is_done_when_the_agent_says_so(listener, call, jobs):
    listener.expect(call)
    job = jobs(call)
    agent = await in_time(call.next_agent())
    process = await in_time(agent.start(["sleep", "99"]))
    job.process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    waiting = asyncio.ensure_future(agent.done())
    assert await asyncio.wait([waiting], timeout=0.2) == (set(), {waiting})
    job.process.send_signal(signal.SIGCONT)
    await in_time(waiting)
    job.kill()
    process.send_signal(signal.SIGTERM)
    await in_time(agent.done())


async def test_files_ports_and_host_are_made_on_the_node(listener, call, jobs):
    listener.expect(call)
    jobs(call)
    agent = await in_time(call.next_agent())
    command = "cat {folder}/one; echo $PLACE; stat -c %a {folder} {folder}/one"
    process = await in_time(
        agent.start(
            ["sh", "-c", command],
            files={"one": "{port0} {port1}\n"},
            ports=2,
            env={"PLACE": "{host}"},
            stdin=b"",
        )
    )
    first, second = process.ports
    text = f"{first} {second}\n{socket.gethostname()}\n700\n600\n"
    assert (await in_time(printed(process)))["stdout"].decode() == text


async def test_a_program_that_does_not_exist_is_named(listener, call, jobs):
    listener.expect(call)
    jobs(call)
    agent = await in_time(call.next_agent())
    with pytest.raises(BatchError, match=r"/no/such/program"):
        await in_time(agent.start(["/no/such/program"]))


async def test_an_agent_goes_on_when_its_connection_is_cut(listener, call, jobs):
    listener.expect(call)
    jobs(call)
    agent = await in_time(call.next_agent())
    process = await in_time(agent.start(["cat"]))
    agent._connection.writer.transport.abort()
    process.write(b"still here")
    process.close_stdin()
    assert (await in_time(printed(process)))["stdout"] == b"still here"
    assert await in_time(process.wait()) == 0


async def test_an_agent_finds_a_driver_that_was_restarted_elsewhere(call, jobs):
    first = await Listener.open("127.0.0.1")
    first.expect(call)
    job = jobs(call)
    agent = await in_time(call.next_agent())
    process = await in_time(agent.start(["sh", "-c", "read line; echo got $line"]))
    await first.close()

    again = CallFolder.load(call.folder)
    second = await Listener.open("127.0.0.1")
    try:
        second.expect(again)
        agent = await in_time(again.next_agent())
        assert list(agent.processes) == [process.id]
        same = agent.process(process.id)
        same.write(b"it\n")
        assert (await in_time(printed(same)))["stdout"] == b"got it\n"
        agent.finish()
        assert await ended(job) == 0
    finally:
        await second.close()


async def test_what_is_said_while_nobody_listens_is_heard_later(call, jobs):
    first = await Listener.open("127.0.0.1")
    first.expect(call)
    jobs(call)
    agent = await in_time(call.next_agent())
    go = call.folder / "go"
    script = f"while ! test -e {go}; do sleep 0.05; done; head -c 5000000 /dev/zero; echo end"
    process = await in_time(agent.start(["sh", "-c", script]))
    await first.close()
    go.touch()
    await until(lambda: (call.folder / "journal").exists())

    again = CallFolder.load(call.folder)
    second = await Listener.open("127.0.0.1")
    try:
        second.expect(again)
        agent = await in_time(again.next_agent())
        out = (await in_time(printed(agent.process(process.id))))["stdout"]
        assert out == bytes(5_000_000) + b"end\n"
    finally:
        await second.close()


async def until(condition):
    for _ in range(SECONDS * 50):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


async def test_orders_given_beforehand_are_done_without_a_driver(call, jobs):
    call.order({"type": "start", "id": "one", "argv": ["echo", "done"], "close": True})
    call.order({"type": "start", "id": "two", "argv": ["false"]})
    call.order({"type": "finish", "tell_failure": True})
    call._settings["addresses"] = [["127.0.0.1", closed_port()]]
    call._write_settings()
    assert await ended(jobs(call, SLURM_JOB_ID="17")) == 1
    assert call.job_that_called() == "17"
    (agent,) = call.agents.values()
    assert (await in_time(printed(agent.process("one"))))["stdout"] == b"done\n"
    assert [await in_time(agent.process(one).wait()) for one in ("one", "two")] == [0, 1]


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def test_without_a_listener_all_goes_through_files(call, jobs):
    job = jobs(call)
    await until(lambda: call.read_journal() or call.agents)
    agent = await in_time(call.next_agent())
    process = agent.begin(["cat"], stdin=b"by post")
    await until(lambda: call.read_journal() or process.is_over)
    assert (await in_time(printed(process)))["stdout"] == b"by post"
    agent.finish()
    assert await ended(job) == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file, _: file.write_bytes(os.urandom(100)),
        lambda file, _: file.write_bytes(b"\xff" * 100),
        lambda file, key: file.write_bytes(pack(key, {"type": "exit"})),
        lambda file, key: file.write_bytes(pack(key, {"type": "hello", "agent": "a1"})),
        lambda file, key: file.write_bytes(pack(key, {"type": "exit", "agent": "a1", "seq": 1})),
        lambda file, key: file.write_bytes(pack(key, ["hello"])),
        lambda file, _: os.mkfifo(file),
        lambda file, _: file.symlink_to("/dev/zero"),
        lambda file, _: file.mkdir(),
    ],
)
async def test_a_journal_that_a_job_has_spoilt_does_not_hide_the_end_of_the_job(call, spoil):
    spoil(call.folder / "journal", frame_keys(call.key, b"journal")[0])
    call.read_journal()
    call.fail(BatchError("job 17 has ended"))
    with pytest.raises(BatchError, match="job 17 has ended"):
        await in_time(call.next_agent())


async def test_what_no_agent_sends_ends_its_connection_and_nothing_else(listener, call, jobs):
    """Whoever has the key of a call, such as a program in its job, may send anything."""
    listener.expect(call)
    settings = json.loads((call.folder / "call.json").read_text())
    jobs(call)
    agent = await in_time(call.next_agent())
    for header in (
        {"type": "hello", "agent": "../x", "driver": "", "processes": {}, "ports": {}},
        {"type": "hello", "agent": ["x"]},
        {"type": "hello", "agent": "another"},
        {"type": "exit", "agent": agent.id, "seq": "1", "id": "p", "code": 0},
        {"agent": agent.id},
        [],
    ):
        connection, up, _ = await in_thread(lambda: call_home(settings))
        with connection:
            connection.sendall(pack(up, header))
            assert await in_thread(lambda: rest(connection)) == b""  # noqa: B023
    assert list(call.agents) == [agent.id]
    process = await in_time(agent.start(["echo", "fine"], stdin=b""))
    assert (await in_time(printed(process)))["stdout"] == b"fine\n"


def rest(connection) -> bytes:
    """Return what comes until the other side hangs up."""
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(1)
    return b""


def test_a_frame_that_does_not_fit_on_the_disk_leaves_nothing_behind(tmp_path):
    """A part of it would make the frames of all agents unreadable that follow."""
    code = (
        "import resource, sys\n"
        "from batchspawner.agent.journal import append\n"
        "append(sys.argv[1], b'first')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8, resource.RLIM_INFINITY))\n"
        "try: append(sys.argv[1], b'too long')\n"
        "except OSError as error: print(error.strerror)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))\n"
        "append(sys.argv[1], b'later')\n"
    )
    file = tmp_path / "journal"
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("File too large\n", "")
    assert file.read_bytes() == b"firstlater"


async def test_an_agent_ends_when_nobody_has_come_for_long(tmp_path, jobs):
    call = CallFolder.create(tmp_path / "call", linger=0.5)
    call._settings["addresses"] = [["127.0.0.1", closed_port()]]
    call._write_settings()
    job = jobs(call)
    assert await ended(job) == 0
    assert b"cannot call home yet" in job.printed


async def test_an_agent_lingers_less_after_its_last_program(tmp_path, jobs):
    call = CallFolder.create(tmp_path / "call", linger=60, linger_after=0.2)
    call._settings["addresses"] = [["127.0.0.1", closed_port()]]
    call._write_settings()
    call.order(start_order(["echo", "hello"], "1"))
    began = time.monotonic()
    assert await ended(jobs(call)) == 0
    assert time.monotonic() - began < SECONDS


async def test_an_agent_that_has_all_its_orders_does_not_complain_that_nobody_listens(
    tmp_path, jobs
):
    call = CallFolder.create(tmp_path / "call")
    call._settings["addresses"] = [["127.0.0.1", closed_port()]]
    call._write_settings()
    call.order(start_order(["sleep", "1"], "1"))
    call.order({"type": "finish"})
    job = jobs(call)
    assert (await ended(job), job.printed) == (0, b"")


async def test_variables_of_the_job_are_filled_in_where_an_order_says_so(listener, call, jobs):
    listener.expect(call)
    jobs(call)
    agent = await in_time(call.next_agent())
    process = agent.begin(
        ["sh", "-c", 'echo "$A" "$B" "$C"'],
        env={"A": "${HOME}/a:${NO_SUCH}", "B": "${HOME}", "C": "c"},
        expand={"A": ["HOME", "NO_SUCH"]},
        stdin=b"",
    )
    home = os.environ["HOME"]
    out = f"{home}/a:${{NO_SUCH}} ${{HOME}} c\n"
    assert (await in_time(printed(process)))["stdout"] == out.encode()
    agent.finish()


async def test_a_terminated_job_reports_its_signal_and_ends_its_programs(listener, call, jobs):
    listener.expect(call)
    job = jobs(call)
    agent = await in_time(call.next_agent())
    told = []
    agent.on_signal = told.append
    process = await in_time(agent.start(["sleep", "99"]))
    job.process.terminate()
    assert await in_time(process.wait()) == -signal.SIGTERM
    assert await ended(job) == 0
    assert told == [signal.SIGTERM]


async def test_the_end_of_the_job_ends_every_wait(listener, call, jobs):
    listener.expect(call)
    job = jobs(call)
    agent = await in_time(call.next_agent())
    process = await in_time(agent.start(["sleep", "99"]))
    job.kill()
    subprocess.run(["pkill", "-P", "1", "-f", "^sleep 99$"], check=False)
    call.fail(BatchError("the job was cancelled"))
    for wait in (process.wait(), call.next_agent()):
        with pytest.raises(BatchError, match="the job was cancelled"):
            await in_time(wait)


async def test_who_has_not_the_key_is_not_let_in(listener, call, tmp_path):
    listener.expect(call)
    settings = json.loads((call.folder / "call.json").read_text())
    with pytest.raises((ProtocolError, OSError)):
        await in_thread(lambda: call_home({**settings, "id": "00" * 16}))
    connection, *_ = await in_thread(lambda: greet_with(settings, b"wrong key"))
    assert await in_thread(lambda: connection.recv(1)) == b""
    connection.close()
    assert call.agents == {}


def greet_with(settings, key):
    connection = socket.create_connection(settings["addresses"][0], timeout=5)
    connection.sendall(MAGIC + bytes.fromhex(settings["id"]) + os.urandom(32))
    assert len(connection.recv(64)) == 64
    connection.sendall(os.urandom(32))
    return connection, key


async def in_thread(function):
    return await in_time(asyncio.get_running_loop().run_in_executor(None, function))


async def test_an_agent_obeys_nobody_who_has_not_the_key(call):
    async def impostor(reader, writer):
        await reader.readexactly(len(MAGIC) + 48)
        writer.write(os.urandom(64))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(impostor, "127.0.0.1", 0)
    async with server:
        settings = json.loads((call.folder / "call.json").read_text())
        settings["addresses"] = [server.sockets[0].getsockname()]
        with pytest.raises(ProtocolError, match="does not have the key"):
            await in_thread(lambda: call_home(settings))


def test_a_frame_that_was_changed_is_refused():
    up, down = frame_keys(b"key", b"nonces")
    frame = pack(up, {"type": "exit"}, b"payload")
    assert list(Unpacker(up).feed(frame)) == [({"type": "exit"}, b"payload")]
    for number in range(len(frame)):
        changed = bytearray(frame)
        changed[number] ^= 1
        with contextlib.suppress(ProtocolError):
            assert list(Unpacker(up).feed(bytes(changed))) == []
    with pytest.raises(ProtocolError):
        list(Unpacker(down).feed(frame))


def test_frames_arrive_in_whatever_pieces():
    up, _ = frame_keys(b"key", b"nonces")
    frames = b"".join(pack(up, {"n": n}, bytes(n)) for n in range(9))
    unpacker = Unpacker(up)
    found = [frame for byte in frames for frame in unpacker.feed(bytes([byte]))]
    assert found == [({"n": n}, bytes(n)) for n in range(9)]


def test_nobody_else_can_read_the_files_of_a_call(call):
    call.order({"type": "finish"})
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in call.folder.iterdir()}
    expected = dict.fromkeys(("agent", "call.json", "environment", "orders"), 0o600)
    assert (modes, stat.S_IMODE(call.folder.stat().st_mode)) == (expected, 0o700)
    key = json.loads((call.folder / "call.json").read_text())["key"]
    assert key not in call.command


async def test_a_connection_can_be_encrypted(call, jobs, certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate[:2])
    listener = await Listener.open("127.0.0.1", tls=context, certificate=certificate[2])
    try:
        listener.expect(call)
        jobs(call)
        agent = await in_time(call.next_agent())
        process = await in_time(agent.start(["cat"], stdin=b"secret" * 100_000))
        assert (await in_time(printed(process)))["stdout"] == b"secret" * 100_000
    finally:
        await listener.close()


@pytest.fixture
def certificate(tmp_path):
    from certipy import Certipy

    store = Certipy(store_dir=str(tmp_path / "certificates"))
    ca = store.create_ca("ca")["files"]["cert"]
    made = store.create_signed_pair("listener", "ca")["files"]
    return made["cert"], made["key"], Path(ca).read_text()


@pytest.mark.parametrize(("magic", "kind"), [(MAGIC_NUMBER, ".pyc"), (b"else", ".py")])
def test_the_agent_needs_the_standard_library_only_and_the_same_python_for_speed_only(
    magic, kind, tmp_path, monkeypatch
):
    monkeypatch.setattr("batchspawner.allocation.packed_agent.MAGIC_NUMBER", magic)
    (tmp_path / "agent").write_bytes(packed_agent.__wrapped__())
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import batchspawner_agent.agent as agent\n"
        "print(agent.__file__)"
    )
    command = [sys.executable, "-I", "-S", "-c", code, str(tmp_path / "agent")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (Path(done.stdout.strip()).suffix, done.stderr) == (kind, "")


def test_a_job_within_a_job_does_not_take_itself_for_the_outer_one():
    outer = {
        "SLURM_JOB_ID": "1",
        "SLURM_CPU_BIND": "x",
        "PMI_RANK": "0",
        "PMIX_RANK": "0",
        "PBS_JOBID": "2",
        "JUPYTERHUB_API_TOKEN": "t",
        "TMPDIR": "/scratch/1",
        "BATCHSPAWNER_QUEUE_JOB": "3",
        "BATCHSPAWNER_QUEUE_JOB_ID": "3",
        "JOB_RUN_TIME": "60",
    }
    expected = {
        "SLURM_CONF": "/etc/slurm.conf",
        "PATH": "/usr/bin",
        "CONDA_PREFIX": "/opt/conda",
        "BATCHSPAWNER_QUEUE_DIR": "/queue",
    }
    assert own_environment({**outer, **expected}) == expected
