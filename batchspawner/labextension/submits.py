"""What a browser submits: a notebook to run in a job, and a kernel that runs in jobs."""

from __future__ import annotations

import re
import secrets
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..allocation.call_folder import calls_folder, make_private
from ..allocation.job_environment import exports, own_environment
from ..allocation.job_origin import Origin
from ..allocation.job_records import RECORD_NAME, JobRecord
from ..client.batch_client import BatchClient
from ..client.blocking_client import elsewhere
from ..client.job_scripts import find_scheduler, job_request
from ..errors import OptionsError
from ..message import Message

if TYPE_CHECKING:
    from collections.abc import Mapping

RESOURCES = ("queue", "account", "nprocs", "memory", "gpus", "runtime", "prologue")
"""What the forms ask for, by the names that all schedulers share."""

_RETENTION_S = 7 * 86400.0
"""Seconds for which the folder of a notebook's job is kept after the job has ended."""

_NO_NAME = re.compile(r"[^a-z0-9]+")


async def submit_notebook(contents: Any, given: Mapping[str, Any]) -> dict[str, str]:
    """Submit a job that runs a notebook; return its row's id, and the path of the result.

    `contents` is the server's contents manager, which must keep its notebooks in files. The job
    runs the notebook as it is now, and writes a copy with all outputs beside it. Raises
    OptionsError, SubmitError, SchedulerUnavailable, TemplateError or OSError.
    """
    path = str(given.get("path", ""))
    if not path.endswith(".ipynb"):
        raise OptionsError("path", path, Message("name a notebook (.ipynb)"))
    if not hasattr(contents, "_get_os_path"):
        text = Message("this server does not keep its notebooks in files")
        raise OptionsError("path", path, text)
    source = Path(contents._get_os_path(path))
    if not source.is_file():
        raise OptionsError("path", path, Message("there is no such notebook"))
    target = source.with_name(f"{source.stem}-job-{time.strftime('%Y%m%d-%H%M%S')}.ipynb")
    record = await elsewhere(_submit(source, target, _resources(given)))
    result = str(Path(path).with_name(target.name))
    return {"id": record.full_name, "job_id": record.job_id, "result": result}


async def _submit(source: Path, target: Path, resources: dict[str, Any]) -> JobRecord:
    parent = calls_folder() / "notebooks"
    _remove_old(parent)
    folder = parent / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
    make_private(folder)
    try:
        shutil.copyfile(source, folder / source.name)
        environment = folder / "environment"
        environment.touch(0o600)
        environment.write_text(exports(own_environment(), str(source.parent)))
        program = ("-m", "batchspawner.labextension.run_notebook")
        words = (sys.executable, *program, str(folder / source.name), str(target))
        client = BatchClient(find_scheduler())
        request = job_request(
            client.scheduler,
            shlex.join(words),
            front_end="notebooks",
            name=source.stem,
            log=str(folder / "log"),
            variables={"environment_file": str(environment)},
            **resources,
        )
        job_id = await client.submit(request)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    origin = Origin(notebook=str(source))
    record = JobRecord(
        folder, client.scheduler.name, job_id, "notebooks", source.name, origin=origin
    )
    record.write()
    return record


def write_kernel(given: Mapping[str, Any]) -> str:
    """Write the kernel spec of a kernel that runs in jobs; return its name.

    Raises OptionsError or TemplateError for settings with which no kernel could start.
    """
    from ..kernels import kernelspecs

    title = str(given.get("display_name", "")).strip()
    if not title:
        raise OptionsError("display_name", title, Message("give the kernel a name"))
    name = _NO_NAME.sub("-", title.lower()).strip("-") or secrets.token_hex(4)
    kernel = str(given.get("kernel", "python3"))
    kernelspecs.install(name, kernel, _resources(given), display_name=title)
    return name


def _resources(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the resources in a request. Raises OptionsError for others."""
    asked = given.get("resources", {})
    if not isinstance(asked, dict):
        raise OptionsError("resources", asked, "write an object")
    for name, value in asked.items():
        if name not in RESOURCES:
            raise OptionsError(name, value, f"a job can ask for: {', '.join(RESOURCES)}")
    return {name: str(value).strip() for name, value in asked.items() if str(value).strip()}


def _remove_old(parent: Path) -> None:
    for file in parent.glob(f"*/{RECORD_NAME}"):
        old = file.stat().st_mtime < time.time() - _RETENTION_S
        if old and JobRecord.read(file).ended:
            shutil.rmtree(file.parent, ignore_errors=True)
