"""The nodes for ComfyUI: their schemas, batches, exact pixels, labels, saving, and the example workflows."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import comfy_stand_in
import numpy as np
import pytest
from comfy_tools import prompt, run
from PIL import Image

import e4s_engine
from e4s_engine import regions, synth
from e4s_engine.errors import ArgumentError, RegionError, WeightsError
from e4s_engine.options import SwapOptions
from e4s_engine.photo import images

torch = pytest.importorskip("torch")
FOLDER = Path(e4s_engine.__file__).parent / "integrations" / "comfyui"
WORKFLOWS = sorted((FOLDER / "example_workflows").glob("*.json"))
SIDE = 256


def tensor(*pictures):
    return torch.from_numpy(np.stack(pictures).astype(np.float32) / np.float32(255))


def widgets(node, **changes):
    """Return the defaults of a node's widgets."""
    return {i.id: i.default for i in node.GET_SCHEMA().inputs if hasattr(i, "default")} | changes


@pytest.fixture(scope="module")
def comfy(tmp_path_factory):
    """Load the nodes into ComfyUI, or into the stand-in; return what they show, the folder, and the nodes."""
    root = tmp_path_factory.mktemp("comfyui")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("E4S_WEIGHTS", raising=False)
        for name in [n for n in sys.modules if n.startswith("e4s_engine.integrations")]:
            patch.delitem(sys.modules, name)
        shown = comfy_stand_in.install(root, patch)
        # As ComfyUI does it: the file by its path, under a name of its own.
        spec = importlib.util.spec_from_file_location("custom_nodes_e4s", FOLDER / "__init__.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        extension = asyncio.run(module.comfy_entrypoint())
        nodes = {node.GET_SCHEMA().node_id: node for node in asyncio.run(extension.get_node_list())}
        yield SimpleNamespace(shown=shown, root=root, nodes=nodes)


@pytest.fixture(scope="module")
def photos():
    return [synth.render(synth.person(s), synth.scene(s), SIDE).image for s in (12, 7, 3)]


@pytest.fixture(scope="module")
def engine(comfy):
    load = comfy.nodes["E4SLoadEngine"]
    return load.execute(**widgets(load, device="cpu")).args[0]


def test_importing_the_entry_point_needs_neither_comfyui_nor_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from e4s_engine.integrations.comfyui import comfy_entrypoint\n"
        "print(callable(comfy_entrypoint))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_every_node_takes_what_its_schema_says(comfy):
    assert len(comfy.nodes) == 8
    for name, node in comfy.nodes.items():
        schema = node.GET_SCHEMA()
        assert name.startswith("E4S") and schema.category == "e4s" and schema.description
        parameters = inspect.signature(node.execute).parameters
        ids = {one.id for one in schema.inputs}
        options = {field.name for field in dataclasses.fields(SwapOptions)}
        variadic = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
        assert {p.name for p in parameters.values() if p.kind is not p.VAR_KEYWORD} == (
            ids - options if variadic else ids
        )
        optional = {one.id for one in schema.inputs if one.optional}
        assert all(parameters[i].default is None for i in optional)


def test_the_widgets_of_a_swap_are_its_options(comfy):
    names = {field.name for field in dataclasses.fields(SwapOptions)} - {"full_face"}
    by_name = widgets(comfy.nodes["E4SSwap"])
    assert names | {"regions"} == set(by_name)
    assert all(by_name[f.name] == f.default for f in dataclasses.fields(SwapOptions) if f.name in names)
    assert set(widgets(comfy.nodes["E4SEdit"])) < set(by_name)


def test_a_batch_is_swapped_as_the_engine_does(comfy, engine, photos):
    swap = comfy.nodes["E4SSwap"]
    comfy.shown.shown.clear()
    values = widgets(swap, regions="eyes, nose", extent=0.8)
    image, changed, results = swap.execute(
        engine, tensor(*photos[1:]), source=tensor(photos[0]), **values
    ).args
    assert comfy.shown.shown == [(1, 2), (2, 2)]
    assert image.dtype == changed.dtype == torch.float32
    assert image.shape == (2, SIDE, SIDE, 3) and changed.shape == (2, SIDE, SIDE)
    for number, photo in enumerate(photos[1:]):
        expected = engine.swap(photos[0], photo, ["eyes", "nose"], extent=0.8)
        np.testing.assert_array_equal(np.rint(image[number].numpy() * 255), expected.image)
        np.testing.assert_array_equal(changed[number].numpy() > 0, expected.changed)
        np.testing.assert_array_equal(results[number].image, expected.image)


def test_what_is_not_pasted_keeps_numbers_that_are_no_bytes(comfy, engine, photos):
    """Pictures of a decoder are no multiples of 1/255, and may lie outside 0..1."""
    swap = comfy.nodes["E4SSwap"]
    target = tensor(photos[1]) * 1.01 - 0.003
    image, changed, _ = swap.execute(
        engine, target, source=tensor(photos[0]), **widgets(swap, regions="lips")
    ).args
    outside = changed == 0
    assert torch.equal(image[outside], target[outside])
    assert 0 < changed.sum() < changed.numel() and not torch.equal(image, target)


def test_encoded_faces_are_given_to_one_or_to_each(comfy, engine, photos):
    encode, swap = comfy.nodes["E4SEncodeFace"], comfy.nodes["E4SSwap"]
    (faces,) = encode.execute(engine, tensor(*photos[:2]), **widgets(encode)).args
    targets = tensor(photos[1], photos[2])
    image = swap.execute(engine, targets, source_face=faces, **widgets(swap)).args[0]
    for number, face in enumerate(faces):
        expected = engine.swap(face, photos[1 + number]).image
        np.testing.assert_array_equal(np.rint(image[number].numpy() * 255), expected)
    one = swap.execute(engine, targets, source_face=faces[:1], **widgets(swap)).args[0]
    assert torch.equal(one[0], image[0]) and not torch.equal(one[1], image[1])


def test_an_edit_is_the_engines(comfy, engine, photos):
    edit = comfy.nodes["E4SEdit"]
    pictures = {"image": tensor(photos[1]), "reference": tensor(photos[0])}
    image = edit.execute(engine, **pictures, **widgets(edit, extent=0.7)).args[0]
    expected = engine.edit(photos[1], photos[0], ["hair"], extent=0.7).image
    np.testing.assert_array_equal(np.rint(image[0].numpy() * 255), expected)
    with pytest.raises(ArgumentError, match="regions: expected at least one"):
        edit.execute(engine, **pictures, **widgets(edit, regions=" "))


def test_labels_become_masks_and_masks_labels(comfy, engine, photos):
    parse, to_mask, paint = (comfy.nodes[f"E4S{name}"] for name in ("Parse", "LabelsToMask", "MaskToLabels"))
    labels, crop, overlay = parse.execute(engine, tensor(*photos[:2]), **widgets(parse)).args
    assert labels.shape == (2, 512, 512) and labels.dtype == np.uint8
    assert crop.shape == overlay.shape == (2, 1024, 1024, 3)
    np.testing.assert_array_equal(labels[1], engine.parse(photos[1]))
    (mask,) = to_mask.execute(labels, "lips, mouth").args
    np.testing.assert_array_equal(mask.numpy() == 1, np.isin(labels, (regions.LIPS, regions.MOUTH)))
    before = labels.copy()
    painted, picture = paint.execute(mask[:1], "nose", labels).args  # one mask for both
    np.testing.assert_array_equal(labels, before)
    assert (painted[1][mask[0] == 1] == regions.NOSE).all() and picture.shape == (2, 512, 512, 3)
    np.testing.assert_array_equal(painted[1][mask[0] == 0], labels[1][mask[0] == 0])
    (alone, _) = paint.execute(torch.ones(64, 32), "hair").args  # any size, no batch, nothing to paint into
    assert alone.shape == (1, 512, 512) and (alone == regions.HAIR).all()
    with pytest.raises(RegionError, match="unknown region 'lps'"):
        to_mask.execute(labels, "lps")


def test_results_are_saved_under_numbers(comfy, engine, photos):
    swap, save = comfy.nodes["E4SSwap"], comfy.nodes["E4SSaveResult"]
    results = swap.execute(engine, tensor(*photos[1:]), source=tensor(photos[0]), **widgets(swap)).args[2]
    for _ in range(2):  # nothing is replaced
        shown = save.execute(results, **widgets(save, filename_prefix="faces/swap")).ui.as_dict()["images"]
    assert [s["filename"] for s in shown] == ["swap_00003_.png", "swap_00004_.png"]
    assert {(s["subfolder"], s["type"]) for s in shown} == {("faces", "output")}
    written = comfy.root / "output" / "faces" / "swap_00004_.png"
    np.testing.assert_array_equal(images.read(written), results[1].image)
    with Image.open(written) as opened:
        assert "compositeWithTrainedAlgorithmicMedia" in str(opened.info["xmp"])
    assert save.GET_SCHEMA().is_output_node


def test_a_user_can_cancel_a_batch(comfy, engine, photos, monkeypatch):
    swap = comfy.nodes["E4SSwap"]
    monkeypatch.setattr(comfy.shown, "cancelled", True)
    with pytest.raises(comfy_stand_in.InterruptProcessingException):
        swap.execute(engine, tensor(*photos[1:]), source=tensor(photos[0]), **widgets(swap))


def test_a_share_of_recolouring_is_typed(comfy, engine, photos):
    sockets = sys.modules["e4s_engine.integrations.comfyui.sockets"]
    read = [sockets.options({"recolor": text})["recolor"] for text in ("auto", "yes", "no", "0.5")]
    assert read == ["auto", True, False, 0.5]
    swap = comfy.nodes["E4SSwap"]
    with pytest.raises(ArgumentError, match="recolor: expected 'auto', True, False or a number"):
        swap.execute(engine, tensor(photos[1]), source=tensor(photos[0]), **widgets(swap, recolor="much"))


def test_wrong_wires_are_named(comfy, engine, photos):
    swap = comfy.nodes["E4SSwap"]
    target, values = tensor(*photos[:2]), widgets(swap)
    with pytest.raises(ArgumentError, match="connect either source or source_face, got neither"):
        swap.execute(engine, target, **values)
    with pytest.raises(ArgumentError, match="got both"):
        swap.execute(engine, target, source=target, source_face=(), **values)
    with pytest.raises(ArgumentError, match=r"source: expected 1 or 2, one for every picture .*, got 3"):
        swap.execute(engine, target, source=tensor(*photos), **values)
    with pytest.raises(ArgumentError, match=r"target: expected an IMAGE \[B, H, W, 3\], got shape"):
        swap.execute(engine, target[..., 0], source=target, **values)
    with pytest.raises(ArgumentError, match="faces: expected 'largest'"):
        swap.execute(engine, target, source=target, **(values | {"faces": "both"}))


def test_weights_are_chosen_from_a_folder(comfy, tiny_weights):
    load = comfy.nodes["E4SLoadEngine"]
    folder = comfy.root / "models" / "e4s"
    (folder / "tiny").mkdir(parents=True)
    for name in ("model", "parser"):
        (folder / "tiny" / f"{name}.safetensors").write_bytes(
            (tiny_weights / f"{name}.safetensors").read_bytes()
        )
    (folder / "notes.txt").write_text("no weights")
    choice = next(one for one in load.GET_SCHEMA().inputs if one.id == "weights")
    assert choice.options == ["bundled demo model", "tiny"]
    first = load.fingerprint_inputs(**widgets(load, weights="tiny"))
    assert load.execute(**widgets(load, weights="tiny", device="cpu")).args[0].parser == "network"
    (folder / "tiny" / "more.safetensors").write_bytes(b"")
    assert load.fingerprint_inputs(**widgets(load, weights="tiny")) != first
    assert load.fingerprint_inputs(**widgets(load)) == "bundled demo model"
    with pytest.raises(WeightsError, match="weights: gone is not in"):
        load.execute(**widgets(load, weights="gone"))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_example_workflows_run(comfy, photos, file):
    pictures = {"e4s_source.png": photos[0], "e4s_target.png": photos[1]}

    def grown(mask, expand, tapered_corners):
        return (torch.nn.functional.max_pool2d(mask, 2 * expand + 1, 1, expand),)

    own = {
        "LoadImage": lambda image: (tensor(pictures[image]), torch.zeros(1, 64, 64)),
        "PreviewImage": lambda images: (),
        "GrowMask": grown,
    }
    before = set((comfy.root / "output").rglob("*.png"))
    done = run(prompt(file, comfy.nodes), comfy.nodes, own)
    assert len(done) >= 6
    (written,) = set((comfy.root / "output").rglob("*.png")) - before
    assert (images.read(written) != photos[1]).any()


def test_both_workflows_are_tested_and_have_a_picture():
    """ComfyUI shows it under Templates."""
    assert [file.stem for file in WORKFLOWS] == ["fuller_lips", "swap"]
    assert all(images.read(file.with_suffix(".jpg")).shape == (256, 256, 3) for file in WORKFLOWS)
