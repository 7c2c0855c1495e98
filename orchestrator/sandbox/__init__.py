"""Practice SLURM clusters in namespaces of this machine: the scripts that make them, and what Convoy says to these.

`sites.sh` does the work and explains itself; the tests use the same clusters (tests/testbed).
"""
