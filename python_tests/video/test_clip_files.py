"""Clips in and out: times, sound, colours, depth, rotation, sizes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import video_tools as tools

from e4s_engine.errors import ArgumentError, VideoError
from e4s_engine.photo import images
from e4s_engine.video import codecs, joining
from e4s_engine.video.clip import Clip
from e4s_engine.video.frames import Frame, with_changes
from e4s_engine.video.joining import Piece, Span
from e4s_engine.video.parts import Form, Part
from e4s_engine.video.turn import Turn


def copied(clip: Path, output: Path, encoder: str = "auto", length: int = 5, change=None) -> Path:
    """Send a clip through parts of `length` frames. change: function of an upright picture."""
    source = Clip(clip)
    lossless = output.suffix == ".gif"
    chosen = codecs.LOSSLESS if lossless else codecs.choose(encoder, output.suffix, source.facts.bits)
    form = Form(chosen, codecs.options_of(chosen, None), source.facts)
    frames = list(source.frames())
    pieces = []
    for first in range(0, len(frames), length):
        with Part(output.with_name(f"{first:06d}.mp4"), form) as part:
            for frame in frames[first : first + length]:
                part.add(form.encoded(frame, change(frame.pixels) if change else None), frame.pts)
        pieces.append(Piece(part.path, part.times))
    sound = source if source.facts.audio else None
    joining.join(pieces, source.facts, output, Span(), frames[-1].duration, sound)
    return output


def test_sound_and_times_stay_to_the_tick(tmp_path):
    uneven = [0, 1001, 2500, 9000, 9100, 12_000, 20_000, 20_500, 30_000, 31_001, 32_002]
    clip = tools.write(tmp_path / "in.mp4", tools.pictures(11), times=uneven, audio="aac")
    out = copied(clip, tmp_path / "out.mp4")
    assert tools.times(out) == tools.times(clip) == [time * tools.BASE for time in uneven]
    assert tools.packets(out) == tools.packets(clip)
    with tools.av.open(str(clip)) as a, tools.av.open(str(out)) as b:
        assert a.streams.video[0].duration == b.streams.video[0].duration
        assert b.streams.video[0].time_base == tools.BASE
        # The index comes before the data, so that players on the web begin at once.
    data = out.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_turned_clips_are_seen_upright_and_stay_turned(tmp_path, rotation):
    clip = tools.write(tmp_path / "in.mp4", tools.pictures(2), rotation=rotation)
    seen = next(Clip(clip).frames())
    with tools.av.open(str(clip)) as container:
        native = next(container.decode(video=0))
        expected = np.rot90(native.to_ndarray(format="rgb24"), native.rotation // 90)
    assert np.abs(seen.pixels.astype(int) - expected).mean() < 3
    out = copied(clip, tmp_path / "out.mp4")
    assert Clip(out).facts.matrix == Clip(clip).facts.matrix


def test_a_change_of_a_turned_clip_is_where_it_is_seen(tmp_path):
    clip = tools.write(tmp_path / "in.mp4", tools.pictures(2), rotation=90)

    def darker(picture):
        changed = picture.copy()
        changed[10:30, 20:50] //= 2
        return changed

    seen, found = (
        next(Clip(path).frames()).pixels for path in (clip, copied(clip, tmp_path / "out.mp4", change=darker))
    )
    assert np.abs(found.astype(int) - darker(seen)).mean() < 3
    assert np.abs(found.astype(int) - seen)[12:28, 22:48].mean() > 20


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("flip_x", [False, True])
def test_turns_are_undone(transpose, flip_x):
    picture = np.arange(24).reshape(4, 2, 3)
    turn = Turn(transpose, flip_x, True)
    np.testing.assert_array_equal(turn.stored(turn.shown(picture)), picture)


@pytest.mark.parametrize(("encoder", "codec"), [("auto", "hevc"), ("ffv1", "ffv1")])
def test_ten_bits_stay(tmp_path, encoder, codec):
    clip = tools.write(tmp_path / "in.mkv", tools.pictures(3), codec="ffv1", pix_fmt="yuv420p10le")
    out = copied(clip, tmp_path / "out.mkv", encoder)
    facts = Clip(out).facts
    assert facts.bits == 10 and facts.colours.range == 1 and facts.colours.matrix == 1
    with tools.av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
    if encoder == "ffv1":
        for a, b in zip(tools.planes(clip), tools.planes(out), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_change_leaves_every_other_sample_as_it_is(tmp_path):
    clip = tools.write(tmp_path / "in.mkv", tools.pictures(2), codec="ffv1", pix_fmt="yuv420p10le")
    frame = next(Clip(clip).frames())
    after = frame.pixels.copy()
    after[16:32, 40:60] = 255 - after[16:32, 40:60]
    result = with_changes(frame.native, frame.pixels, after, 1, False)
    before, samples = frame.native.to_ndarray(), result.to_ndarray()
    mask = before[:64] != samples[:64]
    assert mask[16:32, 40:60].mean() > 0.9
    mask[14:34, 38:62] = False
    assert not mask.any()
    shown = Frame(0, 0, 1, result).pixels
    assert np.abs(shown[20:28, 44:56].astype(int) - after[20:28, 44:56]).max() <= 4


@pytest.mark.parametrize(("name", "size"), [("out.mp4", (52, 38)), ("out.webm", (51, 37))])
def test_odd_sizes(tmp_path, name, size):
    clip = tools.write(tmp_path / "in.mkv", tools.pictures(2, 51, 37), codec="ffv1")
    facts = Clip(copied(clip, tmp_path / name)).facts
    assert (facts.width, facts.height) == size


def test_one_frame(tmp_path):
    clip = tools.write(tmp_path / "in.mp4", tools.pictures(1))
    assert len(tools.times(copied(clip, tmp_path / "out.mp4"))) == 1


def test_gifs_in_and_out(tmp_path):
    clip = tools.write(tmp_path / "in.mp4", tools.pictures(7), times=[i * 3000 for i in range(7)])
    gif = copied(clip, tmp_path / "out.gif")
    found, expected = list(Clip(gif).frames()), list(Clip(clip).frames())
    assert [frame.pts for frame in found] == [i * 10 for i in range(7)]
    assert np.abs(found[3].pixels.astype(int) - expected[3].pixels).mean() < 12
    back = copied(gif, tmp_path / "back.mp4")
    assert tools.times(back) == tools.times(clip)


def test_pictures_in(tmp_path):
    drawn = tools.pictures(4)
    for number, picture in enumerate(drawn):
        images.write(picture, tmp_path / f"{number + 3:04d}.png")
    for path in (tmp_path, tmp_path / "%04d.png"):
        frames = list(Clip(path, rate=12).frames())
        assert Clip(path, rate=12).facts.rate == Fraction(12)
        for frame, picture in zip(frames, drawn, strict=True):
            np.testing.assert_array_equal(frame.pixels, picture)


def test_pictures_go_by_their_numbers(tmp_path):
    drawn = tools.pictures(12)
    for number, picture in enumerate(drawn):
        images.write(picture, tmp_path / f"{number}.png")
    for path in (tmp_path, tmp_path / "%d.png"):
        for frame, picture in zip(Clip(path).frames(), drawn, strict=True):
            np.testing.assert_array_equal(frame.pixels, picture)
    (tmp_path / "7.png").unlink()
    assert len(list(Clip(tmp_path).frames())) == 11
    with pytest.raises(VideoError, match=r"clip: 7\.png is missing, though there are pictures up to 11\.png"):
        Clip(tmp_path / "%d.png")
    images.write(drawn[0][:50], tmp_path / "10.png")
    with pytest.raises(VideoError, match=r"clip 10\.png: 96 x 50 pixels, the first picture has 96 x 64"):
        list(Clip(tmp_path).frames())


def test_files_without_pictures_are_no_clips(tmp_path):
    sound, empty, folder = (tmp_path / name for name in ("sound.wav", "empty.mp4", "folder"))
    with tools.av.open(str(sound), "w") as container:
        tools._write_tone(container, container.add_stream("pcm_f32le", rate=48_000), 0.1)
    empty.touch()
    folder.mkdir()
    for path, message in ((sound, "holds no video"), (empty, "is no clip"), (folder, "holds no pictures")):
        with pytest.raises(VideoError, match=f"clip: .*{path.name} {message}"):
            Clip(path)


def test_seeking_finds_the_frame(tmp_path):
    clip = Clip(tools.write(tmp_path / "in.mp4", tools.pictures(40)))
    every = list(clip.frames())
    later = list(clip.frames(every[23].pts, 23))
    assert [frame.number for frame in later] == list(range(23, 40))
    np.testing.assert_array_equal(later[0].pixels, every[23].pixels)


def test_a_truncated_clip_gives_what_is_left(tmp_path):
    whole = tools.write(tmp_path / "in.mkv", tools.pictures(40))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert 5 < len(list(Clip(cut).frames())) < 40
    moov = tools.write(tmp_path / "in.mp4", tools.pictures(20))
    moov.write_bytes(moov.read_bytes()[:2000])  # the index lies at the end
    with pytest.raises(VideoError, match=r"clip: .*in\.mp4 is no clip that can be read"):
        Clip(moov)


def test_what_does_not_fit_is_said_before(tmp_path):
    clip = Clip(tools.write(tmp_path / "in.mkv", tools.pictures(3), audio="pcm_s16le"))
    with pytest.raises(VideoError, match=r"\.webm files do not hold audio in pcm_s16le.*\.mkv"):
        joining.check_audio(clip.facts, ".webm", clip.path)
    with pytest.raises(VideoError, match=r"encoder: \.webm files hold no h264; choose av1 or vp9"):
        codecs.choose("h264", ".webm", 8)
    with pytest.raises(ArgumentError, match=r"expected 0 \(best\) to 51"):
        codecs.options_of(codecs.ENCODERS["h264"], 52)
    with pytest.raises(VideoError, match="no such file"):
        Clip(tmp_path / "absent.mp4")
