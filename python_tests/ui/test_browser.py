"""The page in headless Chromium: swap, paint, download; keyboard, names of controls, narrow windows."""

from __future__ import annotations

import shutil
import time

import numpy as np
import pytest
from api_tools import A, B

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("selenium")

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from ui_tools import pixels, png, served

from e4s_engine import regions

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="chromium and chromedriver are not installed"
)
FLAGS = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "window-size=1400,1000",
)  # fmt: skip


class Page:
    """The page in a browser."""

    def __init__(self, browser, downloads):
        self.browser, self.downloads = browser, downloads

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def wait(self, condition):
        # A card that is drawn anew between finding it and reading it is no failure.
        waiting = WebDriverWait(self.browser, 60, 0.05, [StaleElementReferenceException])
        return waiting.until(lambda _: condition())

    def open(self, address):
        self.browser.get(address)
        self.wait(lambda: self.run("return document.body.dataset.ready") == "yes")

    def add(self, place, file):
        self.find(f"#{place} input[type=file]").send_keys(str(file))

    def follow(self, action):
        """Do something that changes the result; return when the page shows it."""
        before = self.find("#after").get_attribute("src")
        action()
        self.wait(lambda: self.find("#after").get_attribute("src") not in (before, None, ""))

    def click(self, selector):
        self.run("arguments[0].scrollIntoView({block: 'center'})", self.find(selector))
        self.find(selector).click()

    def download(self, selector):
        """Click; return the name and the bytes of the file that comes."""
        for file in self.downloads.iterdir():
            file.unlink()
        self.click(selector)
        (file,) = self.wait(lambda: list(self.downloads.glob("*.png")))
        return file.name, file.read_bytes()

    def complaints(self):
        """Return errors of the page's scripts and breaches of its policy; statuses of answers are none."""
        entries = self.browser.get_log("browser")
        return [entry for entry in entries if entry["level"] == "SEVERE" and entry["source"] != "network"]


@pytest.fixture(scope="module")
def address(engine):
    with served(engine) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with photos, and one for downloads."""
    folder = tmp_path_factory.mktemp("ui")
    (folder / "downloads").mkdir()
    (folder / "ann.png").write_bytes(png(A))
    (folder / "bob.png").write_bytes(png(B))
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def browser(folder):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"user-data-dir={folder / 'profile'}"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder / "downloads")}
    )
    yield browser
    browser.quit()


@pytest.fixture
def page(browser, folder, address):
    page = Page(browser, folder / "downloads")
    page.open(address)
    yield page
    page.run("document.getElementById('forget').click()")
    assert not page.complaints()


@pytest.fixture
def swapped(page, folder):
    """Return the page with the whole face of `B` in `A`."""
    page.add("target", folder / "ann.png")
    page.follow(lambda: page.add("another", folder / "bob.png"))
    return page


def painted_at(page, place, radius, region):
    """Return the layer that one click of the brush paints."""
    rows, columns = np.indices((512, 512)) + 0.5
    inside = (columns - place[0]) ** 2 + (rows - place[1]) ** 2 <= radius**2
    return np.where(inside, np.uint8(region), np.uint8(regions.UNPAINTED))


def test_swap_paint_and_download(swapped, engine):
    """The file is what the engine makes of the same request, to the bit."""
    page = swapped
    page.follow(lambda: page.find("#map [data-region=eyes]").send_keys(" "))
    assert page.find("#map [data-region=eyes]").get_attribute("aria-checked") == "true"
    assert [box.get_attribute("value") for box in page.all("#regions :checked")] == ["eyes"]
    page.follow(lambda: page.find("[data-option=extent]").send_keys(Keys.ARROW_LEFT * 10))

    page.click("#paint-toggle")
    page.run("document.querySelector('#brushes [value=\"5\"]').click()")
    canvas = page.find("#canvas")
    page.run("arguments[0].scrollIntoView({block: 'center'})", canvas)
    box = page.run("const b = arguments[0].getBoundingClientRect(); return [b.x, b.y, b.width]", canvas)
    x, y = int(box[0] + box[2] / 2), int(box[1] + 0.7 * box[2])

    def dab():
        pointer = ActionChains(page.browser, duration=0)
        pointer.w3c_actions.pointer_action.move_to_location(x, y).click()
        pointer.perform()

    page.follow(dab)
    place = [(x - box[0]) / box[2] * 512, (y - box[1]) / box[2] * 512]
    layer = painted_at(page, place, 12, regions.NOSE)
    face, me = engine.encode(B), engine.encode(A, keep_photo=True)
    wanted = engine.swap(face, me, ["eyes"], extent=0.9, painted=layer)
    name, data = page.download("#download")
    assert name == "ann-swapped.png" and np.array_equal(pixels(data), wanted.image)
    assert not np.array_equal(wanted.image, engine.swap(face, me, ["eyes"], extent=0.9).image)

    page.follow(lambda: page.click("#undo"))
    assert not page.find("#reset").is_enabled() and page.find("#redo").is_enabled()
    page.follow(lambda: page.find("body").send_keys(Keys.CONTROL, Keys.SHIFT, "z"))
    assert page.find("#reset").is_enabled()
    page.follow(lambda: page.click("#reset"))
    _, data = page.download("#download")
    assert np.array_equal(pixels(data), engine.swap(face, me, ["eyes"], extent=0.9).image)
    name, data = page.download("#sheet")
    assert name == "ann-sheet.png" and pixels(data).shape[1] > 1500


def test_shapes_are_painted_without_a_source_and_by_keyboard(page, folder, engine):
    page.add("target", folder / "ann.png")
    page.wait(lambda: page.find("#paint-toggle").is_enabled())
    page.click("#paint-toggle")
    page.run("document.querySelector('#brushes [value=\"1\"]').click()")
    canvas = page.find("#canvas")
    page.follow(lambda: canvas.send_keys(Keys.ARROW_DOWN * 4, "]", " "))
    place = [256, 256 + 4 * 6]
    layer = painted_at(page, place, 14, regions.LIPS)
    me = engine.encode(A, keep_photo=True)
    _, data = page.download("#download")
    assert np.array_equal(pixels(data), engine.swap(me, me, [], painted=layer).image)


def test_a_first_visit_needs_no_photos(page):
    page.follow(lambda: page.click("#render"))
    assert "rendered 1" in page.find("#target").text and "rendered 0" in page.find("#sources").text
    assert page.find("#presets [aria-pressed=true]").text == "Whole face"


def test_labels_pass_through_the_browser_exactly(page):
    """Every number, through the page's own reader and writer of PNG; Pillow writes all kinds of filters."""
    values = np.random.default_rng(0).integers(0, 256, (60, 100)).astype(np.uint8)
    values[20:] = np.add.outer(np.arange(40), np.arange(100))
    script = """
        const [bytes, done] = arguments;
        import("/png.js").then(async ({ encode, decode }) => {
          const { values, width, height } = await decode(Uint8Array.from(bytes));
          done([[...values], [...(await encode(values, width, height))]]);
        });
    """
    read, written = page.browser.execute_async_script(script, list(png(values)))
    assert read == values.ravel().tolist()
    assert np.array_equal(pixels(bytes(written)), values)


