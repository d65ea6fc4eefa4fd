"""Run Jupyter kernels in batch jobs, while the notebook server stays where it is."""

from .provisioner import BatchProvisioner, SlurmProvisioner

__all__ = ["BatchProvisioner", "SlurmProvisioner"]
