"""Languages of batch schedulers: command text out, parsed answers in. Pure."""
