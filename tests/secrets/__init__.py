"""Searches for the secrets of kernels, functions, cells and clusters, as another user."""
