"""The shell text that carries out one job: the only place where its words become shell, and are quoted. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from metadata.errors import InvalidJobError, SiteError
from orchestrator.jobs import ExpectedOutput, JobSpec, ProducedFile, StagedLink

_WILD = re.compile(r"([*?]|\[[^\]/]+\])")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

NO_DIRECTORY = 74
"""Exit code (sysexits' EX_IOERR) when the job's directory could not be prepared."""

NO_LIST = 74
"""Exit code of a job whose program ended well and left an output that cannot be read, or no room to list it."""


def render_job(spec: JobSpec, *, outputs_path: PurePosixPath) -> str:
    """A POSIX shell function `convoy_job` that prepares the directory, runs the command and hashes what it left.

    It returns the command's exit code. After success the outputs stand in `outputs_path`, as `parse_outputs` reads
    them. Raises InvalidJobError for a word that no shell can carry.
    """
    lines = [
        "convoy_job() {",
        *(f"  {line}" for line in _preparation(spec)),
        *(f"  {line}" for line in _fresh_start(spec.stage_out, outputs_path)),
        f"  {_command(spec)}",
        "  code=$?",
        *(f"  {line}" for line in _harvest(spec, outputs_path)),
        '  return "$code"',
        "}",
    ]
    text = "\n".join(lines) + "\n"
    if "\0" in text:
        raise InvalidJobError(f"job {spec.token}: a NUL character cannot be passed to a program")
    return text


def _preparation(spec: JobSpec) -> Iterator[str]:
    directory = shlex.quote(str(spec.directory))
    yield f"[ -d {directory} ] || mkdir -p -- {directory} || return {NO_DIRECTORY}"
    yield f"cd -- {directory} || return {NO_DIRECTORY}"
    folders = sorted({str(link.target.parent) for link in spec.stage_in} - {"."})
    if folders:
        yield f"mkdir -p -- {shlex.join(folders)} || return {NO_DIRECTORY}"
    for link in spec.stage_in:
        yield f"{_link(link)} || return {NO_DIRECTORY}"


def _fresh_start(outputs: tuple[ExpectedOutput, ...], outputs_path: PurePosixPath) -> Iterator[str]:
    """A scheduler may start a job again after a crash: what is done is not done twice, what was cut short goes away."""
    if outputs:
        yield f"[ ! -f {shlex.quote(str(outputs_path))} ] || return 0"
        # Outputs are made read-only, so the program could not write them a second time.
        patterns = " ".join(_pattern(output) for output in outputs)
        yield f'for file in {patterns}; do [ ! -f "$file" ] || [ -w "$file" ] || rm -f -- "$file"; done'


def _link(link: StagedLink) -> str:
    # -n and -f: a job that its scheduler starts again finds its old links and must not link inside them.
    return f"ln -snf -- {shlex.quote(str(link.source))} {shlex.quote(str(link.target))}"


def _command(spec: JobSpec) -> str:
    """The program in a shell of its own: its variables end with it, and `exec` takes no word for one of the shell's."""
    if spec.executable.startswith("-"):
        raise InvalidJobError(
            f"job {spec.token}: no program can be named {spec.executable!r}; write ./{spec.executable}"
        )
    stdin = shlex.quote(str(spec.stdin_path)) if spec.stdin_path else "/dev/null"
    out, err = shlex.quote(str(spec.stdout_path)), shlex.quote(str(spec.stderr_path))
    return f"({_variables(spec)}exec {shlex.join(spec.argv)}) <{stdin} >{out} 2>{err}"


def _variables(spec: JobSpec) -> str:
    for name in spec.environment:
        if not _VARIABLE.fullmatch(name):
            raise InvalidJobError(f"job {spec.token}: {name!r} cannot be the name of an environment variable")
    return "".join(f"export {name}={shlex.quote(value)}; " for name, value in spec.environment.items())


def _own_files(spec: JobSpec) -> list[str]:
    """The job's standard output and error, as a pattern in its directory would find them."""
    streams = (spec.stdout_path, spec.stderr_path)
    return [str(path.relative_to(spec.directory)) for path in streams if path.is_relative_to(spec.directory)]


def _harvest(spec: JobSpec, outputs_path: PurePosixPath) -> Iterator[str]:
    if not spec.stage_out:
        return
    manifest = shlex.quote(str(outputs_path))
    yield 'if [ "$code" -eq 0 ]; then {'
    own = "|".join(shlex.quote(path) for path in _own_files(spec))
    for output in spec.stage_out:
        yield f"  for file in {_pattern(output)}; do"
        yield '    [ -f "$file" ] || continue'
        if output.many and own:
            # A pattern means what the program made, not what was written down of it.
            yield f'    case "$file" in {own}) continue;; esac'
        # A link's target is somebody else's file.
        yield '    [ -L "$file" ] || chmod a-w -- "$file"'
        yield f'    printf \'%s\\t%s\\t\' {shlex.quote(output.name)} "$(($(wc -c <"$file")))" &&'
        yield f'      sha256sum -b -- "$file" || code={NO_LIST}'
        yield "  done"
    # The manifest gets its name when it is whole: half of it must never be taken for all of it.
    yield f'}} >{manifest}.part && [ "$code" -eq 0 ] && mv -f -- {manifest}.part {manifest} ||'
    yield f"  {{ code={NO_LIST}; rm -f -- {manifest}.part; }}"
    yield "fi"


def _pattern(output: ExpectedOutput) -> str:
    """The path with everything quoted but its wildcards, and with `./` before a leading dash."""
    path = f"./{output.path}" if output.path.startswith("-") else output.path
    if not output.many:
        return shlex.quote(path)
    return "".join(_wild_or_quoted(part) for part in _WILD.split(path) if part)


def _wild_or_quoted(part: str) -> str:
    if part in ("*", "?"):
        return part
    if not _WILD.fullmatch(part):
        return shlex.quote(part)
    # What stands in a set is quoted too, but for the signs that make it one.
    return "".join(letter if letter in "[]!^-" else shlex.quote(letter) for letter in part)


def parse_outputs(text: str, directory: PurePosixPath) -> tuple[ProducedFile, ...]:
    """The files in a manifest that a job wrote. Raises SiteError when the manifest makes no sense."""
    return tuple(_produced(line, directory) for line in text.split("\n") if line)


def _produced(line: str, directory: PurePosixPath) -> ProducedFile:
    match = re.fullmatch(r"([^\t]+)\t(\d+)\t(\\?)([0-9a-f]{64}) [ *](.+)", line)
    if match is None:
        raise SiteError(f"the job's list of outputs holds a line that cannot be read: {line!r}")
    output, size, escaped, sha256, path = match.groups()
    if escaped:
        # sha256sum marks a name with a line's end or a backslash by a leading backslash, and escapes them.
        path = re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), path)
    return ProducedFile(output=output, path=directory / path, size_bytes=int(size), sha256=sha256)
