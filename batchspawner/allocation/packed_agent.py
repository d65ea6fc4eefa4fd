"""The agent as one file, which each call's folder gets."""

from __future__ import annotations

import marshal
import zipfile
from functools import lru_cache
from importlib.util import MAGIC_NUMBER, find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from .. import agent as agent_package

_MAIN = """import sys
from batchspawner_agent.agent import Agent
sys.exit(Agent(sys.argv[1]).run())
"""


@lru_cache(maxsize=1)
def packed_agent() -> bytes:
    """Return the agent as one file that Python runs, with bytecode for Pythons like ours."""
    packed = BytesIO()
    package = agent_package.__name__
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(Path(agent_package.__file__).parent.glob("*.py")):
            if file.name != "__main__.py":
                name = f"batchspawner_agent/{file.name}"
                archive.writestr(name, file.read_bytes())
                module = package if file.stem == "__init__" else f"{package}.{file.stem}"
                archive.writestr(f"{name}c", _compiled(module))
        archive.writestr("__main__.py", _MAIN)
    return packed.getvalue()


def _compiled(module: str) -> bytes:
    """Return the content of a .pyc file that is never compared with its source (PEP 552)."""
    spec: Any = find_spec(module)
    return MAGIC_NUMBER + bytes([1, *[0] * 11]) + marshal.dumps(spec.loader.get_code(module))
