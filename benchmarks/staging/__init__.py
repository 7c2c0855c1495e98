"""What it takes to bring data to a site, verified: Convoy beside the tools that people use for it, in one run."""
