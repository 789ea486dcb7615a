"""`e4s batch`: folders, lists, failures and retries; the same on a Ray cluster whose workers may die."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from e4s_engine.cli import cluster, results
from e4s_engine.cli.jobs import Job
from e4s_engine.cli.targets import Target
from e4s_engine.errors import DeviceMemoryError
from e4s_engine.photo import images

HOW = ("--regions", "eyes,nose", "--landmarks", "none", "--align", "no", "--device", "cpu")

# A landmark model that ends its process at pictures with a red corner until there is a file `spared`, which
# it makes itself unless there is a file `always`.
KILLER = """
import os, signal
from pathlib import Path

def find(image):
    spared = Path(__file__).with_name("spared")
    if image[0, 0].tolist() == [255, 0, 0] and not spared.exists():
        if not spared.with_name("always").exists():
            spared.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    scale = len(image) / 96
    return [[[scale * x, scale * y] for x, y in [(38, 40), (58, 40), (48, 52), (40, 62), (56, 62)]]]
"""


@pytest.fixture
def photos(here):
    """Make a folder of photos, one of them broken."""
    folder = here / "photos"
    folder.mkdir()
    for name in ("b.png", "c.png", "bad.png"):
        (folder / name).write_bytes((here / name).read_bytes())
    images.write(images.read("a.png"), folder / "d.jpg")
    return folder


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_gives_the_bytes_of_swap(e4s, here, photos):
    code, out, _ = e4s("swap", "a.png", "photos", "-o", "plain", *HOW)
    assert code == 1 and "3 of 4" in out
    code, out, err = e4s("batch", "a.png", "photos", "-o", "out", "--failures", "f.csv", *HOW)
    assert code == 1 and out == "3 of 4 photos written to out, 1 failed\n"
    assert "e4s: error: photos/bad.png: is truncated" in err and err.count("e4s: hint: ") == 1
    assert files(here / "out") == files(here / "plain") and len(files(here / "out")) == 3
    (row,) = csv.DictReader(Path("f.csv").read_text().splitlines())
    assert row["target"] == "photos/bad.png" and row["error"].startswith(
        "target: photos/bad.png is truncated"
    )


def test_a_list_names_sources_regions_and_results(e4s, here, photos):
    lines = [
        "source,target,regions,name",
        "a.png,b.png,eyes,x/one",
        'a.png,c.png,"nose,lips",',
        "c.png,b.png,,last",
    ]
    Path("list.csv").write_text("\n".join(lines))
    how = HOW[2:]
    code, _, err = e4s("batch", "--list", "list.csv", "-o", "out", *how)
    assert (code, err) == (0, "")
    assert set(files(here / "out")) == {"x/one.png", "00001.png", "last.png"}
    for name, source, target, regions in (
        ("x/one", "a", "b", ("--regions", "eyes")),
        ("00001", "a", "c", ("--regions", "nose,lips")),
        ("last", "c", "b", ()),
    ):
        assert (
            e4s("swap", f"{source}.png", f"{target}.png", "-o", "one.png", "--overwrite", *regions, *how)[0]
            == 0
        )
        assert Path("one.png").read_bytes() == (here / "out" / f"{name}.png").read_bytes()


def test_a_batch_goes_on_where_it_stopped(e4s, here, photos):
    assert e4s("batch", "a.png", "b.png", "c.png", "-o", "out/", *HOW)[0] == 0
    before = files(here / "out")
    (here / "out" / "c.png").unlink()
    code, out, _ = e4s("batch", "a.png", "b.png", "c.png", "-o", "out/", "--skip-existing", *HOW)
    assert code == 0 and "1 of 2 photos written to out/, 1 kept, as they exist" in out
    assert files(here / "out") == before


@pytest.mark.parametrize(("retries", "code"), [(2, 0), (0, 1)])
def test_what_may_yet_succeed_is_tried_again(e4s, here, photos, monkeypatch, retries, code):
    plain, tries = results.write, []

    def short_of_memory_twice(arguments, result, path):
        tries.append(path)
        if len(tries) in (1, 3):
            raise DeviceMemoryError("device: too little memory")
        plain(arguments, result, path)

    monkeypatch.setattr(results, "write", short_of_memory_twice)
    done = e4s("batch", "a.png", "b.png", "c.png", "-o", "out/", "--retries", retries, *HOW)
    assert done[0] == code
    assert set(files(here / "out")) == ({"b.png", "c.png"} if code == 0 else {"c.png"})
    assert ("b.png: --device: too little memory" in done[2]) == (code == 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "SOURCE: give either SOURCE and TARGETs, or --list"),
        (["a.png", "b.png", "--list", "l.csv"], "SOURCE: give either"),
        (["a.png"], "TARGET: expected photos"),
        (["--list", "missing.csv"], "--list: cannot read missing.csv"),
        (["--list", "l.csv"], "--list: the name '../x' leads out of the folder"),
        (["a.png", "b.png", "c.png", "--failures", "f.txt"], "--failures: expected a name that ends in .csv"),
    ],
)
def test_wrong_usage(fails, here, arguments, words):
    Path("l.csv").write_text("source,target,name\na.png,b.png,../x\n")
    assert words in fails("batch", *arguments, "-o", "out", code=2)


def test_the_file_of_failures_is_checked_before_any_work(fails, here):
    command = ("batch", "a.png", "b.png", "c.png", "-o", "out", "--failures")
    assert "--failures: the folder" in fails(*command, "no/f.csv", code=1)
    Path("f.csv").touch()
    assert "--failures: f.csv exists already" in fails(*command, "f.csv", code=1)
    assert not list((here / "out").iterdir())


def test_without_ray_the_extra_is_named(fails, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "--ray: Ray is missing; pip install 'e4s_engine[ray]'" in fails(
        "batch", "a.png", "b.png", "c.png", "-o", "out", "--ray"
    )


def test_jobs_go_in_shards_of_one_source():
    names = "aaaaabba"
    photo, clip = Target(Path(), Path(), Path()), Target(Path(), Path(), Path(), clip=True)
    todo = [Job(number, name, None, photo) for number, name in enumerate(names)]
    shards = [[job.number for job in shard] for shard in cluster._shards(todo, 3)]
    assert shards == [[0, 1, 2], [3, 4], [5, 6], [7]]
    alone = cluster._shards([Job(number, "a", None, clip) for number in range(2)], 3)
    assert [[job.number for job in shard] for shard in alone] == [[0], [1]]
    waiting = iter(todo)
    lost = [outcome.job.number for outcome in cluster._lost(waiting, todo[2])]
    assert lost == [0, 1] and next(waiting) is todo[3]
    assert [o.job.number for o in cluster._lost(waiting, None)] == [4, 5, 6, 7]


@pytest.mark.slow
class TestRay:
    """On a cluster of two workers on this machine, in a process of its own: some ten seconds each."""

    @pytest.fixture(autouse=True)
    def ray(self):
        pytest.importorskip("ray.data")

    @pytest.fixture
    def batch(self, here, photos, tiny_weights):
        """Return a function that runs `e4s batch` in a process; some photo has a red corner."""
        (here / "killer.py").write_text(KILLER)
        red = images.read("b.png").copy()
        red[0, 0] = (255, 0, 0)
        images.write(red, photos / "e.png")

        def run(output, *arguments):
            command = [sys.executable, "-m", "e4s_engine.cli", "batch", "a.png", "photos", "-o", output]
            command += ["--weights", str(tiny_weights / "model.safetensors"), "--landmarks", "killer:find"]
            done = subprocess.run(
                [*command, "--regions", "eyes,nose", "--device", "cpu", *arguments],
                cwd=here, capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            return done.returncode, done.stdout, done.stderr

        return run

    def test_two_workers_give_the_bytes_of_the_serial_run(self, batch, here):
        (here / "spared").touch()
        assert batch("serial")[0] == 1  # bad.png
        code, out, err = batch("out", "--ray", "--workers", "2", "--shard", "2")
        assert code == 1 and "4 of 5 photos written to out, 1 failed" in out, err
        assert "e4s: error: photos/bad.png: is truncated" in err
        assert files(here / "out") == files(here / "serial") and len(files(here / "out")) == 4

    def test_a_worker_may_die(self, batch, here):
        code, out, _ = batch("out", "--ray", "--workers", "2", "--shard", "2")
        assert (here / "spared").exists() and code == 1 and "4 of 5" in out
        assert batch("serial")[0] == 1
        assert files(here / "out") == files(here / "serial")

    def test_a_photo_that_kills_every_worker_takes_no_other_with_it(self, batch, here):
        (here / "always").touch()
        code, out, err = batch("out", "--ray", "--workers", "2", "--shard", "2", "--retries", "1")
        assert code == 1 and "3 of 5" in out
        assert "photos/e.png: its workers died" in err
        assert set(files(here / "out")) == {"b.png", "c.png", "d.jpg"}

    def test_an_engine_that_cannot_be_created_ends_the_command(self, batch, here):
        code, out, err = batch("out", "--ray", "--parser", "missing.safetensors")
        assert code == 1 and "missing.safetensors" in err and "written" not in out
