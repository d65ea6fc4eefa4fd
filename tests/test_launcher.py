"""The launcher does what a request of the right form asks for, and nothing else."""

from __future__ import annotations

import ast
import errno
import json
import os
import pwd
import stat
import sys
from pathlib import Path

import pytest

from batchspawner import launcher
from batchspawner.launcher import Refusal, Rules
from batchspawner.spawners.failures.job_log import JobLog, earlier_log, read_tail
from tests.launching import ME, TAG, Desk, submit


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher.syslog, "syslog", lambda *_: None)
    return Desk(tmp_path)


def test_a_submit_runs_the_fixed_command_with_the_tag_and_the_script(desk):
    assert desk.ask(**submit(environment={"JUPYTERHUB_USER": "ada"})) == 0
    ((words, script, environment),) = desk.calls
    assert (words, script) == (
        ["submit", f"--comment={TAG}", "JUPYTERHUB_USER"],
        "#!/bin/sh\n",
    )
    environment.pop("LC_CTYPE", None)  # Python sets it for itself
    assert environment == {
        "JUPYTERHUB_USER": "ada",
        "PATH": "/usr/bin:/bin",
        "SITE": "1",
        "HOME": ME.pw_dir,
        "USER": ME.pw_name,
        "LOGNAME": ME.pw_name,
        "SHELL": ME.pw_shell,
    }


def test_variables_that_could_make_a_command_do_something_else_do_not_pass(desk):
    names = ["LD_PRELOAD", "PATH", "PYTHONPATH", "BASH_ENV", "IFS", "HOME", "SITE", "SBATCH_UID"]
    assert desk.ask(**submit(environment=dict.fromkeys(names, "evil"))) == 0
    assert "evil" not in desk.calls[0][2].values()


def test_the_exit_status_is_that_of_the_command(desk):
    assert desk.ask(**submit(environment={"BATCHSPAWNER_EXIT": "3"})) == 3


def test_a_job_with_the_tag_is_cancelled_and_signalled(desk):
    assert desk.ask(verb="cancel", job_id="12") == 0
    assert desk.ask(verb="signal", job_id="12", signal=15) == 0
    assert desk.words == [["show", "12"], ["cancel", "12"], ["show", "12"], ["signal", "15", "12"]]


@pytest.mark.parametrize("shown", ["a-simulation", f"x{TAG}", f"{TAG}0", "jh-0123", TAG.upper()])
def test_a_job_without_the_tag_is_left_alone(desk, shown):
    desk.shown(f"name = {shown}\n")
    with pytest.raises(Refusal, match="job 12 does not carry the Hub's tag") as refused:
        desk.ask(verb="cancel", job_id="12")
    assert refused.value.status == 77
    assert desk.words == [["show", "12"]]


def test_a_tag_in_another_place_than_the_jobs_name_is_none(desk):
    desk.rules["shown"] = r"(?m)^job_name: +(\S+)$"
    desk.shown(f"job_name: a-simulation\nenv_list: JOB_NAME={TAG}\n")
    with pytest.raises(Refusal, match="does not carry the Hub's tag"):
        desk.ask(verb="cancel", job_id="12")
    desk.shown(f"job_number: 12\njob_name:      {TAG}\n")
    assert desk.ask(verb="cancel", job_id="12") == 0


def test_a_job_that_is_not_in_the_queue_is_said_to_be_so(desk):
    desk.shown("\n")
    with pytest.raises(Refusal, match="job 12 is not in the queue") as refused:
        desk.ask(verb="cancel", job_id="12")
    assert refused.value.status == 69


def test_a_scheduler_that_does_not_answer_speaks_for_itself(tmp_path, capfd, desk):
    desk.rules["environment"]["BATCHSPAWNER_EXIT"] = "4"
    assert desk.ask(verb="cancel", job_id="12") == 4
    assert desk.words == [["show", "12"]]
    assert capfd.readouterr().err == f"{TAG}said by show\n"


def test_a_word_about_a_part_that_a_job_id_has_not_is_left_out(desk):
    desk.rules["job_id"] = r"(?P<number>[0-9]+)(?:;(?P<cluster>[a-z]+))?"
    desk.rules["cancel"][2:] = ["--clusters={cluster}", "{number}"]
    desk.ask(verb="cancel", job_id="12")
    desk.ask(verb="cancel", job_id="13;two")
    assert desk.words[1::2] == [["cancel", "12"], ["cancel", "--clusters=two", "13"]]


