from __future__ import annotations

import pytest


@pytest.fixture(params=["slurm", "slurm/24.11"])
def generation(request) -> str:
    """The folder with the transcripts of one generation of Slurm; 22.05 is the plain one."""
    return request.param
