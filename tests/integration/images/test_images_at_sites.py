"""Images that are made at real sites, by an ordinary user, and brought to others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.containers.apptainer.runtime import ApptainerRuntime
from metadata.errors import SiteError
from orchestrator.operations.images import build_image, import_image, list_images, push_image, verify_image
from orchestrator.registry import open_runner, settings_of
from tests.integration.images.conftest import Centres, docker_archive, make_layer, oci_archive


@pytest.mark.parametrize("made", [docker_archive, oci_archive])
def test_an_archive_becomes_a_sif_at_a_site_and_is_pushed_to_another(
    centres: Centres, busybox: bytes, tmp_path: Path, made: Callable[[Path, bytes], Path]
) -> None:
    """Converted once; at the other site the same bytes, hashed there; nothing else stays behind at the first."""
    archive = made(tmp_path / "tiny.tar", make_layer(busybox))
    with centres.workspace() as workspace:
        image = import_image(workspace, "tiny", archive, at="agh").image
        assert push_image(workspace, "tiny", "lrz").sites == ("agh", "lrz")
        assert [(row.site, row.good) for row in verify_image(workspace, "tiny")] == [("agh", True), ("lrz", True)]
        assert [view.image.digest for view in list_images(workspace)] == [image.digest]
    said = centres.sites["lrz"].execute("sha256sum", f"{centres.workdir}/data/{image.sha256[:2]}/{image.sha256}")
    assert said.split()[0] == image.sha256
    assert list(centres.inside("agh", f"{centres.workdir}/images").iterdir()) == []


def test_a_copy_that_was_changed_at_a_site_is_found_and_mended(
    centres: Centres, busybox: bytes, tmp_path: Path
) -> None:
    """One flipped byte."""
    with centres.workspace() as workspace:
        import_image(workspace, "tiny", docker_archive(tmp_path / "tiny.tar", make_layer(busybox)), at="agh")
        image = push_image(workspace, "tiny", "lrz").image
        path = centres.inside("lrz", f"{centres.workdir}/data/{image.sha256[:2]}/{image.sha256}")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert [(row.site, row.good) for row in verify_image(workspace, "tiny")] == [("agh", True), ("lrz", False)]
        push_image(workspace, "tiny", "lrz")
        assert all(row.good for row in verify_image(workspace, "tiny"))


DEFINITION = """\
Bootstrap: scratch

%files
    root/busybox /bin/busybox
    words.txt /words.txt

%setup
    cd "${APPTAINER_ROOTFS:-$SINGULARITY_ROOTFS}"
    mkdir -p bin etc tmp proc sys dev var/tmp
    touch etc/localtime etc/hosts
    cp /bin/busybox bin/sh

%post
    for name in cat id; do /bin/busybox ln -s busybox /bin/$name; done
    /bin/busybox sh -c 'echo made by $(id -u) >>/words.txt'
"""


def test_a_definition_is_built_at_a_site_by_an_ordinary_user(centres: Centres, busybox: bytes, tmp_path: Path) -> None:
    """What its %files take is carried there; its %post runs as the image's root, who is alice outside."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "busybox").write_bytes(busybox)
    (tmp_path / "root" / "busybox").chmod(0o755)
    (tmp_path / "words.txt").write_text("hello\n")
    definition = tmp_path / "tiny.def"
    definition.write_text(DEFINITION)
    with centres.workspace() as workspace:
        view = build_image(workspace, definition, at="agh", context=tmp_path)
        assert (view.image.name, view.sites) == ("tiny", ("agh",))
        runner = open_runner("agh", workspace.site("agh"))
        sif = f"{centres.workdir}/data/{view.image.sha256[:2]}/{view.image.sha256}"
        answer = runner.run(("apptainer", "--quiet", "exec", sif, "cat", "/words.txt"))
        runner.close()
        assert answer.stdout == "hello\nmade by 0\n"
        definition.write_text(DEFINITION + "    /bin/false-is-not-there\n")
        with pytest.raises(SiteError, match="agh: the image could not be made"):
            build_image(workspace, definition, at="agh", context=tmp_path)
        assert len(list_images(workspace)) == 1


@pytest.mark.parametrize("options", [{}, {"contain": True}])
def test_a_program_sees_its_folder_and_its_data_and_nothing_else(
    centres: Centres, busybox: bytes, tmp_path: Path, options: dict[str, object]
) -> None:
    """Folders of any name, values of any kind; data cannot be changed; the user's home stays outside."""
    value = 'va\'l,ue $(id) "q" `id` \\n\nline 2'
    folder = f'{centres.workdir}/da ta, o\'neil:"x" $(id)'
    directory = f"{centres.workdir}/runs/r/s/0/1"
    with centres.workspace() as workspace:
        image = import_image(workspace, "tiny", docker_archive(tmp_path / "t.tar", make_layer(busybox)), at="agh").image
        site = workspace.site("agh")
        settings = settings_of("agh", site, options)
        runner = open_runner("agh", site)
    prepare = 'mkdir -p "$1" "$2"; echo weird >"$1/f"; cd "$2"; ln -sn "$1/f" link; touch "$3/secret"'
    assert runner.run(("sh", "-c", prepare, "sh", folder, directory, centres.workdir)).exit_code == 0
    runtime = ApptainerRuntime(settings)
    sif = f"{centres.workdir}/data/{image.sha256[:2]}/{image.sha256}"
    script = (
        'cat link; pwd; echo out >out.txt; echo x >>link; test -e "$1/secret" || echo hidden; '
        'ls -A "$1/.."; echo "$A"; echo "$CUDA_VISIBLE_DEVICES$LEAK $SITE_SAYS $MADE_BY"'
    )
    wanted = type(settings.workdir)
    command = runtime.command(
        ("sh", "-c", script, "sh", centres.workdir),
        image=sif, directory=wanted(directory), binds=[wanted(folder)], gpus=1,
    )  # fmt: skip
    variables = runtime.environment({"A": value}, image=sif)
    told = [f"{name}={text}" for name, text in {**variables, "CUDA_VISIBLE_DEVICES": "0,1", "LEAK": "leak"}.items()]
    answer = runner.run(("env", *told, *command))
    runner.close()
    home = centres.workdir.rpartition("/")[2]
    assert answer.stdout == f"weird\n{directory}\nhidden\n{home}\n{value}\n0,1 everywhere the archive\n"
    assert "Read-only file system" in answer.stderr
    assert centres.inside("agh", f"{directory}/out.txt").read_text() == "out\n"
