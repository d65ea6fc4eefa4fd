"""Kill parts of a cluster."""

from __future__ import annotations

import psutil


def kill_oldest(module, profile):
    """Kill the oldest process of a module in a profile: its children are of the same module."""
    words = [module, f"--profile-dir={profile}"]
    found = [
        one
        for one in psutil.process_iter(["cmdline"])
        if all(word in (one.info["cmdline"] or ()) for word in words)
    ]
    min(found, key=psutil.Process.create_time).kill()
