"""Short like jobs that share the jobs of a batch system, so that none of them waits for a start of its own.

A *bundle* is a folder at the site that lists its *members*; its *workers* are ordinary jobs, each of which takes the
next member that nobody has taken, as long as its time lasts. A symbolic link, which only one can make, says who took
a member: so neither a worker too many nor one that its scheduler starts again runs anything twice.
"""

from orchestrator.bundles.executor import BundlingExecutor
from orchestrator.bundles.hosts import find_hosts
from orchestrator.bundles.members import is_member

__all__ = ["BundlingExecutor", "find_hosts", "is_member"]
