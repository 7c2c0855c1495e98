"""What it costs to carry out a task that does nothing: Convoy beside its peers, in one run."""
