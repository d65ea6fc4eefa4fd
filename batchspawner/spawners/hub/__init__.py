"""JupyterHub's inside: the only package that knows how JupyterHub works around a spawner."""
