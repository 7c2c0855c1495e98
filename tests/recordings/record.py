"""Asks a real Slurm the scheduler adapter's questions and keeps the answers.

    python tests/recordings/record.py slurm-24.11 ssh -F CONFIG agh
    python tests/recordings/record.py slurm-22.05 '--root=ssh root@old' ssh old

The words after the folder reach a shell at the site; the account must be allowed to submit. With a root's shell it
does to a cluster of your own what only root can. Without any words, old answers are read again. A new recording holds
what the parsers made of it as `expected`: read it, it is a claim. The folder's README says what was set up before.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from adapters.schedulers.pbs import PbsScheduler
from adapters.schedulers.slurm import SlurmScheduler
from metadata.errors import MiddlewareError, TransientError
from orchestrator.jobs import JobAttributes, JobSpec, NativeId, ResourceSpec, Token
from orchestrator.ports import Argv, CommandResult

HERE = Path(__file__).parent
DEADLINE_S = 180.0
HOUR = timedelta(hours=1)
OLD = (22, 5)
"""Of that version and older ones only squeue is asked for JSON."""
UNKNOWN = NativeId("999999")


class Site:
    """A shell at a site, and a folder in the home directory there."""

    def __init__(self, shell: list[str]) -> None:
        self.shell = shell
        self.home = PurePosixPath(self.ask(("pwd",)).stdout.strip())
        self.folder = self.home / f"rec{int(time.time())}"

    def ask(self, argv: Argv, *, stdin: str = "") -> CommandResult:
        answer = subprocess.run(
            [*self.shell, shlex.join(argv)], input=stdin, capture_output=True, text=True, check=False
        )
        return CommandResult(argv=argv, exit_code=answer.returncode, stdout=answer.stdout, stderr=answer.stderr)

    def put(self, name: str, text: str) -> PurePosixPath:
        path = self.folder / name
        self.ask(("sh", "-c", 'mkdir -p "$1" && cat >"$2"', "sh", str(self.folder), str(path)), stdin=text)
        return path

    def job(self, token: str, command: str, *, resources: ResourceSpec | None = None, **attributes: str) -> JobSpec:
        directory = self.folder / token.replace("/", "_")
        limit = timedelta(seconds=float(attributes.pop("limit_s", "120")))
        custom = {f"slurm.{name}": value for name, value in attributes.items()}
        return JobSpec(
            token=Token(token),
            executable="/bin/sh",
            arguments=("-c", command),
            directory=directory,
            stdout_path=directory / "stdout",
            stderr_path=directory / "stderr",
            resources=resources or ResourceSpec(memory=64 << 20),
            attributes=JobAttributes(duration=limit, custom_attributes=custom),
        )


class Recorder:
    """Writes what a site answered into a folder of recordings."""

    def __init__(self, folder: str, site: Site) -> None:
        self.folder = HERE / folder
        self.folder.mkdir(exist_ok=True)
        self.site = site
        version = site.ask(("sbatch", "--version"))
        self.scheduler = SlurmScheduler().for_version(version)
        assert isinstance(self.scheduler, SlurmScheduler)
        self.save("version", version, reader="for_version")

    def save(self, name: str, result: CommandResult, *, reader: str, json_tools: list[str] | None = None) -> Any:
        scheduler = self.speaking(json_tools)
        answer = read(scheduler, reader, result)
        case = {
            "reader": reader,
            "json": json_tools,
            "argv": list(result.argv),
            "exit_code": result.exit_code,
            "stderr": result.stderr,
            "expected": answer,
        }
        (self.folder / f"{name}.json").write_text(json.dumps(case, indent=1, sort_keys=True) + "\n")
        (self.folder / f"{name}.out").write_text(result.stdout)
        return answer

    def speaking(self, json_tools: list[str] | None) -> SlurmScheduler:
        tools = self.scheduler.json if json_tools is None else frozenset(json_tools)
        return SlurmScheduler(version=self.scheduler.version, json=tools)

    def submit(self, spec: JobSpec, *, count: int = 1, throttle: int | None = None, save_as: str = "") -> NativeId:
        specs = (
            [spec] if count == 1 else [self.site.job(f"{spec.token}.{n}.1", spec.arguments[1]) for n in range(count)]
        )
        render = self.scheduler.render_array if count > 1 else None
        receipts = self.site.folder / "receipts"
        text = (
            render(specs, receipts=receipts, throttle=throttle)
            if render
            else self.scheduler.render_script(spec, receipts=receipts)
        )
        result = self.site.ask(self.scheduler.submit_command(self.site.put(f"{spec.token.replace('/', '_')}.sh", text)))
        if save_as:
            self.save(save_as, result, reader="parse_submit")
        return NativeId("") if result.exit_code else self.scheduler.parse_submit(result)

    def until(self, condition: Callable[[dict[str, str]], bool], ids: list[NativeId]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            states = {
                i: s.native_state
                for i, s in self.scheduler.parse_status(self.site.ask(self.scheduler.status_command(ids))).items()
            }
            if condition(states):
                return
            time.sleep(0.3)
        raise TimeoutError(f"jobs stand at {states}")


def read(scheduler: Any, reader: str, result: CommandResult) -> Any:
    """What a parser makes of an answer, ready for JSON; an error as its class and its message."""
    try:
        answer = getattr(scheduler, reader)(result)
    except MiddlewareError as error:
        retry = {"retry_after_s": error.retry_after_s} if isinstance(error, TransientError) else {}
        return {"error": type(error).__name__, "message": error.message, **retry}
    if reader == "for_version":
        answer = answer.version
    if isinstance(answer, dict):
        answer = {
            key: asdict(value) if hasattr(value, "__dataclass_fields__") else value for key, value in answer.items()
        }
    return json.loads(
        json.dumps(answer, default=lambda value: value.total_seconds() if isinstance(value, timedelta) else str(value))
    )


def record_submissions(recorder: Recorder) -> None:
    site = recorder.site
    for name, words in {
        "partition": ("-p", "nope"),
        "gres": ("--gres=tpu:1",),
        "too-many-gpus": ("--gres=gpu:99",),
        "account": ("-A", "nope"),
        "memory": ("--mem=900G",),
        "array": ("--array=0-99999",),
        "option": ("--wibble",),
        "no-script": ("/nowhere/at-all.sh",),
        "no-interpreter": (str(site.put("text.txt", "hello\n")),),
    }.items():
        script = () if words[0].startswith("/") else ("--wrap=true",)
        result = site.ask(("sbatch", "--parsable", *words, *script))
        if result.exit_code:  # a site that keeps no accounts takes any name for one
            recorder.save(f"refused-{name}", result, reader="parse_submit")
    record_silence(recorder)


def record_silence(recorder: Recorder) -> None:
    """No controller at the port, and one that takes the call and says nothing."""
    site, scheduler = recorder.site, recorder.scheduler
    settings = "cat /etc/slurm/slurm.conf; echo; echo SlurmctldPort=6999; echo MessageTimeout=2"
    conf = site.put("dead.conf", site.ask(("sh", "-c", settings)).stdout)
    deaf = 'import socket,time; s=socket.create_server((\\"\\",6999)); time.sleep(9)'
    silent = f'python3 -c "{deaf}" & sleep 1; SLURM_CONF=$0 sbatch --parsable --wrap true; c=$?; wait; exit $c'
    elsewhere = ("env", f"SLURM_CONF={conf}")
    for name, reader, argv in (
        ("refused-unreachable", "parse_submit", (*elsewhere, "sbatch", "--parsable", "--wrap=true")),
        ("refused-timed-out", "parse_submit", ("sh", "-c", silent, str(conf))),
        ("partitions-unreachable", "parse_partitions", (*elsewhere, *scheduler.partitions_command())),
        ("status-unreachable", "parse_status", (*elsewhere, *scheduler.status_command([NativeId("1")]))),
        ("cancel-unreachable", "parse_cancel", (*elsewhere, "scancel", "1")),
    ):
        recorder.save(name, site.ask(argv), reader=reader)


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """What was submitted to be asked about."""

    named: dict[str, NativeId]
    array: NativeId

    @property
    def ids(self) -> list[NativeId]:
        return [*self.named.values(), self.array]


def record_jobs(recorder: Recorder) -> None:
    jobs = submit_jobs(recorder)
    recorder.until(
        lambda states: states.get(f"{jobs.array}_1") == "FAILED" and states.get(jobs.named["cancelled"]) == "RUNNING",
        jobs.ids,
    )
    record_running(recorder, jobs)
    recorder.until(
        lambda states: states.get(jobs.named["timeout"]) == "TIMEOUT" and states.get(f"{jobs.array}_6") == "COMPLETED",
        jobs.ids,
    )
    record_ended(recorder, jobs)
    recorder.site.ask(recorder.scheduler.cancel_command([jobs.named["held"], jobs.named["dependent"]]))


def submit_jobs(recorder: Recorder) -> Jobs:
    """One for each end that a job may come to, and an array whose odd elements fail."""
    job, submit = recorder.site.job, recorder.submit
    burn = "python3 -c 'import time; x = bytearray(80 << 20); t = time.time()\nwhile time.time() - t < 4: pass'"
    burning = ResourceSpec(cpu_cores_per_process=2, memory=200 << 20)
    ids = {
        "ok": submit(job("r.ok.0.1", "echo done"), save_as="submit-accepted"),
        "exit": submit(job("r.exit.0.1", "exit 3")),
        "killed": submit(job("r.killed.0.1", "kill -9 $$")),
        "burn": submit(job("r.burn.0.1", burn, resources=burning)),
        "timeout": submit(job("r.timeout.0.1", "sleep 200", limit_s="60")),
        "cancelled": submit(job("r.cancelled.0.1", "sleep 200")),
        "waiting": submit(job("r.waiting.0.1", "true", begin="now+1000")),
        "held": submit(job("r.held.0.1", "true", hold="")),
        "odd": submit(job("r/odd name|,[x]é\n'\"$(id).1", "echo odd")),
    }
    ids["dependent"] = submit(job("r.dependent.0.1", "true", dependency=f"afterok:{ids['exit']}"))
    element = job("r.array", "sleep 2; exit $(($SLURM_ARRAY_TASK_ID % 2))")
    return Jobs(named=ids, array=submit(element, count=8, throttle=2, save_as="submit-array"))


def shapes_of(scheduler: SlurmScheduler) -> dict[str, list[str]]:
    """The programs that are asked for JSON, by the name of the recording."""
    tools = ["squeue", "scontrol", "sacct", "accounting"] if scheduler.version > OLD else ["squeue"]
    return {"text": [], "json": tools}


def record_running(recorder: Recorder, jobs: Jobs) -> None:
    site, scheduler = recorder.site, recorder.scheduler
    for shape, tools in shapes_of(scheduler).items():
        speaking = recorder.speaking(tools)
        status = site.ask(speaking.status_command(jobs.ids))
        recorder.save(f"status-{shape}", status, reader="parse_status", json_tools=tools)
        questions = speaking.follow_up_commands([NativeId(f"{jobs.array}_3")])
        for question in questions[: 2 if shape == "text" or scheduler.version > OLD else 0]:
            name = f"{tool_of(question)}-array-{shape}"
            recorder.save(name, site.ask(question), reader="parse_status", json_tools=tools)
    queue, _ = scheduler.search_commands(since=HOUR)
    recorder.save("search-queue", site.ask(queue), reader="parse_search")
    some = [jobs.named["cancelled"], jobs.named["waiting"], NativeId(f"{jobs.array}_7"), UNKNOWN]
    recorder.save("cancel", site.ask(scheduler.cancel_command(some)), reader="parse_cancel")
    recorder.save("cancel-ended", site.ask(scheduler.cancel_command([jobs.named["ok"]])), reader="parse_cancel")


def record_ended(recorder: Recorder, jobs: Jobs) -> None:
    site, scheduler = recorder.site, recorder.scheduler
    for shape, tools in shapes_of(scheduler).items():
        speaking = recorder.speaking(tools)
        questions = {f"ended-{shape}": ("parse_status", speaking.status_command(jobs.ids))}
        if shape == "text" or scheduler.version > OLD:
            questions[f"ended-sacct-{shape}"] = ("parse_status", speaking.follow_up_commands(jobs.ids)[-1])
            questions[f"usage-{shape}"] = ("parse_accounting", speaking.accounting_command(jobs.ids))
        for name, (reader, question) in questions.items():
            recorder.save(name, site.ask(question), reader=reader, json_tools=tools)
    _, ledger = scheduler.search_commands(since=HOUR)
    recorder.save("search-ledger", site.ask(ledger), reader="parse_search")
    recorder.save("status-unknown-job", site.ask(scheduler.status_command([UNKNOWN])), reader="parse_status")
    for question in scheduler.follow_up_commands([UNKNOWN]):
        recorder.save(f"{tool_of(question)}-unknown-job", site.ask(question), reader="parse_status")


def tool_of(question: Argv) -> str:
    return next(word for word in question if word in {"scontrol", "sacct"})


def record_partitions(recorder: Recorder) -> None:
    """What any user may ask at any time."""
    scheduler = recorder.scheduler
    recorder.save("partitions", recorder.site.ask(scheduler.partitions_command()), reader="parse_partitions")


def record_with_root(recorder: Recorder, root: Site, user: str) -> None:
    """What takes an administrator: limits, suspension, a lost node, a cluster without accounts."""
    record_limit(recorder, root, user)
    ids = record_interventions(recorder, root)
    record_lost_node(recorder, root, ids)
    recorder.site.ask(recorder.scheduler.cancel_command(list(ids.values())))
    record_without_accounts(recorder, list(ids.values()))


def record_limit(recorder: Recorder, root: Site, user: str) -> None:
    limit = ("sacctmgr", "-i", "modify", "user", user, "set")
    root.ask((*limit, "MaxSubmitJobs=2"))
    refused = recorder.site.ask(("sbatch", "--parsable", "--array=0-9", "--wrap=true"))
    recorder.save("refused-full-queue", refused, reader="parse_submit")
    root.ask((*limit, "MaxSubmitJobs=-1"))


def record_interventions(recorder: Recorder, root: Site) -> dict[str, NativeId]:
    words: dict[str, dict[str, str]] = {
        "suspended": {},
        "requeued": {"requeue": ""},
        "held-again": {"requeue": ""},
        "lost": {"no-requeue": ""},
        "late": {"begin": "now+3", "deadline": "now+70", "limit_s": "60"},
    }
    job = recorder.site.job
    ids = {name: recorder.submit(job(f"r.{name}.0.1", "sleep 120", **more)) for name, more in words.items()}
    everything = list(ids.values())
    begun = ("suspended", "requeued", "held-again")
    recorder.until(lambda states: all(states.get(ids[name]) == "RUNNING" for name in begun), everything)
    root.ask(("scontrol", "suspend", ids["suspended"]))
    root.ask(("scontrol", "requeue", ids["requeued"]))
    root.ask(("scontrol", "requeuehold", "State=SpecialExit", ids["held-again"]))
    time.sleep(1)
    status = recorder.site.ask(recorder.scheduler.status_command(everything))
    recorder.save("status-administered", status, reader="parse_status")
    return ids


def record_lost_node(recorder: Recorder, root: Site, ids: dict[str, NativeId]) -> None:
    site, everything = recorder.site, list(ids.values())
    node = site.ask(("squeue", "-h", "-j", ids["suspended"], "-o", "%N")).stdout.strip()
    root.ask(("scontrol", "update", f"nodename={node}", "state=down", "reason=recording"))
    time.sleep(1)
    for name, question in {
        "queue": recorder.scheduler.status_command(everything),
        "sacct": recorder.scheduler.follow_up_commands(everything)[-1],
    }.items():
        recorder.save(f"node-down-{name}", site.ask(question), reader="parse_status")
    root.ask(("scontrol", "update", f"nodename={node}", "state=resume"))


def record_without_accounts(recorder: Recorder, ids: list[NativeId]) -> None:
    expression = "s/^AccountingStorageType=.*/AccountingStorageType=accounting_storage\\/none/"
    text = recorder.site.ask(("sed", expression, "/etc/slurm/slurm.conf")).stdout
    conf = recorder.site.put("no-accounts.conf", text)
    for reader, question in {
        "parse_status": recorder.scheduler.follow_up_commands(ids)[-1],
        "parse_accounting": recorder.scheduler.accounting_command(ids),
    }.items():
        answer = recorder.site.ask(("env", f"SLURM_CONF={conf}", *question))
        recorder.save(f"no-accounts-{reader}", answer, reader=reader)


def read_again(folder: Path) -> None:
    """Old answers, read by today's parsers. What changes shows in the diff."""
    for path in sorted(folder.glob("*.json")):
        case = json.loads(path.read_text())
        case["expected"] = read(scheduler_of(folder.name, case), case["reader"], result_of(path, case))
        path.write_text(json.dumps(case, indent=1, sort_keys=True) + "\n")


def scheduler_of(folder: str, case: dict[str, Any]) -> Any:
    """The adapter that a recording was made with; a Slurm folder is named for its version."""
    name, _, version = folder.partition("-")
    if name == "pbs":
        return PbsScheduler()
    tools = None if case.get("json") is None else frozenset(case["json"])
    year, month = version.split(".")
    return SlurmScheduler(version=(int(year), int(month)), json=tools)


def result_of(path: Path, case: dict[str, Any]) -> CommandResult:
    """The recorded answer."""
    stdout = path.with_suffix(".out").read_text()
    return CommandResult(argv=tuple(case["argv"]), exit_code=case["exit_code"], stdout=stdout, stderr=case["stderr"])


def main() -> None:
    folder, *words = sys.argv[1:]
    if not words:
        read_again(HERE / folder)
        return
    root = words.pop(0).removeprefix("--root=") if words[0].startswith("--root=") else ""
    recorder = Recorder(folder, Site(words))
    if root:
        user = recorder.site.ask(("id", "-un")).stdout.strip()
        record_with_root(recorder, Site(shlex.split(root)), user)
        return
    record_partitions(recorder)
    record_submissions(recorder)
    record_jobs(recorder)


if __name__ == "__main__":
    main()
