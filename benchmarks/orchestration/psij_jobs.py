"""What PSI/J is asked to do; run by the Python of its own environment: psij_jobs.py TASKS."""

import sys

from psij import Job, JobExecutor, JobSpec  # type: ignore[import-not-found] # installed in its own environment only


def main() -> None:
    """As many jobs as asked for have ended well; how many is printed."""
    executor = JobExecutor.get_instance("local")
    jobs = [Job(JobSpec(executable="true")) for _ in range(int(sys.argv[1]))]
    for job in jobs:
        executor.submit(job)
    ends = [job.wait() for job in jobs]
    print(sum(end is not None and end.exit_code == 0 for end in ends))


if __name__ == "__main__":
    main()
