"""What PSI/J is asked to do, here and on a login node: psij_jobs.py EXECUTOR JOBS [POLLING_SECONDS]."""

import sys

from psij import (  # type: ignore[import-not-found] # installed in its own environment, or at the site, only
    Job,
    JobExecutor,
    JobExecutorConfig,
    JobSpec,
)


def main() -> None:
    """As many jobs as asked for have ended well; how many is printed."""
    name, count, *poll_s = sys.argv[1:]
    executor = JobExecutor.get_instance(name, config=_polling(int(poll_s[0])) if poll_s else None)
    jobs = [Job(JobSpec(executable="/bin/true")) for _ in range(int(count))]
    for job in jobs:
        executor.submit(job)
    ends = [job.wait() for job in jobs]
    print(sum(end is not None and end.exit_code == 0 for end in ends))


def _polling(every_s: int) -> JobExecutorConfig:
    """How often Slurm is asked, from the first question on."""
    from psij.executors.batch.slurm import SlurmExecutorConfig  # type: ignore[import-not-found] # noqa: PLC0415

    return SlurmExecutorConfig(queue_polling_interval=every_s, initial_queue_polling_delay=every_s)


if __name__ == "__main__":
    main()
