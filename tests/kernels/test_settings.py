"""What a kernel.json may say of the job."""

from __future__ import annotations

import json

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import KernelProvisionerFactory
from traitlets.config import Config

from batchspawner.errors import OptionsError
from batchspawner.kernels import SlurmProvisioner
from batchspawner.kernels.settings import Settings, read

OLD = {
    "project": "zam",
    "partition": "batch",
    "nodes": "1",
    "runtime": "30",
    "kernel_argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
    "gpus": "0",
    "reservation": "None",
    "jobid": "None",
    "node": "None",
    "kernel_language": "python",
}
"""Every key that jupyter-slurm-provisioner knows, as its files write them."""


def test_a_file_for_jupyter_slurm_provisioner_means_what_it_meant():
    assert read(OLD, "slurm") == Settings(
        scheduler="slurm",
        resources={"account": "zam", "queue": "batch", "nodes": "1", "runtime": "30"},
        argv=("python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"),
        project="zam",
    )


@pytest.mark.parametrize("unset", [None, "", "None", "none", "0", 0, []])
def test_what_says_none_is_not_set(unset):
    assert read({"gpus": unset, "jobid": unset, "node": unset}) == Settings()


def test_a_job_to_join_and_its_node_may_be_named():
    settings = read({**OLD, "jobid": 4711, "node": "node7", "gpus": 2}, "slurm")
    assert (settings.job_id, settings.node, settings.resources["gpus"]) == ("4711", "node7", "2")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"qeue": "gpu"}, "qeue: 'gpu' is not allowed; the keys of a kernel.json are: account,"),
        ({"queue": ["gpu"]}, "queue: ['gpu'] is not allowed; write it as text or as"),
        ({"queue": "a", "partition": "b"}, "partition: 'b' is not allowed; it says the same as"),
        ({"runtime": "soon"}, "runtime: 'soon' is not allowed; write a time such as"),
        ({"kernel_argv": "python3 -m x"}, "kernel_argv: 'python3 -m x' is not allowed; write a li"),
        ({"linger": "later"}, "linger: 'later' is not allowed; write a number of seconds"),
        ({"linger": -1}, "linger: -1 is not allowed; write a number of seconds"),
        ({"wait": "perhaps"}, "wait: 'perhaps' is not allowed; write true or false"),
        ({"keepvars": "A=1"}, "keepvars: 'A=1' is not allowed; write names of environment"),
    ],
)
def test_what_is_wrong_is_named(config, said):
    with pytest.raises(OptionsError) as caught:
        read(config)
    assert str(caught.value)[: len(said)] == said


@pytest.fixture
def provisioner(tmp_path):
    """Make what jupyter_client makes of a kernel.json."""

    def make(name, config, traits=()):
        folder = tmp_path / "kernels" / "old"
        folder.mkdir(parents=True)
        metadata = {"kernel_provisioner": {"provisioner_name": name, "config": config}}
        # Such files have no argv: they say in kernel_argv what is started.
        spec = {"display_name": "old", "language": "python", "metadata": metadata}
        (folder / "kernel.json").write_text(json.dumps(spec))
        manager = AsyncKernelManager(
            kernel_name="old",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(tmp_path / "kernels")]),
            config=Config({"BatchProvisioner": dict(traits)}),
        )
        factory = KernelProvisionerFactory.instance(parent=manager)
        made = factory.create_provisioner_instance("some-id", manager.kernel_spec, manager)
        manager.context.destroy()
        KernelProvisionerFactory.clear_instance()
        return made

    return make


def test_the_name_slurm_provisioner_is_ours(provisioner):
    made = provisioner("slurm-provisioner", OLD)
    assert (type(made), made.settings.scheduler) == (SlurmProvisioner, "slurm")


async def test_the_command_of_a_kernel_may_lie_in_the_home_of_its_user(provisioner, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    argv = ["~/.local/share/jupyter/kernels/mine/kernel.sh", "-f", "{connection_file}"]
    made = provisioner("slurm-provisioner", {**OLD, "kernel_argv": argv})
    assert (await made.pre_launch())["cmd"] == [
        "/home/ada/.local/share/jupyter/kernels/mine/kernel.sh",
        "-f",
        "{folder}/connection.json",
    ]


def test_a_site_says_which_account_pays_for_a_project(provisioner):
    made = provisioner(
        "slurm-provisioner", OLD, {"account_of_project": lambda project: f"budget-{project}"}
    )
    assert made.settings.resources["account"] == "budget-zam"


def test_a_site_says_which_scheduler_is_meant_where_a_file_names_none(provisioner):
    made = provisioner("batch-provisioner", {"queue": "gpu"}, {"scheduler": "pbspro"})
    assert made.settings.scheduler == "pbspro"
