"""Functions as jobs: one job for each call or bundle of calls."""
