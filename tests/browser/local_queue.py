"""Commands of the embedded queue behind a page, as a user of its machine gives them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def queue(environment: Mapping[str, str], *words: str, script: str = "", check: bool = True) -> str:
    """Run a command of the queue that these variables name, and return what it prints."""
    return subprocess.run(
        [sys.executable, "-m", "batchspawner.localqueue", *words],
        env={**os.environ, **environment},
        input=script or None,
        capture_output=True,
        text=True,
        check=check,
    ).stdout.strip()
