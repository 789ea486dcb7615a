"""The archive of compiled kernels: written ahead of time, read where it lies beside the package."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import interpreted  # noqa: F401
import pytest

from e4s_engine.backends.cuda import ahead, archive, workers
from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.errors import BackendError
from e4s_engine.kernels.launch import Launch
from e4s_engine.networks import registry


def entry(launch: Launch, arch: int, name: str) -> archive.Entry:
    """Return an entry as `compile.build` makes it, with a cubin of its own."""
    cubin = f"cubin {name}".encode() * 99
    manifest: dict[str, Any] = dict.fromkeys(("shared", "spills", "registers"), 0) | {
        "key": name, "kernel": launch.kernel, "arch": arch, "entry": "main", "warps": 4, "scratch": 2,
        "stages": 1, "constants": launch.constants, "cubin": hashlib.sha256(cubin).hexdigest()[:40],
    }  # fmt: skip
    return manifest, cubin


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write an archive by the command, with a compiler that makes up its cubins."""

    def warm(launches: Any, arch: int, jobs: int) -> Iterator[dict[str, Any]]:
        yield from (compiling.get(launch, arch)[0] for launch in launches)

    monkeypatch.setenv("E4S_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(compiling, "build", entry)
    monkeypatch.setattr(workers, "warm", warm)
    command = ["--arch", "80", "90", "--batches", "1", "8", "--out", str(tmp_path / "kernels.zip")]
    assert ahead.main([*command, "--networks", "rgi", "--only", "regional_conv"]) == 0
    return tmp_path / "kernels.zip"


def test_kernels_come_from_the_archive(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [one for one in ahead.launches("bf16", 90, 8) if one.kernel.startswith("regional_conv")]
    monkeypatch.setenv("E4S_CACHE", str(tmp_path / "empty"))
    monkeypatch.setattr(compiling.language, "triton", None)
    monkeypatch.setattr(compiling, "build", None)
    assert not compiling.has_kernels(90) and compiling.find(listed[0], 90) is None
    monkeypatch.setattr(archive, "SHIPPED", written)
    assert archive.architectures() == (80, 90) and compiling.has_kernels(80) and not compiling.has_kernels(86)
    for launch in listed:
        manifest, cubin = compiling.get(launch, 90)
        assert (manifest["entry"], manifest["kernel"]) == ("main", launch.kernel)
        assert cubin == entry(launch, 90, compiling.key(launch, 90))[1]
    assert archive.find("unknown", 90) is None and archive.find(compiling.key(listed[0], 90), 86) is None
    assert not (tmp_path / "empty").exists()


def test_whichever_triton_is_installed_what_ships_is_taken(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [one for one in ahead.launches("bf16", 90) if one.kernel.startswith("regional_conv")]
    monkeypatch.setattr(archive, "SHIPPED", written)
    monkeypatch.setattr(compiling.language, "VERSION", "9.9")
    monkeypatch.setenv("E4S_CACHE", str(tmp_path / "empty"))
    workers.ready(listed, 90)
    assert compiling.get(listed[0], 90)[0]["entry"] == "main" and not (tmp_path / "empty").exists()
    with pytest.raises(BackendError, match=r"--out: kernels that ship are compiled by Triton 3\.6.*not 9\.9"):
        ahead.main(["--out", str(tmp_path / "other.zip")])


def test_a_damaged_archive_is_said(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = written.read_bytes()
    with zipfile.ZipFile(written) as file:
        start = file.getinfo("sm_90.cubins").header_offset + 100
    for name, damaged in (("cut", whole[:-40]), ("bits", whole[:start] + bytes(20) + whole[start + 20 :])):
        path = tmp_path / f"{name}.zip"
        path.write_bytes(damaged)
        monkeypatch.setattr(archive, "SHIPPED", path)
        with pytest.raises(BackendError, match=rf"{name}.zip is damaged .*; install the package again"):
            archive.find("key", 90)


def test_default_tiles_that_spill_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A measured tile may spill: it was the fastest. A default one may not."""

    def build(launch: Launch, arch: int, name: str) -> archive.Entry:
        manifest, cubin = entry(launch, arch, name)
        return manifest | {"spills": 8 if launch.problem else 0}, cubin

    monkeypatch.setenv("E4S_CACHE", str(tmp_path))
    monkeypatch.setattr(compiling, "build", build)
    command = ["--batches", "1", "--jobs", "1", "--networks", "rgi", "--only", "patches", "--arch"]
    assert ahead.main([*command, "90"]) == 0 and ahead.main([*command, "80"]) == 1
    assert "8 spilled" in capsys.readouterr().out


def test_the_networks_around_the_swap_are_compiled_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the names of their networks, one picture at a time, in the precisions that an engine chooses."""
    assert {*ahead.KINDS, "retinaface"} == set(registry.NETWORKS)
    monkeypatch.setenv("E4S_CACHE", str(tmp_path))
    monkeypatch.setattr(compiling, "build", entry)
    command = ["--jobs", "1", "--json", "--networks", "recolor", "inpaint", "facevid2vid"]
    assert ahead.main(command) == 0
    compiled = {json.loads(line)["key"] for line in capsys.readouterr().out.splitlines()}
    configs = ahead.named(ahead.AROUND, ["recolor", "inpaint", "facevid2vid"])
    programs = list(ahead.programs("bf16", 90, 1, configs))
    assert compiled == {compiling.key(one, 90) for program in programs for one in program.launches}
    assert {program.plan.precision for program in programs} == {"bf16", "fp32"}
    enlarging = ahead.programs("bf16", 90, 1, ahead.named(ahead.AROUND, ["rrdbnet"]))
    assert {program.plan.precision for program in enlarging} == {"fp16"}
    with pytest.raises(SystemExit):
        ahead.main(["--networks", "retinaface"])
