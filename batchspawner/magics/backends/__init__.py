"""Where a cell can run: a shell on this machine, another machine over ssh, a batch job."""
