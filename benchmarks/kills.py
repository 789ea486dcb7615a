"""Runs of `Video.save` that are killed (kill -9) at random moments and resumed, against an unbroken run.

python -m benchmarks.kills                 30 kills; prints how far each came, fails if a frame differs
python -m benchmarks.kills --kills 100 --seed 3
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from benchmarks import video as clips
from e4s_engine import synth
from e4s_engine.engine import Engine
from e4s_engine.errors import DemoModelWarning
from e4s_engine.synth import motion
from e4s_engine.video import parts
from e4s_engine.video.clip import Clip

FRAMES, SIDE, PART = 64, 192, 8


def main() -> int:
    """Kill, resume, compare; return 1 if a frame differs."""
    arguments = _arguments()
    warnings.simplefilter("ignore", DemoModelWarning)
    if arguments.child:
        save(*map(Path, arguments.child))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        clip = render(place / "clip.mp4")
        start = time.perf_counter()
        subprocess.run(_command(clip, place / "whole.mp4"), check=True)
        seconds = time.perf_counter() - start
        killed = _killed(clip, place / "out.mp4", arguments.kills, seconds, random.Random(arguments.seed))
        subprocess.run(_command(clip, place / "out.mp4"), check=True)
        different = _different(place / "whole.mp4", place / "out.mp4")
    print(json.dumps({"kills": killed, "seconds_of_a_run": round(seconds, 1), "different_frames": different}))
    return 1 if different else 0


def render(path: Path) -> Path:
    """Write a small clip of a person who moves."""
    shots = list(motion.film(synth.person(7), motion.scenes(7, 16), SIDE, supersample=1))
    return clips.write(path, [shots[i % len(shots)].picture.image for i in range(FRAMES)])


def save(clip: Path, output: Path) -> None:
    """Swap a clip, or go on with it, in short parts."""
    parts.LENGTH = PART
    portrait = synth.render(synth.person(12), synth.scene(12), 256, supersample=1).image
    with Engine(device="cpu") as engine:
        engine.video(portrait, clip).save(output, resume=True)


def _killed(clip: Path, output: Path, kills: int, seconds: float, dice: random.Random) -> int:
    """Kill runs of one file until so many were killed, or it is finished, in which case it begins again."""
    done = 0
    while done < kills:
        child = subprocess.Popen(_command(clip, output))
        try:
            child.wait(dice.uniform(0, 0.9 * seconds))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            done += 1
            unfinished = output.with_name(f"{output.name}.unfinished")
            print(f"{done}: {len(list(unfinished.glob('0*.mp4')))} files of parts", file=sys.stderr)
        else:
            if child.returncode:
                raise RuntimeError(f"a resumed run failed: {child.returncode}")
            output.unlink()
    return done


def _different(a: Path, b: Path) -> int:
    pairs = list(zip(Clip(a).frames(), Clip(b).frames(), strict=True))
    assert len(pairs) == FRAMES
    return sum(not np.array_equal(one.native.to_ndarray(), two.native.to_ndarray()) for one, two in pairs)


def _command(clip: Path, output: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.kills", "--child", str(clip), str(output)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill and resume swaps of a clip.")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2, metavar=("CLIP", "OUT"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
