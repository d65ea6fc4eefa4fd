"""Jobs with our agent in them, seen from the process that submitted them."""
