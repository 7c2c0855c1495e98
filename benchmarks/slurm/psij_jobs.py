"""What PSI/J is asked to do on a login node: psij_jobs.py JOBS POLLING_SECONDS."""

import sys

from psij import (  # type: ignore[import-not-found] # installed at the site only
    Job,
    JobExecutor,
    JobExecutorConfig,
    JobSpec,
)
from psij.executors.batch.slurm import SlurmExecutorConfig  # type: ignore[import-not-found]


def main() -> None:
    """As many jobs as asked for have ended well; how many is printed."""
    poll_s = int(sys.argv[2])
    config: JobExecutorConfig = SlurmExecutorConfig(queue_polling_interval=poll_s, initial_queue_polling_delay=poll_s)
    executor = JobExecutor.get_instance("slurm", config=config)
    jobs = [Job(JobSpec(executable="/bin/true")) for _ in range(int(sys.argv[1]))]
    for job in jobs:
        executor.submit(job)
    ends = [job.wait() for job in jobs]
    print(sum(end is not None and end.exit_code == 0 for end in ends))


if __name__ == "__main__":
    main()
