"""Backends: what connects one server to the scheduler of its job."""
