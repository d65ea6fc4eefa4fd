"""Run the agent: python -I AGENT CALL.JSON."""

import sys

from .core import Agent

sys.exit(Agent(sys.argv[1]).run())
