"""Templates of pages and scripts. Those of job scripts are in the packages of the schedulers."""
