"""What a script says in its `#SBATCH` lines."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.schedulers.slurm import SlurmScheduler
from metadata.errors import InvalidJobError
from orchestrator.jobs import JobAttributes, ResourceSpec
from orchestrator.ports import SupportsDirectives

RIMROCK = """\
#!/bin/bash
#SBATCH -J train -A plgcamnet  # who pays
#SBATCH --partition=gpu -N 2 --ntasks-per-node 4
#SBATCH -n8 -c 2 --mem=4G
#SBATCH --time=1-02:30:00
#SBATCH --gres=gpu:2 --constraint="a100&nvlink" --requeue

echo hello
"""


def test_every_line_is_heard_in_the_words_of_jobs() -> None:
    """Known words become resources and attributes, the rest options of the scheduler."""
    wishes = SlurmScheduler().read_directives(RIMROCK)
    assert wishes.name == "train"
    assert wishes.resources == ResourceSpec(
        node_count=2, process_count=8, processes_per_node=4, cpu_cores_per_process=2, memory=4 * 2**30
    )
    assert wishes.attributes == JobAttributes(
        duration=timedelta(days=1, hours=2, minutes=30),
        queue_name="gpu",
        account="plgcamnet",
        custom_attributes={"slurm.gres": "gpu:2", "slurm.constraint": "a100&nvlink", "slurm.requeue": "true"},
    )


def test_slurm_hears_directives() -> None:
    """By the port, and not by its name."""
    assert isinstance(SlurmScheduler(), SupportsDirectives)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("10", timedelta(minutes=10)),
        ("10:30", timedelta(minutes=10, seconds=30)),
        ("1:00:00", timedelta(hours=1)),
        ("2-12", timedelta(days=2, hours=12)),
        ("2-12:30", timedelta(days=2, hours=12, minutes=30)),
    ],
)
def test_times_are_read_as_sbatch_reads_them(text: str, duration: timedelta) -> None:
    """All forms of its manual."""
    assert SlurmScheduler().read_directives(f"#SBATCH --time={text}\n").attributes.duration == duration


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("#!/bin/sh\n#SBATCH --mme=4G\n", "line 2: sbatch has no option --mme.*mem"),
        ("#SBATCH --array=0-9\n", "line 1: --array cannot be set here: hand the script in once"),
        ("#SBATCH -o out.txt\n", "line 1: --output cannot be set here: .*convoy job logs"),
        ("#SBATCH --mem=lots\n", "line 1: --mem=lots: write a size such as 4G"),
        ("#SBATCH --time=soon\n", "line 1: --time=soon: write minutes"),
        ("#SBATCH -N 1-4\n", "line 1: --nodes=1-4: write a number"),
        ("#SBATCH --partition\n", "line 1: --partition needs a value"),
        ("#SBATCH hello\n", "line 1: 'hello' is no option of sbatch"),
        ("#SBATCH --comment='\n", "line 1: .* cannot be read: No closing quotation"),
        ("ls\n#SBATCH --mem=4G\n", "line 2: .* stands below a command"),
    ],
)
def test_what_cannot_be_heard_is_told_with_its_line(script: str, message: str) -> None:
    """Nothing is passed over in silence."""
    with pytest.raises(InvalidJobError, match=message):
        SlurmScheduler().read_directives(script)
