"""Configurations as sites have them (in own words): the verdict, and then a real Hub's server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from tests.hubs import Hub, wait_for

# Each of them runs a job, a Hub and a server.
pytestmark = pytest.mark.hub

OWN_COMMANDS = """
c.JupyterHub.spawner_class = 'slurm'
c.SlurmSpawner.exec_prefix = ''
c.SlurmSpawner.batch_submit_cmd = 'batchspawner-queue submit'
c.SlurmSpawner.batch_query_cmd = 'sh HERE/query {job_id}'
c.SlurmSpawner.batch_cancel_cmd = 'batchspawner-queue cancel {job_id}'
c.SlurmSpawner.state_pending_re = '^PENDING'
c.SlurmSpawner.state_running_re = '^(?:RUNNING|COMPLETING)'
c.SlurmSpawner.state_exechost_re = r'\\s+(\\S+)$'
c.SlurmSpawner.state_exechost_exp = ''
c.SlurmSpawner.batch_script = '#!/bin/sh\\n#SITE --time={runtime}\\n{cmd}\\n'
c.SlurmSpawner.req_runtime = '8:00:00'
c.BatchSpawnerBase.command_env_keep = ['BATCHSPAWNER_*']
"""

QUERY = """
batchspawner-queue query "$1" | python3 -c '
import json, sys
for job in json.load(sys.stdin)["jobs"]: print(job["state"].upper(), "localhost", end="")'
"""

SITE_CLASS = """
from batchspawner import BatchSpawnerRegexStates, format_template
from traitlets import Unicode

class SiteSpawner(BatchSpawnerRegexStates):
    exec_prefix = Unicode("", config=True)
    req_qos = Unicode("interactive", config=True)
    req_homedir = Unicode('HERE/home', config=True)
    batch_submit_cmd = Unicode("batchspawner-queue submit", config=True)
    batch_query_cmd = Unicode("sh HERE/query {job_id}", config=True)
    batch_cancel_cmd = Unicode("batchspawner-queue cancel {job_id}", config=True)
    state_pending_re = Unicode(r"^(?:PENDING|CONFIGURING)", config=True)
    state_running_re = Unicode(r"^(?:RUNNING|COMPLETING)", config=True)
    state_exechost_re = Unicode(r"\\s+((?:[\\w_-]+\\.?)+)$", config=True)
    batch_script = Unicode("#!/bin/sh\\n#SITE --qos={{ qos }}\\n{{ cmd }}\\n", config=True)

    async def _get_batch_script(self, **subvars):
        subvars["cookie"] = 4711
        return format_template(self.batch_script, **subvars)

    def parse_job_id(self, output):
        return str(int(output.split(" ")[-1]))

    async def options_form(self, spawner):
        return f"<p>for {spawner.user.name}</p><input name=qos>"

    def options_from_form(self, data):
        return {"qos": data["qos"][0]}

c.JupyterHub.spawner_class = SiteSpawner
c.BatchSpawnerBase.command_env_keep = ['BATCHSPAWNER_*']
"""

PLAIN_ATTRIBUTES = """
class Site(__import__('batchspawner').LocalQueueSpawner):
    exec_prefix = ''
    req_prologue = 'unset XDG_RUNTIME_DIR'

    @property
    def batch_script(self):
        return '#!/bin/sh\\n# of ' + self.user.name + '\\n{{prologue}}\\n{{cmd}}\\n'

