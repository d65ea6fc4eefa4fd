"""The agent as a program: python -I -S AGENT CALL.JSON."""

import sys

from .agent import Agent

sys.exit(Agent(sys.argv[1]).run())
