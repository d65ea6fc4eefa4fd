"""Write, check and remove the kernel.json files of kernels that run in jobs."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from ..client.job_scripts import find_scheduler, job_request
from ..errors import BatchError, OptionsError
from ..schedulers.slurm import Slurm
from . import settings

if TYPE_CHECKING:
    from collections.abc import Mapping

PROVISIONERS = {"batch-provisioner": "auto", "slurm-provisioner": Slurm.name}
"""The names under which a kernel.json may ask for us, and the scheduler that is meant."""

_NAME = re.compile(r"[a-z0-9._-]+", re.IGNORECASE)
_PYTHON = re.compile(r"python([0-9](\.[0-9]+)?)?")


class BatchSpec(NamedTuple):
    """Hold what is known of one kernel that runs in a job. `trouble` is what is wrong with it."""

    name: str
    display_name: str
    folder: str
    config: Mapping[str, Any]
    trouble: str = ""


def install(
    name: str,
    kernel: str,
    config: Mapping[str, Any],
    *,
    display_name: str = "",
    prefix: str | None = None,
    replace: bool = False,
) -> str:
    """Write the kernel.json of a kernel that runs another one in a job; return its folder.

    It goes to the user's own kernels, or below `prefix`. Raises OptionsError for what no kernel
    could start with.
    """
    manager = KernelSpecManager()
    if not _NAME.fullmatch(name):
        raise OptionsError("name", name, "use letters, digits, '.', '_' and '-'")
    if name in manager.find_kernel_specs() and not replace:
        raise OptionsError("name", name, "a kernel of this name exists: edit or replace it")
    check(config, "auto")
    spec, folder = _wrapped(manager, kernel)
    spec["display_name"] = display_name or f"{spec['display_name']} (batch job)"
    provisioner = {"provisioner_name": "batch-provisioner", "config": dict(config)}
    spec["metadata"] = {**(spec.get("metadata") or {}), "kernel_provisioner": provisioner}
    with TemporaryDirectory() as place:
        made = Path(place, name)
        shutil.copytree(folder, made)
        _write(made / "kernel.json", spec)
        return str(manager.install_kernel_spec(str(made), name, user=prefix is None, prefix=prefix))


def edit(name: str, changes: Mapping[str, Any]) -> BatchSpec:
    """Change keys of a kernel.json; the value None removes one."""
    one = find(name)
    config = {**one.config, **changes}
    config = {key: value for key, value in config.items() if value is not None}
    file = Path(one.folder) / "kernel.json"
    spec = _read(file)
    provisioner = spec["metadata"]["kernel_provisioner"]
    check(config, PROVISIONERS[provisioner["provisioner_name"]])
    provisioner["config"] = config
    _write(file, spec)
    return find(name)


def remove(name: str) -> str:
    """Delete a kernel that runs in jobs, and return its folder; other kernels are not ours."""
    one = find(name)
    shutil.rmtree(one.folder)
    return one.folder


def find(name: str) -> BatchSpec:
    """Return one kernel that runs in jobs. Raises OptionsError where there is none."""
    found = {one.name: one for one in listing()}
    if name not in found:
        known = ", ".join(found) or "there are none"
        raise OptionsError("name", name, f"the kernels that run in jobs are: {known}")
    return found[name]


def listing() -> list[BatchSpec]:
    """Return all kernels that run in jobs, with what is wrong with them."""
    manager = KernelSpecManager()
    found = []
    for name, folder in sorted(manager.find_kernel_specs().items()):
        file = Path(folder, "kernel.json")
        try:
            spec = _read(file)
        except OptionsError as error:
            # Somebody has edited it by hand; of kernels that are not ours, we say nothing.
            if any(one in file.read_text() for one in PROVISIONERS):
                found.append(BatchSpec(name, name, folder, {}, str(error)))
            continue
        provisioner = (spec.get("metadata") or {}).get("kernel_provisioner") or {}
        scheduler = PROVISIONERS.get(str(provisioner.get("provisioner_name")))
        if scheduler is None:
            continue
        config = provisioner.get("config") or {}
        try:
            check(config, scheduler)
            trouble = ""
        except BatchError as error:
            trouble = str(error)
        found.append(BatchSpec(name, spec.get("display_name", name), folder, config, trouble))
    return found


def check(config: Mapping[str, Any], scheduler: str) -> None:
    """Raise OptionsError or TemplateError for a config that no kernel could start with."""
    read = settings.read(config, scheduler)
    try:
        found = find_scheduler(read.scheduler)
    except LookupError as error:
        raise OptionsError("scheduler", read.scheduler, str(error)) from error
    resources: dict[str, Any] = {**read.resources}
    job_request(found, "true", front_end="kernels", name="", log="", **resources)


def _wrapped(manager: KernelSpecManager, kernel: str) -> tuple[dict[str, Any], str]:
    try:
        found = manager.get_kernel_spec(kernel)
    except NoSuchKernel as error:
        known = ", ".join(sorted(manager.find_kernel_specs()))
        raise OptionsError("kernel", kernel, f"the kernels of this machine are: {known}") from error
    spec = found.to_dict()
    if (spec.get("metadata") or {}).get("kernel_provisioner"):
        raise OptionsError("kernel", kernel, "it is started by a provisioner already")
    # The job may have another python on its path than the one that has this kernel.
    if _PYTHON.fullmatch(spec["argv"][0]):
        spec["argv"] = [sys.executable, *spec["argv"][1:]]
    return spec, found.resource_dir


def _read(file: Path) -> dict[str, Any]:
    try:
        spec: dict[str, Any] = json.loads(file.read_text())
    except ValueError as error:
        raise OptionsError("kernel.json", str(file), f"it is no JSON: {error}") from error
    return spec


def _write(file: Path, spec: Mapping[str, Any]) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(spec, indent=2) + "\n")
    fresh.replace(file)