c.JupyterHub.spawner_class = Site
"""

TUPLES = """
c.JupyterHub.spawner_class = 'wrapspawner.ProfilesSpawner'
c.ProfilesSpawner.profiles = [
    ('Here', 'here', 'jupyterhub.spawner.SimpleLocalProcessSpawner', {'ip': '127.0.0.1'}),
    ('Batch', 'batch', 'batchspawner.LocalQueueSpawner', dict(req_nprocs='1', req_memory='100mb')),
]
"""

DICTIONARIES = """
c.JupyterHub.spawner_class = 'wrapspawner.ProfilesSpawner'
c.Spawner.req_runtime = '1:00:00'
c.ProfilesSpawner.profiles = [
    {'display_name': 'Batch', 'slug': 'batch', 'spawner': 'localqueue',
     'override': {'req_nprocs': '1'}, 'environment': {'variables': {'OMP_NUM_THREADS': 1}}},
]
"""


@dataclass(frozen=True)
class Site:
    """A configuration, which findings are wrong in it, and what a user chooses."""

    lines: str
    wrong: frozenset[str] = frozenset()
    options: dict[str, str] = field(default_factory=dict)

    @property
    def starts(self) -> bool:
        return not self.wrong


def script(text: str) -> str:
    return f"c.LocalQueueSpawner.batch_script = {text!r}"


OF_PARENTS = """
c.BatchSpawnerBase.req_nprocs = '1'
c.BatchSpawnerBase.req_runtime = '8:00:00'
c.Spawner.default_url = '/lab'
c.Spawner.start_timeout = 600
"""
OLD_SCRIPT = "#!/bin/bash\n#SBATCH --time={runtime}\n#SBATCH {options}\n{prologue}\n{cmd}\n"
JINJA_SCRIPT = "#!/bin/bash\nA=${HOME:-x}\nfor i in {1..3}; do :; done\n{{prologue}}\n{{cmd}}\n"
WRITTEN_OUT = "#!/bin/sh\nbatchspawner-singleuser HERE/bin/jupyterhub-singleuser\n"
FORM = """
c.LocalQueueSpawner.options_form = '<input name=nprocs value=1>'
c.LocalQueueSpawner.options_from_form = lambda data: {'nprocs': data['nprocs'][0]}
"""
PROLOGUE = "unset XDG_RUNTIME_DIR\nexport PATH=/usr/local/bin:$PATH\nulimit -c 0"
SPOILED = r"export JUPYTERHUB_OAUTH_ACCESS_SCOPES='[\access:servers\]'"

SITES = {
    "nothing but the spawner": Site(""),
    "sections of parent classes": Site(OF_PARENTS),
    "a script of str.format": Site(script(OLD_SCRIPT)),
    "a script of Jinja with braces of bash": Site(script(JINJA_SCRIPT)),
    "the wrapper written out": Site(script(WRITTEN_OUT)),
    "options behind the command": Site(script("#!/bin/sh\n{cmd} --debug\n")),
    "a class with plain attributes and properties": Site(PLAIN_ATTRIBUTES),
    "a form of the site": Site(FORM),
    "a prologue of several lines": Site(f"c.LocalQueueSpawner.req_prologue = {PROLOGUE!r}"),
    "profiles as tuples, a local one first": Site(TUPLES, options={"profile": "batch"}),
    "profiles as dictionaries": Site(DICTIONARIES, options={"profile": "batch"}),
    "commands in the configuration": Site(OWN_COMMANDS),
    "a class with commands, form and script": Site(SITE_CLASS),
    "a prefix": Site("c.LocalQueueSpawner.exec_prefix = 'env -u NOTHING'"),
    "a range of ports": Site("c.LocalQueueSpawner.port_range = (30100, 30999)"),
    "the node's own address": Site("c.LocalQueueSpawner.trust_reported_host = True"),
    "secrets in a file": Site("c.LocalQueueSpawner.secret_transport = 'file'"),
    "all variables as secrets": Site("c.LocalQueueSpawner.secret_variables = ['*']"),
    "a module that is not there": Site(
        "c.LocalQueueSpawner.req_prologue = 'module load jupyter'", frozenset({"start"})
    ),
    "a server that is not there": Site(
        "c.LocalQueueSpawner.cmd = ['/opt/none/jupyterhub-singleuser']", frozenset({"node"})
    ),
    "a variable that arrives spoiled": Site(
        f"c.LocalQueueSpawner.req_prologue = {SPOILED!r}", frozenset({"page"})
    ),
    "a pattern that no answer matches": Site(
        OWN_COMMANDS + "c.SlurmSpawner.state_running_re = '^R$'", frozenset({"query"})
    ),
    "a script that starts no server": Site(script("#!/bin/sh\nsleep 1\n"), frozenset({"script"})),
    "an argument that the server does not know": Site(
        "c.LocalQueueSpawner.cmd = ['sleep', '--lab']", frozenset({"page"})
    ),
}


def starts(place, site: Site) -> bool:
    """Return whether a real Hub with this configuration starts a server whose page opens."""
    folder = place.folder / "hub"
    folder.mkdir()
    lines = [line for line in place.lines if "hub_bind_url" not in line]
    hub = Hub(folder, "\n".join(lines), (place.user,), **place.environment)
    try:
        hub.start()
        hub.add_users()
        if hub.begin(place.user, dict(site.options)).status_code >= 400:
            return False

        def ended():
            server = hub.server(place.user)
            return server is None or server["ready"]

        wait_for(ended, 60, "the end of the start")
        if hub.server(place.user) is None:
            return False
        opened = hub.through_proxy(f"user/{place.user}/").status_code == 200
        hub.end(place.user)
        return opened
    finally:
        hub.stop()


@pytest.mark.parametrize("name", SITES)
def test_the_verdict_is_what_then_happens(place, name):
    site = SITES[name]
    (place.folder / "query").write_text(QUERY)
    place.lines += [
        "c.Spawner.http_timeout = 30",
        f"c.Spawner.cmd = [{str(place.bin / 'jupyterhub-singleuser')!r}]",
        site.lines.replace("HERE", str(place.folder)),
    ]
    found = place.findings()
    wrong = {one["name"] for one in found if one["verdict"] == "wrong"}
    assert wrong == site.wrong, [one for one in found if one["name"] in wrong | site.wrong]
    assert starts(place, site) == site.starts
    if not site.starts:
        # What the Hub takes for gone because it cannot read the answers, it leaves alone.
        for job in json.loads(place.queue("query"))["jobs"]:
            place.queue("cancel", job["id"])
    wait_for(lambda: json.loads(place.queue("query"))["jobs"] == [], what="the end of the job")
