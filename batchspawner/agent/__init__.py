"""Run in a job, call home, and start there the programs that the driver asks for.

This folder is packed into one file, which any Python from 3.8 on runs in the job
(`batchspawner.allocation.call_folder.packed_agent`): standard library only, nothing of the rest
of the package.
docs/agent.md describes what agent and driver say to each other.
"""