def test_a_result_becomes_the_next_target(swapped, engine):
    page = swapped
    page.click("#continue")
    page.wait(lambda: "ann-swapped.png" in page.find("#target").text)
    page.wait(lambda: not page.find("#after").is_displayed())
    page.follow(lambda: page.find("#map [data-region=hair]").send_keys(" "))
    _, data = page.download("#download")
    bob = engine.encode(B)
    first = engine.swap(bob, A)
    assert np.array_equal(pixels(data), engine.swap(bob, first.image, ["hair"]).image)


def test_several_sources_give_different_regions(swapped, folder):
    page = swapped
    page.add("another", folder / "ann.png")
    page.wait(lambda: len(page.all("#sources .card")) == 2)
    page.follow(lambda: page.find("#map [data-region=lips]").send_keys(" "))
    told = [note.text for note in page.all("#sources .card p:last-child")]
    assert "lips" not in told[0] and "eyes" in told[0] and told[1] == "gives lips"
    title = page.run("return document.querySelector('#map [data-region=eyes] title').textContent")
    assert title == "eyes: given by source 1"
    page.follow(lambda: page.click("#exchange"))
    assert "bob.png" in page.find("#sources .card").text and "gives lips" in page.find("#sources").text


def test_a_saved_face_is_dropped_like_a_photo(page, folder, engine):
    engine.encode(B).save(folder / "bob.face", consent="agreed on 3 May")
    page.add("target", folder / "bob.face")
    page.wait(lambda: "holds no photo to change" in page.find("#error-target").text)
    page.add("target", folder / "ann.png")
    page.follow(lambda: page.add("another", folder / "bob.face"))
    assert "bob.face: a saved face; consent: agreed on 3 May" in page.find("#sources").text
    assert page.run("return document.querySelector('#sources img').naturalWidth") == 128
    assert not page.find("#exchange").is_displayed()
    _, data = page.download("#download")
    wanted = engine.swap(folder / "bob.face", engine.encode(A, keep_photo=True)).image
    assert np.array_equal(pixels(data), wanted)


def test_errors_stand_near_what_they_name(swapped, folder):
    page = swapped
    page.add("another", folder / "broken.png")
    page.wait(lambda: page.find("#error-source").text)
    assert page.find("#error-source").text.startswith("source: 10 bytes is not an image that can be read")
    page.click("#sources .plain")
    page.wait(lambda: not page.all("#sources .card") and not page.find("#download").is_enabled())


def test_everything_has_a_name_and_a_place_in_the_order(swapped):
    page = swapped
    page.click("#paint-toggle")
    page.wait(lambda: page.find("#canvas").is_displayed())
    for control in page.all("button, input, select, canvas, [role=checkbox], img:not([alt=''])"):
        if control.is_displayed() or control.get_attribute("type") in ("checkbox", "radio", "file"):
            assert control.accessible_name.strip(), control.get_attribute("outerHTML")
    parts = page.all("#map [role=checkbox]")
    assert {part.accessible_name for part in parts} >= {"eyes", "nose", "hair", "mouth, inside"}
    assert len(parts) == regions.COUNT and all(part.get_attribute("tabindex") == "0" for part in parts)


@pytest.mark.parametrize("width", [320, 420, 800, 1400])
def test_no_window_is_too_narrow(swapped, folder, width):
    page = swapped
    page.add("another", folder / "ann.png")  # marks in the list who gives what
    page.wait(lambda: len(page.all("#sources .card")) == 2)
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page.click("#paint-toggle")
        time.sleep(0.2)
        assert page.run("return document.documentElement.scrollWidth") <= width
        for selector in ("#compare", "#canvas", "#map", "#download"):
            assert page.run("return arguments[0].getBoundingClientRect().right", page.find(selector)) <= width
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
