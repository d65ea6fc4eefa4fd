"""Give each test its own queue, and kernels that run in its jobs."""

from __future__ import annotations

import json
import sys

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from batchspawner.kernels import keeper
from tests.sites import LocalSite, no_jobs_left

from . import standin


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "open_listener", standin.Listener.open)
    monkeypatch.setattr(keeper, "_keeper", None)
    monkeypatch.setenv("BATCHSPAWNER_KERNELS_DIR", str(tmp_path / "kernels"))
    site = LocalSite(tmp_path / "site")
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    site.start()
    yield site
    site.stop()
    no_jobs_left(site)


@pytest.fixture
def specs(tmp_path):
    """Write kernel.json files, and return the manager that finds them."""
    folder = tmp_path / "specs"

    def write(name="batch", **config):
        place = folder / name
        place.mkdir(parents=True)
        spec = {
            "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": name,
            "language": "python",
            "metadata": {
                "kernel_provisioner": {
                    "provisioner_name": "batch-provisioner",
                    "config": {"scheduler": "local", "linger": 0, **config},
                }
            },
        }
        (place / "kernel.json").write_text(json.dumps(spec))
        return KernelSpecManager(kernel_dirs=[str(folder)])

    return write