def test_the_end_of_a_log_is_shown(desk, capfdbinary):
    text = b"".join(b"line %d\n" % number for number in range(10_000))
    (desk.folder / "job-12.log").write_bytes(text)
    assert desk.ask(verb="tail-log", job_id="12") == 0
    assert capfdbinary.readouterr().out == text[-launcher.LOG_TAIL_BYTES :]
    assert desk.words == [["show", "12"]]


def test_the_log_of_a_job_that_is_not_the_hubs_is_not_shown(desk, capfdbinary):
    (desk.folder / "job-12.log").write_text("what the user computes\n")
    desk.shown("a-simulation\n")
    with pytest.raises(Refusal, match="job 12 does not carry the Hub's tag"):
        desk.ask(verb="tail-log", job_id="12")
    assert b"computes" not in capfdbinary.readouterr().out


def test_a_log_that_all_jobs_of_the_hub_share_is_shown_when_its_job_is_gone(desk, capfdbinary):
    desk.rules["log"] = "{home}/hub.log"
    desk.account = pwd.struct_passwd((*ME[:5], str(desk.folder), ""))
    (desk.folder / "hub.log").write_text("said\n")
    assert desk.ask(verb="tail-log", job_id="12") == 0
    assert (capfdbinary.readouterr().out, desk.calls) == (b"said\n", [])


@pytest.mark.parametrize("directive", ["#PBS -o", "#$ -o"], ids=["replaced", "appended to"])
async def test_a_log_that_all_jobs_share_is_shown_as_the_hub_reads_it(
    desk, directive, capfdbinary, monkeypatch
):
    """What earlier jobs have left there is not taken for the words of this one."""
    log = desk.folder / "hub.log"
    desk.rules["log"] = str(log)
    script = f"#!/bin/sh\n{directive} {log}\n"

    async def as_owner():
        assert desk.ask(verb="stat-log") == 0
        found = json.loads(capfdbinary.readouterr().out)
        return found["size"], found["changed_at"]

    def not_allowed(path):
        raise PermissionError(errno.EACCES, path)

    async def shown():
        """Return what a Hub that may read the log shows, and what the launcher shows."""
        read = await read_tail(JobLog(str(log), earlier), os.getuid())
        before = {"size": earlier.size, "changed_at": earlier.changed_at}
        assert desk.ask(verb="tail-log", job_id="12", **before) == 0
        return read, capfdbinary.readouterr().out.decode().strip()

    log.write_text("it failed\n")
    os.utime(log, (1600000000, 1600000000))
    with monkeypatch.context() as patch:
        patch.setattr(os, "lstat", not_allowed)
        earlier = await earlier_log(script, as_owner)
    assert earlier == await earlier_log(script)
    assert await shown() == ("", "")
    log.write_text("it failed\nagain\n")
    whole = "it failed\nagain" if directive == "#PBS -o" else "again"
    assert await shown() == (whole, whole)
    log.write_text("no\n")
    assert await shown() == ("no", "no")


@pytest.mark.parametrize("size", [-1, True, "1", None, 1e300, [1]])
def test_the_size_of_a_log_is_a_number(desk, size):
    with pytest.raises(Refusal, match="must be numbers"):
        desk.ask(verb="tail-log", job_id="12", size=size)


def test_a_log_that_is_not_there_yet_has_no_size(desk):
    with pytest.raises(Refusal, match="No such file") as refused:
        desk.ask(verb="stat-log")
    assert refused.value.status == 69


def test_a_log_that_is_a_link_or_a_pipe_is_not_read(desk):
    log = desk.folder / "job-12.log"
    log.symlink_to("/etc/passwd")
    with pytest.raises(Refusal):
        desk.ask(verb="tail-log", job_id="12")
    log.unlink()
    os.mkfifo(log)
    with pytest.raises(Refusal, match="not a file of the user's own"):
        desk.ask(verb="tail-log", job_id="12")


