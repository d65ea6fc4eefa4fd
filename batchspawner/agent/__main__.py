"""Run the agent: python -I -S AGENT CALL.JSON."""

import sys

from .core import Agent

sys.exit(Agent(sys.argv[1]).run())
