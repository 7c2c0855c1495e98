"""Runs jobs as processes of this machine: a small batch system with slots for cores, memory and GPUs."""

from adapters.executors.local.executor import LocalExecutor

ADAPTER = LocalExecutor
