"""Find out what is wrong with a site, and say which line of its configuration mends it."""
