"""Backends of cells: a shell of this machine, another machine over ssh, a batch job."""
