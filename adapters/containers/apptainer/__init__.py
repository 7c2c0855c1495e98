"""Apptainer, or its sister Singularity."""

from adapters.containers.apptainer.runtime import ApptainerRuntime

ADAPTER = ApptainerRuntime
