"""Systems that run jobs without a login node and its commands."""