def test_a_log_of_another_user_is_not_read(desk, capfdbinary):
    (desk.folder / "job-12.log").write_text("what another user has printed\n")
    desk.account = pwd.struct_passwd((*ME[:2], ME.pw_uid + 1, *ME[3:]))
    with pytest.raises(Refusal, match="not a file of the user's own") as refused:
        desk.ask(verb="tail-log", job_id="12")
    assert (refused.value.status, capfdbinary.readouterr().out) == (77, b"")


@pytest.fixture
def home(desk):
    """The home of the desk's user."""
    folder = desk.folder / "home"
    folder.mkdir()
    desk.account = pwd.struct_passwd((*ME[:5], str(folder), ""))
    return folder


def test_a_private_file_is_left_before_the_submit(desk, home):
    private = home / ".batchspawner"
    for text in ("old", "new"):
        assert desk.ask(**submit(files={f"{private}/jh-0123-1": text})) == 0
    assert [(one.name, one.read_text()) for one in private.iterdir()] == [("jh-0123-1", "new")]
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (private, private / "jh-0123-1")]
    assert modes == [0o700, 0o600]


@pytest.mark.parametrize(
    "path",
    [
        ".bashrc",
        ".batchspawner",
        ".batchspawner/..",
        ".batchspawner/../.bashrc",
        ".batchspawner/x/y",
        ".batchspawner/x/",
        "/.batchspawner/x",
    ],
)
def test_a_file_in_another_place_is_not_written(desk, home, path):
    with pytest.raises(Refusal, match="files can only be left in"):
        desk.ask(**submit(files={f"{home}/{path}": "evil"}))
    assert (list(home.iterdir()), desk.calls) == ([], [])


def test_a_script_with_what_the_rules_refuse_is_refused(desk):
    desk.rules["refused"] = [r"(?im)^\s*include\b"]
    with pytest.raises(Refusal, match="the script has what is refused"):
        desk.ask(**submit(script="a = 1\n  Include command : id |\n"))
    assert desk.calls == []


def test_an_option_that_the_rules_do_not_allow_is_refused(desk):
    desk.rules.update(directives=["#SBATCH"], options=["--mem", "-n*"])
    allowed = (
        "#!/bin/sh\n#SBATCH --mem=4G -n4\n#SBATCH --mem 4G -n -5\n#SBATCH --mem='4 G'\nls -l\n"
    )
    assert desk.ask(**submit(script=allowed)) == 0
    for line in ("--export-file=/x", "--mem -N1", "--mem-per-cpu=1", '--m"em"=1', "-n 4 \\"):
        with pytest.raises(Refusal, match=r"has an option that .*launcher\.json does not allow: "):
            desk.ask(**submit(script=f"#!/bin/sh\n#SBATCH {line}\n"))
    assert len(desk.calls) == 1


def test_rules_of_an_earlier_release_allow_no_option(desk):
    with pytest.raises(Refusal, match="does not allow: --mem=4G"):
        desk.ask(**submit(script="#!/bin/sh\n#SBATCH --mem=4G\n"))
    assert desk.ask(**submit()) == 0


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"verb": "exec"}',
        b'{"verb": []}',
        b'{"verb": "cancel"}',
        b'{"verb": "cancel", "job_id": "12", "user": "root"}',
        b'{"verb": "cancel", "verb": "cancel", "job_id": "12"}',
        b'{"verb": "cancel", "job_id": "12"} {}',
        b" " * (launcher.MAX_INPUT_BYTES + 1),
    ],
)
def test_a_request_of_another_form_is_refused(desk, data):
    with pytest.raises(Refusal):
        desk.send(data)
    assert desk.calls == []


def become(monkeypatch, real, effective, groups):
    """Set these ids and groups; return rules for the group 50, and the account of the real id."""
    account = pwd.struct_passwd(("ada", "x", real, 51, "", "/home/ada", "/bin/sh"))
    monkeypatch.setattr(os, "getuid", lambda: real)
    monkeypatch.setattr(os, "geteuid", lambda: effective)
    monkeypatch.setattr(os, "getgrouplist", lambda *_: groups)
    monkeypatch.setattr(launcher.pwd, "getpwuid", lambda _: account)
    monkeypatch.setattr(
        launcher.grp, "getgrnam", lambda name: launcher.grp.struct_group((name, "x", 50, []))
    )
    return Rules({"group": "hub-users"}), account


