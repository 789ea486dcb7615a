"""Contact sheets, overlays and legends: their sizes and contents."""

from __future__ import annotations

import numpy as np
from PIL import Image

from e4s_engine import cli, regions
from e4s_engine.cli import demo
from e4s_engine.photo import sheets


def test_colours_and_holes():
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    np.testing.assert_array_equal(sheets.colour(labels), regions.PALETTE[labels])
    holes = np.ones((9, 9), bool)
    hatched = sheets.colour(np.full((9, 9), regions.SKIN, np.uint8), holes)
    assert 0 < (hatched != regions.PALETTE[regions.SKIN]).any(2).mean() < 1
    assert len({tuple(colour) for colour in regions.PALETTE}) == regions.COUNT


def test_overlay_has_the_pictures_size_and_shows_both():
    picture = np.zeros((90, 60, 3), np.uint8)
    labels = np.zeros((30, 30), np.uint8)
    labels[15:] = regions.LIPS
    shown = sheets.overlay(picture, labels)
    assert shown.shape == picture.shape
    assert (shown[80, 5] != shown[10, 5]).any()
    assert (shown[45] == 255).all()  # border between the two regions


def test_sheet_keeps_every_panels_shape():
    wide = np.full((50, 200, 3), 200, np.uint8)
    sheet = sheets.sheet([[("a", wide), ("b", wide)], [("c", wide.transpose(1, 0, 2))]])
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] > 2 * sheets.PANEL
    lit = (sheet == 200).all(2)
    assert abs(lit.sum() - 3 * sheets.PANEL * sheets.PANEL / 4) < sheets.PANEL * 6


def test_demo_writes_a_sheet(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    out = tmp_path / "new" / "demo.png"
    assert cli.main(["demo", "-o", str(out), "--seed", "3"]) == 0
    assert str(out) in capsys.readouterr().out
    with Image.open(out) as sheet:
        assert sheet.size[0] > 3 * sheets.PANEL


def test_demo_takes_other_weights(tmp_path, monkeypatch, tiny_weights):
    monkeypatch.setattr(demo, "SIDE", 96)
    out = tmp_path / "demo.png"
    assert cli.main(["demo", "-o", str(out), "--weights", str(tiny_weights / "model.safetensors")]) == 0
    assert out.is_file()
