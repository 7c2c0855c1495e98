"""Ways to run a command at a site and to put or get a small file."""