@pytest.mark.parametrize(("real", "effective"), [(2000, 0), (2000, 2001), (0, 2000), (999, 2000)])
def test_who_has_the_effective_id_of_another_user_is_refused(monkeypatch, real, effective):
    rules, _ = become(monkeypatch, real, effective, [50])
    with pytest.raises(Refusal, match=f"user id {real} is that of a system account") as refused:
        launcher.permitted_account(rules)
    assert refused.value.status == 77


@pytest.mark.parametrize(
    ("uid", "groups", "refused"),
    [
        (0, [50], "user id 0 is that of a system account"),
        (999, [50], "user id 999 is that of a system account"),
        (65534, [50], "user id 65534 is that of a system account"),
        (2000, [51], "ada is not in the group hub-users"),
        (2000, [51, 50], ""),
    ],
)
def test_only_members_of_the_group_who_are_people_pass(monkeypatch, uid, groups, refused):
    rules, account = become(monkeypatch, uid, uid, groups)
    if refused:
        with pytest.raises(Refusal, match=refused):
            launcher.permitted_account(rules)
    else:
        assert launcher.permitted_account(rules) == account


@pytest.mark.parametrize(
    ("mode", "owner", "trusted"),
    [
        (stat.S_IFREG | 0o644, 0, True),
        (stat.S_IFDIR | 0o755, 0, True),
        (stat.S_IFREG | 0o664, 0, False),
        (stat.S_IFREG | 0o646, 0, False),
        (stat.S_IFDIR | stat.S_ISVTX | 0o777, 0, False),
        (stat.S_IFLNK | 0o777, 0, False),
        (stat.S_IFREG | 0o644, 1000, False),
    ],
)
def test_rules_that_others_than_root_could_change_are_not_trusted(mode, owner, trusted):
    status = os.stat_result((mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))
    assert launcher.only_root_writes(status) is trusted


def test_a_file_of_rules_in_a_folder_of_others_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "launcher.json"
    file.write_text('{"group": "hub-users"}')
    tmp_path.chmod(0o777)
    monkeypatch.setattr(launcher, "CONFIGURATION", str(file))
    with pytest.raises(Refusal, match="must be root's own") as refused:
        launcher.read_rules()
    assert refused.value.status == 78


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({}, "'group' in .* must be of type str"),
        ({"group": "x", "smallest_uid": True}, "'smallest_uid' in .* must be of type int"),
        ({"group": "x", "cancel": "scancel {job_id}"}, "'cancel' in .* must be of type list"),
        ({"group": "x", "cancel": ["scancel", 1]}, "'cancel' in .* must be of type str"),
        ({"group": "x", "shown": "[0-9]+"}, "'shown' in .* must have one group"),
        ({"group": "x", "tag": "("}, r"'\(' in .*: missing \), unterminated subpattern"),
        ({"group": "x", "environment": {"A": 1}}, "environment in .* must hold texts"),
        ({"group": "x", "verbs": []}, r"has unknown keys: \['verbs'\]"),
    ],
)
def test_rules_that_are_wrong_are_named(rules, said):
    with pytest.raises(Refusal, match=said) as refused:
        Rules(rules)
    assert refused.value.status == 78


def test_a_command_needs_an_absolute_path(desk):
    desk.rules["cancel"] = ["scancel", "{job_id}"]
    with pytest.raises(Refusal, match="no command 'cancel' with an absolute path"):
        desk.ask(verb="cancel", job_id="12")


def test_a_command_that_does_not_end_is_ended(desk, monkeypatch):
    monkeypatch.setattr(launcher, "TIMEOUT_S", 0.1)
    desk.rules["submit"] = ["/bin/sleep", "60"]
    with pytest.raises(Refusal, match=r"/bin/sleep timed out after 0\.1 s") as refused:
        desk.ask(**submit())
    assert refused.value.status == 75


def test_arguments_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(launcher.syslog, "syslog", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["batchspawner-launcher", "cancel"])
    assert launcher.main() == 77
    assert capsys.readouterr().err == "batchspawner-launcher: there are no arguments\n"


def test_it_is_written_for_the_oldest_python_that_a_login_host_may_have():
    text = Path(launcher.__file__).read_text()
    ast.parse(text, feature_version=(3, 6))
    assert text.startswith("#!/usr/bin/python3 -I\n")
