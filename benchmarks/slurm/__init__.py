"""What it costs to have a real SLURM cluster carry out tasks that do nothing: Convoy beside its peers, in one run."""
