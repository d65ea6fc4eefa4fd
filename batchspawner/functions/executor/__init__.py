"""Workers in jobs that pull calls, behind a `concurrent.futures.Executor`."""
