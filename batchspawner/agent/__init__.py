"""The program that runs in a job, calls home, and starts programs there for the driver.

This package is packed into one file, which any Python from 3.8 on runs in the job
(`batchspawner.allocation.packed_agent`): standard library only, nothing of the rest of the
library. docs/agent.md describes the protocol between agent and driver.
"""
