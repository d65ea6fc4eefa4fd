"""Jupyter kernels that run in batch jobs, while their notebook server stays where it is."""

from .provisioner import BatchProvisioner, SlurmProvisioner

__all__ = ["BatchProvisioner", "SlurmProvisioner"]
