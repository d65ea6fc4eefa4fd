"""Jobs with our agent in them, as seen by the driver, the process that submitted them."""
