#!/usr/bin/python3 -I
"""A program that submits, cancels and signals the jobs of a user for a JupyterHub, nothing else.

Root installs this one file; sudo allows the Hub to run it as any member of one group, without
arguments and without the Hub's environment. It reads one JSON object from standard input:

    {"verb": "submit", "tag": "jh-0123456789ab", "script": "...", "environment": {"NAME": "..."},
     "files": {"/home/ada/.batchspawner/jh-0123-1": "..."}}
    {"verb": "cancel", "job_id": "12"}
    {"verb": "signal", "job_id": "12", "signal": 15}
    {"verb": "stat-log"}
    {"verb": "tail-log", "job_id": "12", "size": 4096, "changed_at": 1700000000.5}

`stat-log` prints how long the log is that all of a user's servers share, and when it was changed;
if `tail-log` gets that back, it leaves out what was in the log at that time.

Which commands this runs is configured in a file that only root can change. A request that does not
have exactly this form is refused, and so are users outside of the group, system accounts, and jobs
that do not carry the Hub's tag. Output and exit status are those of the scheduler's command; the
exit status of a refusal is 77, of a job that is not in the queue 69, of a wrong installation 78,
and of a command that does not end 75.

It needs nothing but the standard library of a Python >= 3.6, and imports nothing of this library.
"""

import grp
import json
import os
import pwd
import re
import stat
import subprocess
import sys
import syslog
import tempfile
from pathlib import Path
from typing import BinaryIO, Dict, List, Mapping, Optional, Pattern, Tuple, Type, TypeVar, cast

T = TypeVar("T")
Values = Mapping[str, Optional[str]]
NONE: Mapping[str, str] = {}

CONFIGURATION = "/etc/batchspawner/launcher.json"

MAX_INPUT_BYTES = 4 * 1024 * 1024  # a script and the variables of a job
LOG_TAIL_BYTES = 8 * 1024
TIMEOUT_S = 50.0  # of a command of the scheduler; the Hub waits for 60
NOBODY = 65534

# Exit statuses of https://man.openbsd.org/sysexits
EX_UNAVAILABLE = 69
EX_TEMPFAIL = 75
EX_NOPERM = 77
EX_CONFIG = 78

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# The widest form of a tag, a job's id and a file's name: no path, no option, nothing for a shell.
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+;@\[\]-]{0,127}")

KEYS = {
    "submit": {"verb", "tag", "script", "environment", "files"},
    "cancel": {"verb", "job_id"},
    "signal": {"verb", "job_id", "signal"},
    "stat-log": {"verb"},
    "tail-log": {"verb", "job_id"},
}
OPTIONAL_KEYS = {"tail-log": {"size", "changed_at"}}


class Refusal(Exception):
    """The request is not carried out; the message says why, `status` is the exit status."""

    def __init__(self, sentence: str, status: int = EX_NOPERM) -> None:
        super().__init__(sentence)
        self.status = status


class Rules:
    """What root's file allows. Raises Refusal for a file that is not valid."""

    def __init__(self, given: Mapping[str, object]) -> None:
        left = dict(given)
        self.group = _taken(left, "group", str)
        self.smallest_uid = _taken(left, "smallest_uid", int, 1000)
        self.tag = _pattern(_taken(left, "tag", str, "jh-[0-9a-f]{12}"))
        self.job_id = _pattern(_taken(left, "job_id", str, "[0-9]+"))
        self.shown = _pattern(_taken(left, "shown", str, r"([\w.-]+)"))
        self.keep = _words(left, "keep", ["JUPYTERHUB_*", "JUPYTER_*", "JPY_*", "BATCHSPAWNER_*"])
        self.directives = _words(left, "directives", ["#SBATCH", "#PBS", "#$", "#BSUB", "#MSUB"])
        self.options = _words(left, "options", [])
        self.refused = [_pattern(one) for one in _words(left, "refused", [])]
        self.environment = _environment(left)
        self.log = _taken(left, "log", str, "")
        self.commands = {
            name: _words(left, name, []) for name in ("submit", "show", "cancel", "signal")
        }
        if self.shown.groups != 1:
            raise Refusal("'shown' in {} must have one group".format(CONFIGURATION), EX_CONFIG)
        if left:
            raise Refusal("{} has unknown keys: {}".format(CONFIGURATION, sorted(left)), EX_CONFIG)

    def command(self, name: str, values: Values) -> List[str]:
        """Return a command of root's file with a request's values in it."""
        command = [_filled(word, values) for word in self.commands[name]]
        if not command or not command[0] or not os.path.isabs(command[0]):
            text = "{} has no command {!r} with an absolute path".format(CONFIGURATION, name)
            raise Refusal(text, EX_CONFIG)
        return [word for word in command if word is not None]


