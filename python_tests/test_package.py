"""What is installed: typed, light to import, complete."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import e4s_engine
from e4s_engine import _native

ROOT = Path(__file__).parents[1]


def test_extension_reports_version_and_features():
    assert _native.__version__ == e4s_engine.__version__ == metadata.version("e4s_engine")
    features = _native.cpu_features()
    assert set(features) >= {"avx2_fma", "avx512", "avx512_bf16", "amx_bf16", "neon"}
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
    """The whole job on the CPU where PyTorch cannot be imported."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import e4s_engine\n"
        "from e4s_engine import bench\n"
        "(a, x), (b, y) = bench.portrait(0), bench.portrait(1)\n"
        "engine = e4s_engine.Engine(sys.argv[1])\n"
        "swapped = engine.swap(a, b, ['eyes', 'hair'], source_labels=x, target_labels=y)\n"
        "parsed = engine.parse(a), engine.reconstruct(b), engine.edit(a, b, ['lips'], 0.5)\n"
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


def test_wheel_holds_the_package_and_nothing_else(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--wheel-dir", str(tmp_path), str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    sources = {str(p.relative_to(ROOT)) for p in (ROOT / "e4s_engine").rglob("*.py")}
    sources |= {f"e4s_engine/kernels/{p.name}" for p in (ROOT / "kernels").glob("*.py")}
    assert sources <= set(names) and "e4s_engine/kernels/regional_conv.py" in sources
    assert "e4s_engine/py.typed" in names
    assert any(name.startswith("e4s_engine/_native") and name.endswith((".so", ".pyd")) for name in names)
    assert not [n for n in names if not n.startswith(("e4s_engine/", f"e4s_engine-{e4s_engine.__version__}"))]


def test_benchmark_prints_one_json_object(tiny_weights):
    command = [sys.executable, "-m", "benchmarks.swap", "--repeat", "1", "--json"]
    command += ["--variants", "published_fp32", "onepass_fp32", "native_fp32"]
    command += ["--weights", str(tiny_weights / "model.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    last = json.loads(done.stdout.splitlines()[-1])
    assert {"published_s", "onepass_s", "ratio_onepass", "native_fp32_s", "ratio_fp32"} <= set(last)
    assert last["ratio_onepass"] == last["published_s"] / last["onepass_s"]
    for stage in ("encode", "styles", "decode", "blend", "total"):
        assert stage in done.stdout
