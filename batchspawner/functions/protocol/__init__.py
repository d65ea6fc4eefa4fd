"""What caller and worker must agree on: calls, results and the worker program."""