def _taken(left: Dict[str, object], name: str, kind: Type[T], default: Optional[T] = None) -> T:
    value = left.pop(name, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = "{!r} in {} must be of type {}".format(name, CONFIGURATION, kind.__name__)
        raise Refusal(wanted, EX_CONFIG)
    return value


def _words(left: Dict[str, object], name: str, default: List[str]) -> List[str]:
    words = cast("List[object]", _taken(left, name, list, default))
    return [_taken({name: word}, name, str) for word in words]


def _environment(left: Dict[str, object]) -> Dict[str, str]:
    default = {"PATH": "/usr/bin:/bin"}
    texts = cast("Dict[str, object]", _taken(left, "environment", dict, default))
    if not all(isinstance(value, str) for value in texts.values()):
        raise Refusal("environment in {} must hold texts".format(CONFIGURATION), EX_CONFIG)
    return cast("Dict[str, str]", texts)


def _pattern(text: str) -> Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise Refusal(
            "cannot read the pattern {!r} in {}: {}".format(text, CONFIGURATION, error), EX_CONFIG
        ) from None


def _filled(word: str, values: Values) -> Optional[str]:
    """Return a word with its {names} replaced, None if one of them is not in the job's id."""
    names = re.findall(r"\{([a-z_]+)\}", word)
    if any(values.get(name, "") is None for name in names):
        return None
    return re.sub(r"\{([a-z_]+)\}", lambda found: str(values.get(found[1], found[0])), word)


def read_rules() -> Rules:
    """Read root's file. Raises Refusal for one that anybody else could have changed."""
    file = Path(CONFIGURATION)
    for place in (file, *file.parents):
        try:
            status = os.lstat(str(place))
        except OSError as error:
            raise Refusal("{}: {}".format(place, error.strerror), EX_CONFIG) from None
        if not only_root_writes(status):
            text = "{} must be root's own, no link, and no other's to write".format(place)
            raise Refusal(text, EX_CONFIG)
    try:
        given = cast("object", json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise Refusal("{}: {}".format(CONFIGURATION, error), EX_CONFIG) from None
    if not isinstance(given, dict):
        raise Refusal("{} must hold one object".format(CONFIGURATION), EX_CONFIG)
    return Rules(cast("Dict[str, object]", given))


def only_root_writes(status: os.stat_result) -> bool:
    """Return whether a file or folder is root's own, and nobody else may write to it."""
    is_plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return is_plain and status.st_uid == 0 and not status.st_mode & 0o022


def permitted_account(rules: Rules) -> pwd.struct_passwd:
    """Return the account of the user who runs this.

    Raises Refusal for system accounts and for users outside of the group.
    """
    uid = os.getuid()
    if uid in (0, NOBODY) or uid != os.geteuid() or uid < rules.smallest_uid:
        raise Refusal("user id {} is that of a system account".format(uid))
    try:
        account = pwd.getpwuid(uid)
        group = grp.getgrnam(rules.group).gr_gid
    except KeyError as error:
        raise Refusal("who is that? {}".format(error)) from None
    # Not os.getgroups: sudo -P lets the Hub keep its own.
    if group not in os.getgrouplist(account.pw_name, account.pw_gid):
        raise Refusal("{} is not in the group {}".format(account.pw_name, rules.group))
    return account


def read_request(stream: BinaryIO) -> Dict[str, object]:
    """Read one JSON object. Raises Refusal unless it has exactly the keys of its verb."""
    data = stream.read(MAX_INPUT_BYTES + 1)
    if len(data) > MAX_INPUT_BYTES:
        raise Refusal("the request is longer than {} bytes".format(MAX_INPUT_BYTES))
    try:
        parsed = cast("object", json.loads(data.decode("utf-8"), object_pairs_hook=_unique))
    except (ValueError, RecursionError):
        raise Refusal("the request is no JSON in UTF-8") from None
    request = cast("Dict[str, object]", parsed if isinstance(parsed, dict) else {})
    verb = request.get("verb")
    if not isinstance(verb, str) or verb not in KEYS:
        raise Refusal("the verb must be one of {}".format(", ".join(sorted(KEYS))))
    if set(request) - OPTIONAL_KEYS.get(verb, set()) != KEYS[verb]:
        raise Refusal("{} needs exactly {}".format(verb, ", ".join(sorted(KEYS[verb]))))
    return request


def _unique(pairs: List[Tuple[str, object]]) -> Dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key comes twice")
    return dict(pairs)


class Launcher:
    """The commands that a request may run, as the user who runs this."""

    def __init__(self, rules: Rules, account: pwd.struct_passwd) -> None:
        self.rules = rules
        self.account = account

    def handle(self, request: Mapping[str, object]) -> int:
        """Check the values of a request, run its command, and return the exit status.

        Raises Refusal for a value that is not allowed.
        """
        verb = str(request["verb"])
        if verb == "submit":
            return self._submit(**{key: request[key] for key in KEYS[verb] - {"verb"}})
        if verb == "stat-log":
            return self._stat_log()
        job_id, values = self._job(request["job_id"])
        if verb == "tail-log":
            before = _amount(request.get("size", 0)), _amount(request.get("changed_at", 0))
            return self._tail_log(job_id, values, *before)
        if verb == "signal":
            values["signal"] = _signal(request["signal"])
        return self._is_ours(job_id, values) or self._run(verb, values)

    def _submit(self, tag: object, script: object, environment: object, files: object) -> int:
        if not isinstance(tag, str) or not _is_of(self.rules.tag, tag):
            raise Refusal("the tag has another form than {}".format(self.rules.tag.pattern))
        if not isinstance(script, str) or not script.strip() or not _is_text(script):
            raise Refusal("the script must be a text")
        for option in self._options(script):
            if not self._allows(option):
                text = "the script has an option that {} does not allow: {}"
                raise Refusal(text.format(CONFIGURATION, option))
        for pattern in self.rules.refused:
            if pattern.search(script):
                raise Refusal("the script has what is refused: {}".format(pattern.pattern))
        passed = self._passed(environment)
        self._write_files(files)
        values = {"tag": tag, "names": " ".join(sorted(passed))}
        return self._run("submit", values, script, passed)

    def _options(self, script: str) -> List[str]:
        """Return all words in directives that may be options, with any quotes in them."""
        prefixes = tuple(self.rules.directives)
        found = []
        for line in script.split("\n"):
            # Some commands take a carriage return for a space, others for the end of a line.
            if not any(part.strip().startswith(prefixes) for part in line.split("\r")):
                continue
            # A line can be continued by the next one, which has no prefix.
            found += ["\\"] if line.rstrip().endswith("\\") else []
            for prefix in prefixes:
                line = line.replace(prefix, " ")
            found += [
                word
                for word in line.split()
                if re.match("-(?![0-9]+$)", re.sub(r"[\"'\\]", "", word))
            ]
        return found

    def _allows(self, option: str) -> bool:
        return any(
            option.startswith(one[:-1])
            if one.endswith("*")
            else option == one or option.startswith(one + "=")
            for one in self.rules.options
        )

    def _passed(self, environment: object) -> Dict[str, str]:
        """Return the variables of a request that are passed on: others could make a command run."""
        if not isinstance(environment, dict):
            raise Refusal("the environment must be an object")
        variables = cast("Dict[str, object]", environment)
        for name, value in variables.items():
            if not NAME.fullmatch(name) or not _is_text(value):
                raise Refusal("the environment must hold texts, by names of variables")
        return {name: str(value) for name, value in variables.items() if self._passes(name)}

    def _passes(self, name: str) -> bool:
        return any(
            name.startswith(one[:-1]) if one.endswith("*") else name == one
            for one in self.rules.keep
        )

    def _write_files(self, files: object) -> None:
        """Write files that only the user and the job may read, in the one folder for them."""
        folder = Path(self.account.pw_dir, ".batchspawner")
        texts = cast("Dict[str, str]", files)
        if not isinstance(files, dict) or not all(map(_is_text, texts.values())):
            raise Refusal("the files must be texts, by their paths")
        names = [path[len(str(folder)) + 1 :] for path in texts]
        if not all(map(WORD.fullmatch, names)) or set(texts) != {str(folder / n) for n in names}:
            raise Refusal("files can only be left in {}".format(folder))
        try:
            for path, text in texts.items():
                folder.mkdir(mode=0o700, exist_ok=True)
                folder.chmod(0o700)
                # A new one, whose mode nobody can have changed, takes the place of the old one.
                number, fresh = tempfile.mkstemp(prefix=".new-", dir=str(folder))
                with os.fdopen(number, "wb") as file:
                    file.write(text.encode("utf-8"))
                os.replace(fresh, path)
        except OSError as error:
            raise Refusal("{}: {}".format(folder, error.strerror), EX_UNAVAILABLE) from None

    def _job(self, job_id: object) -> Tuple[str, Dict[str, Optional[str]]]:
        if not isinstance(job_id, str) or not _is_of(self.rules.job_id, job_id):
            raise Refusal("the job's id has another form than {}".format(self.rules.job_id.pattern))
        found = self.rules.job_id.fullmatch(job_id)
        groups = cast("Dict[str, Optional[str]]", found.groupdict() if found else {})
        return job_id, {**groups, "job_id": job_id, "home": self.account.pw_dir}

    def _is_ours(self, job_id: str, values: Values) -> int:
        """Return 0 if a job carries a tag of the Hub, else the exit status of the command.

        Raises Refusal for a job that is not in the queue, or does not carry the tag.
        """
        done = self._complete("show", values, "", NONE, subprocess.PIPE)
        if done.returncode != 0:
            # The scheduler itself says whether it has no such job or does not answer.
            sys.stderr.write((done.stdout + done.stderr).decode("utf-8", "replace"))
            return _exit_status(done.returncode)
        text = done.stdout.decode("utf-8", "replace")
        if not text.strip():
            raise Refusal("job {} is not in the queue".format(job_id), EX_UNAVAILABLE)
        if not any(_is_of(self.rules.tag, word[1]) for word in self.rules.shown.finditer(text)):
            raise Refusal("job {} does not carry the Hub's tag".format(job_id))
        return 0

    def _stat_log(self) -> int:
        with self._open_log({"home": self.account.pw_dir}) as log:
            status = os.fstat(log.fileno())
        print(json.dumps({"size": status.st_size, "changed_at": status.st_mtime}))
        return 0

    def _tail_log(self, job_id: str, values: Values, size: float, changed_at: float) -> int:
        # A log without the job's id in its path is the Hub's own, for all of its jobs.
        names = set(re.findall(r"\{([a-z_]+)\}", self.rules.log)) - {"home"}
        failed = self._is_ours(job_id, values) if names else 0
        if failed:
            return failed
        with self._open_log(values) as log:
            status = os.fstat(log.fileno())
            if status.st_mtime == changed_at:
                return 0  # the job has written nothing yet
            # A log that was changed and is not longer now is not one to which the job appended.
            begin = int(size) if size < status.st_size else 0
            log.seek(max(begin, status.st_size - LOG_TAIL_BYTES))
            sys.stdout.buffer.write(log.read(LOG_TAIL_BYTES))
        return 0

    def _open_log(self, values: Values) -> BinaryIO:
        path = _filled(self.rules.log, values)
        if not path or not os.path.isabs(path):
            raise Refusal("{} has no log".format(CONFIGURATION), EX_CONFIG)
        try:
            # Not to hang at a pipe, nor to follow a link to another's file.
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise Refusal("{}: {}".format(path, error.strerror), EX_UNAVAILABLE) from None
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != self.account.pw_uid:
            os.close(file)
            raise Refusal("{} is not a file of the user's own".format(path))
        return os.fdopen(file, "rb")

    def _run(
        self, name: str, values: Values, script: str = "", passed: Mapping[str, str] = NONE
    ) -> int:
        """Run a command that prints to our own output, and return its exit status."""
        job = values.get("job_id") or values.get("tag")
        syslog.syslog("{}: {} {}".format(self.account.pw_name, name, job))
        return _exit_status(self._complete(name, values, script, passed, None).returncode)

    def _complete(
        self,
        name: str,
        values: Values,
        script: str,
        passed: Mapping[str, str],
        output: Optional[int],
    ) -> "subprocess.CompletedProcess[bytes]":
        command = self.rules.command(name, values)
        # What root has written comes after what the request brought.
        environment = {**passed, **self.rules.environment, **self._identity()}
        try:
            return subprocess.run(
                command,
                input=script.encode("utf-8"),
                stdout=output,
                stderr=output,
                env=environment,
                cwd="/",
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            text = "{} timed out after {:g} s".format(command[0], TIMEOUT_S)
            raise Refusal(text, EX_TEMPFAIL) from None
        except (OSError, ValueError) as error:
            raise Refusal("{}: {}".format(command[0], error), EX_CONFIG) from None

    def _identity(self) -> Dict[str, str]:
        name, home, shell = self.account.pw_name, self.account.pw_dir, self.account.pw_shell
        return {"USER": name, "LOGNAME": name, "HOME": home, "SHELL": shell or "/bin/sh"}


def _is_of(pattern: Pattern[str], text: str) -> bool:
    return bool(WORD.fullmatch(text) and pattern.fullmatch(text))


def _exit_status(status: int) -> int:
    return 128 - status if status < 0 else status


def _is_text(value: object) -> bool:
    """Return whether something is a text that can be passed to a command."""
    # Half of a pair of surrogates cannot be written.
    return isinstance(value, str) and not re.search("[\0\ud800-\udfff]", value)


def _amount(number: object) -> float:
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < 2**62:
        raise Refusal("the size and the time of a log must be numbers")
    return number


def _signal(number: object) -> str:
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 64:
        raise Refusal("the signal must be a number from 1 to 64")
    return str(number)


def main() -> int:
    """Handle the request on standard input, and return the exit status."""
    syslog.openlog("batchspawner-launcher", 0, syslog.LOG_AUTH)
    try:
        if len(sys.argv) != 1:
            raise Refusal("there are no arguments")
        if not sys.flags.isolated:
            raise Refusal("run it by its first line, which has python3 -I", EX_CONFIG)
        rules = read_rules()
        launcher = Launcher(rules, permitted_account(rules))
        return launcher.handle(read_request(sys.stdin.buffer))
    except Refusal as refusal:
        syslog.syslog("user id {}: refused: {}".format(os.getuid(), refusal))
        print("batchspawner-launcher: {}".format(refusal), file=sys.stderr)
        return refusal.status


if __name__ == "__main__":
    sys.exit(main())
