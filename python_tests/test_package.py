"""The installed package: typed, light to import, complete."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import wheel_contents

import e4s_engine
from e4s_engine import _native

ROOT = Path(__file__).parents[1]


def test_extension_reports_version_and_features():
    assert _native.__version__ == e4s_engine.__version__ == metadata.version("e4s_engine")
    features = _native.cpu_features()
    assert set(features) >= {"avx2_fma", "avx512", "avx512_bf16", "amx_bf16"}
    assert features["avx2_fma"] or not features["avx512"]


def test_importing_brings_in_nothing_heavy():
    code = "import sys, e4s_engine; print([m for m in ('torch', 'numpy', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_making_an_engine_class_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import e4s_engine\n"
        "from e4s_engine import cli, synth\n"
        "for name in e4s_engine.__all__: getattr(e4s_engine, name)\n"
        "print('torch' in [m for m, v in sys.modules.items() if v is not None])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_swapping_needs_no_torch(tiny_weights):
    """A whole swap runs on the CPU where PyTorch cannot be imported."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import e4s_engine\n"
        "from e4s_engine.testing.portraits import portrait\n"
        "(a, x), (b, y) = portrait(0), portrait(1)\n"
        "engine = e4s_engine.Engine(sys.argv[1])\n"
        "swapped = engine.swap(a, b, ['eyes', 'hair'], source_labels=x, target_labels=y)\n"
        "forced = {'align': False}  # noise is no face\n"
        "parsed = engine.parse(a, **forced), engine.reconstruct(b, **forced)\n"
        "edited = engine.edit(a, b, ['lips'], 0.5, **forced)\n"
        "print(engine.backend, (swapped.image != b).any())"
    )
    command = [sys.executable, "-c", code, str(tiny_weights / "model.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["native", "True"]


def test_functions_are_not_hidden_by_submodules():
    from e4s_engine import engine

    assert callable(e4s_engine.swap)
    assert callable(e4s_engine.convert)
    assert callable(engine.swap)
    assert not (ROOT / "e4s_engine" / "swap.py").exists()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel of this checkout, once."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    assert wheel_contents.problems(wheel) == []


def test_what_a_wheel_lacks_or_has_too_much_of_is_told(wheel, tmp_path):
    """Such wheels as a mistake in pyproject.toml would build."""
    wrong = tmp_path / wheel.name
    about = f"e4s_engine-{e4s_engine.__version__}.dist-info/"
    left_out = ("e4s_engine/kernels/add.py", "e4s_engine/py.typed", f"{about}licenses/LICENSE")
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(wrong, "w") as other:
        for name in set(whole.namelist()) - set(left_out):
            data = whole.read(name)
            if name == f"{about}METADATA":
                data = data.replace(b"Requires-Dist: tqdm", b"Requires-Dist: torch")
            other.writestr(name, data)
        other.writestr("python_tests/test_package.py", "")
        other.writestr("e4s_engine/models/official.pt", bytes(wheel_contents.MOST_MODEL + 1))
    told = "\n".join(wheel_contents.problems(wrong))
    for words in (
        "kernels/add.py is missing", "py.typed is missing", "LICENSE is missing",
        "python_tests/test_package.py does not belong here", "official.pt has",
        "the base install needs",
        f"bytes, {wheel_contents.MOST_BYTES} at most",
    ):  # fmt: skip
        assert words in told, told


@pytest.mark.slow
def test_a_clean_environment_without_torch(wheel, tmp_path):
    """The wheel's base install works outside the checkout: the engine end to end, and the command."""
    venv.create(tmp_path / "clean", with_pip=True)
    scripts = tmp_path / "clean" / "bin"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(program, *arguments):
        command = [scripts / program, *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path, env=clean)

    done = run("python", "-m", "pip", "install", "--quiet", wheel)
    if done.returncode and re.search("No matching distribution|Connection", done.stderr):
        pytest.skip("offline: pip cannot get numpy, pillow, safetensors and tqdm")
    assert done.returncode == 0, done.stderr
    done = run("python", ROOT / "python_tests" / "wheel_check.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "clean")), done.stdout
    done = run("e4s", "info", "--json")
    assert json.loads(done.stdout)["torch"] == "not installed", done.stderr


def test_benchmark_prints_one_json_object(tiny_weights):
    command = [sys.executable, "-m", "benchmarks.swap", "--repeat", "1", "--json"]
    command += ["--variants", "published_fp32", "onepass_fp32", "native_fp32"]
    command += ["--weights", str(tiny_weights / "model.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    last = json.loads(done.stdout.splitlines()[-1])
    assert {"published_s", "onepass_s", "ratio_onepass", "native_fp32_s", "ratio_fp32"} <= set(last)
    assert last["ratio_onepass"] == last["published_s"] / last["onepass_s"]
    for stage in ("encode", "compose", "decode", "blend", "total"):
        assert stage in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not _native.kernels("")[1], reason="this processor multiplies no bf16")
def test_a_swap_takes_less_than_a_gigabyte():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fresh"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert json.loads(done.stdout.splitlines()[-1])["peak_mb_bf16"] < 1000
