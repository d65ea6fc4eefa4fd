"""The spawners, under their 1.x import path."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import xml.etree.ElementTree as ET
from enum import Enum

from jinja2 import Template
from jupyterhub.spawner import Spawner, set_user_setuid
from traitlets import Dict, Float, Integer, Unicode, default

from .spawners import (
    BatchSpawnerBase,
    BatchSpawnerRegexStates,
    CondorSpawner,
    GridengineSpawner,
    JobStatus,
    LocalQueueSpawner,
    LsfSpawner,
    MoabSpawner,
    MultiSlurmSpawner,
    OarSpawner,
    PBSSpawner,
    SlurmSpawner,
    TorqueSpawner,
    UserEnvMixin,
)
from .templating import format_template

__all__ = [
    "ET",
    "BatchSpawnerBase",
    "BatchSpawnerRegexStates",
    "CondorSpawner",
    "Dict",
    "Enum",
    "Float",
    "GridengineSpawner",
    "Integer",
    "JobStatus",
    "LocalQueueSpawner",
    "LsfSpawner",
    "MoabSpawner",
    "MultiSlurmSpawner",
    "OarSpawner",
    "PBSSpawner",
    "SlurmSpawner",
    "Spawner",
    "Template",
    "TorqueSpawner",
    "Unicode",
    "UserEnvMixin",
    "asyncio",
    "default",
    "format_template",
    "os",
    "pwd",
    "re",
    "set_user_setuid",
]
