"""Packing, compressing, hashing and filtering: what goes in comes out."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usecases.transforms import checksum, compress, convert, filtering, pack, unpack
from usecases.transforms.console import TransformError


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three files, one of them empty, with a name that shells dislike."""
    made = [tmp_path / "in" / name for name in ("b.txt", "a file's $(name)", "empty")]
    made[0].parent.mkdir()
    for path, content in zip(made, (b"b" * 100_000, b"\0\xff", b""), strict=True):
        path.write_bytes(content)
    return made


@pytest.mark.parametrize("compression", pack.COMPRESSIONS)
def test_what_is_packed_is_unpacked_again(tmp_path: Path, files: list[Path], compression: str) -> None:
    """Whatever the order in which the files were named, the archive is the same."""
    order = [*map(str, files)]
    for folder, named in (("one", order), ("two", order[::-1])):
        assert pack.main(["--files", *named, "--compression", compression, "--output-dir", str(tmp_path / folder)]) == 0
        for path in files:
            path.touch()
    archive = tmp_path / "one/packed.tar"
    assert archive.read_bytes() == (tmp_path / "two/packed.tar").read_bytes()
    assert unpack.main(["--archive", str(archive), "--output-dir", str(tmp_path / "out")]) == 0
    assert {p.name: p.read_bytes() for p in (tmp_path / "out/unpacked").iterdir()} == {
        p.name: p.read_bytes() for p in files
    }
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["unpacked"]


def test_two_files_of_one_name_are_refused(tmp_path: Path, files: list[Path], capsys: pytest.CaptureFixture) -> None:
    """One would hide the other."""
    (tmp_path / "b.txt").write_bytes(b"")
    assert pack.main(["--files", str(files[0]), str(tmp_path / "b.txt"), "--output-dir", str(tmp_path / "out")]) == 1
    assert "several files are called b.txt" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "a/../../outside"])
def test_an_archive_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    """Of either kind, and nothing is left behind."""
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        entry = tarfile.TarInfo(name)
        tar.addfile(entry, io.BytesIO())
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as packed:
        packed.writestr(name, b"")
    for archive in ("bad.tar", "bad.zip"):
        with pytest.raises(TransformError, match="would lie outside"):
            unpack.unpack(tmp_path / archive, tmp_path / f"{archive}-out")
        assert unpack.main(["--archive", str(tmp_path / archive), "--output-dir", str(tmp_path / "out")]) == 1
    assert not list((tmp_path / "out").iterdir())


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    """It could point at anything."""
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(TransformError, match="link is a link or a device"):
        unpack.unpack(tmp_path / "bad.tar", tmp_path / "out")


def test_a_cut_archive_is_told(tmp_path: Path, files: list[Path]) -> None:
    """And not unpacked as far as it goes."""
    pack.pack(files, tmp_path / "whole.tar")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "whole.tar").read_bytes()[:50_000])
    assert unpack.main(["--archive", str(tmp_path / "cut.tar"), "--output-dir", str(tmp_path / "out")]) == 1
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("method", compress.METHODS)
@given(content=st.binary(max_size=2000))
def test_what_is_compressed_is_expanded_again(
    tmp_path_factory: pytest.TempPathFactory, method: str, content: bytes
) -> None:
    """And twice gives the same bytes."""
    folder = tmp_path_factory.mktemp("compress")
    (folder / "in").write_bytes(content)
    compress.compress(folder / "in", folder / "one", method=method)
    compress.compress(folder / "in", folder / "two", method=method)
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()
    compress.expand(folder / "one", folder / "out")
    assert (folder / "out").read_bytes() == content


def test_names_tell_how_a_file_is_compressed(tmp_path: Path, files: list[Path]) -> None:
    """And what it was called before."""
    for method, suffix in compress.SUFFIXES.items():
        folder = tmp_path / method
        assert compress.main(["--file", str(files[0]), "--method", method, "--output-dir", str(folder)]) == 0
        made = folder / f"compressed/b.txt{suffix}"
        assert compress.main(["--undo", "--file", str(made), "--output-dir", str(folder)]) == 0
        assert (folder / "expanded/b.txt").read_bytes() == files[0].read_bytes()


def test_folders_of_an_archive_become_part_of_names(tmp_path: Path) -> None:
    """Where two names would become one, nothing is lost: it is refused."""
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as packed:
        packed.writestr("a/b.txt", b"1")
        packed.writestr("./c.txt", b"2")
    unpack.unpack(tmp_path / "in.zip", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a__b.txt", "c.txt"]
    with zipfile.ZipFile(tmp_path / "in.zip", "a") as packed:
        packed.writestr("a__b.txt", b"3")
    with pytest.raises(TransformError, match=r"holds a__b\.txt twice"):
        unpack.unpack(tmp_path / "in.zip", tmp_path / "again")


@pytest.mark.parametrize("method", compress.METHODS)
def test_a_broken_file_is_told(tmp_path: Path, method: str, capsys: pytest.CaptureFixture) -> None:
    """Cut short, or never compressed."""
    (tmp_path / "in").write_bytes(bytes(range(256)) * 400)
    compress.compress(tmp_path / "in", tmp_path / "whole", method=method)
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-9])
    assert compress.main(["--undo", "--file", str(tmp_path / "cut"), "--output-dir", str(tmp_path / "out")]) == 1
    assert "it is broken" in capsys.readouterr().err
    assert compress.main(["--undo", "--file", str(tmp_path / "in"), "--output-dir", str(tmp_path / "out")]) == 1
    assert "it is not compressed by" in capsys.readouterr().err
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_sha256sum_agrees_with_the_list(tmp_path: Path, files: list[Path]) -> None:
    """The field's own tool reads the list."""
    assert checksum.main(["--files", *map(str, files), "--output-dir", str(tmp_path / "in")]) == 0
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path / "in", check=True)


def test_only_what_fits_goes_on(tmp_path: Path, files: list[Path], capsys: pytest.CaptureFixture) -> None:
    """Conditions are met together; none that fits is an error."""
    named = ["--files", *map(str, files), "--output-dir", str(tmp_path / "out")]
    assert filtering.main([*named, "--name", "*e*", "--least-bytes", "1"]) == 0
    assert [p.name for p in (tmp_path / "out/kept").iterdir()] == [files[1].name]
    assert filtering.main([*named, "--name", "*.svs"]) == 1
    assert "none of 3 files fits" in capsys.readouterr().err


def test_a_picture_keeps_its_pixels_and_loses_its_notes(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """PNG and TIFF are lossless."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    notes = PngInfo()
    notes.add_text("Author", "Jane Doe")
    picture = Image.effect_noise((40, 30), 50)
    picture.save(tmp_path / "in.png", pnginfo=notes)
    for name in ("png", "tiff"):
        assert (
            convert.main(["--picture", str(tmp_path / "in.png"), "--format", name, "--output-dir", str(tmp_path)]) == 0
        )
        converted = tmp_path / f"converted/in.{name}"
        assert b"Jane" not in converted.read_bytes()
        with Image.open(converted) as made:
            assert made.format == name.upper()
            assert made.tobytes() == picture.tobytes()
    (tmp_path / "text").write_text("no picture")
    assert convert.main(["--picture", str(tmp_path / "text"), "--output-dir", str(tmp_path)]) == 1
    assert "no picture that can be read" in capsys.readouterr().err
