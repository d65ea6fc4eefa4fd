"""`batchspawner.functions` under the name by which scripts of slurminade import it."""

from __future__ import annotations

import sys

import batchspawner.functions

sys.modules[__name__] = batchspawner.functions
