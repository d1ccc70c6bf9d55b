"""The page in a browser, with WebGL and without: from a report to a download, seen as its user sees it."""

import hashlib
import json
import os
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from generatect.ct.nifti import write_nifti
from tests.web.conftest import PROMPT, noisy
from tests.web.seen import PLANES, Seen

SCRIPT = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'


@pytest.fixture(scope="module")
def live(start_server):
    return start_server("tokens.steps=3", "upscale.steps=1")


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    """Folder of screenshots: `GENERATECT_SCREENSHOTS`, or one that pytest keeps for a while."""
    named = os.environ.get("GENERATECT_SCREENSHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def greys(pixels: np.ndarray) -> int:
    """How many different greys; colours of the overlay do not count."""
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return len(np.unique(red[(red == green) & (green == blue)]))


def agrees_with_slices(seen: Seen, niivue: dict[str, np.ndarray]) -> None:
    """NiiVue shows each plane as the slices from the server do, and reads the same HU under the pointer; and back."""
    page = seen.page
    places = [(0.25, 0.2), (0.2, 0.25), (0.32, 0.28), (0.75, 0.22), (0.8, 0.3)]  # of the four planes together

    def under_the_pointer() -> list[int]:
        box, read = page.locator(".stagearea").bounding_box(), []
        for x, y in places:
            page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
            page.wait_for_timeout(100)
            read.append(int(page.inner_text("#hu").split()[0]))
        return read

    def small(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(Image.fromarray(pixels.astype(np.uint8)).convert("L").resize((64, 64))).astype(float).ravel()

    of_niivue = under_the_pointer()
    page.click("#drawn")
    page.wait_for_selector('[data-drawn="slices"]')
    page.wait_for_timeout(500)
    slices = seen.planes()
    for name in PLANES:
        assert np.corrcoef(small(niivue[name]), small(slices[name]))[0, 1] > 0.95, name
    assert np.abs(np.array(under_the_pointer()) - of_niivue).max() < 200, of_niivue
    page.click("#drawn")
    page.wait_for_selector('[data-drawn="niivue"]')
    page.wait_for_timeout(1500)


@pytest.mark.parametrize("webgl", [True, False], ids=["webgl", "no-webgl"])
def test_from_a_report_to_a_download(browser, live, shots, tmp_path, webgl):
    seen = Seen(browser(webgl), live, shots, "webgl" if webgl else "canvas", "dark" if webgl else "light")
    page = seen.page
    assert "Weights: PHANTOM" in page.inner_text("#notice")
    assert "token" not in page.url  # it is in a cookie, and out of sight
    seen.until("document.getElementById('cost').textContent.includes('about')")
    seen.shot("1-first")
    first = seen.generate(PROMPT, 1)
    assert seen.drawn() == ("niivue" if webgl else "slices")
    assert PROMPT in page.inner_text(".about")
    assert "SYNTHETIC" in page.inner_text(".about")
    assert "PHANTOM · SYNTHETIC" in page.inner_text(".readout")
    page.wait_for_timeout(1500)
    seen.shot("2-volume")
    stops = "[...document.querySelectorAll('canvas')].filter((canvas) => canvas.tabIndex >= 0)"
    assert all(page.evaluate(f"{stops}.map((canvas) => canvas.ariaLabel)"))
    assert page.locator('canvas[data-plane="projection"]').is_visible()  # too few slices for surfaces
    lung = seen.planes()
    assert {name: greys(pixels) >= 50 for name, pixels in lung.items()} == dict.fromkeys(PLANES, True)

    if webgl:
        agrees_with_slices(seen, lung)

    page.keyboard.press("2")  # the mediastinal window
    page.wait_for_timeout(700)
    assert "W 400 L 40" in page.inner_text(".readout")
    mediastinum = seen.planes()
    changed = {name: (np.abs(mediastinum[name] - lung[name]).max(-1) > 20).mean() for name in PLANES}
    assert min(changed.values()) > 0.1, changed
    seen.shot("3-mediastinum")

    canvas = 'canvas[data-plane="niivue-planes"]' if webgl else 'canvas[data-plane="axial"]'
    box = page.locator(canvas).bounding_box()
    width, height = (box["width"] / 2, box["height"] / 2) if webgl else (box["width"], box["height"])
    page.mouse.move(box["x"] + width * 0.5, box["y"] + height * 0.62)
    page.mouse.move(box["x"] + width * 0.5, box["y"] + height * 0.6)
    seen.until("/-?\\d+ HU/.test(document.getElementById('hu').textContent)")
    assert -1000 <= int(page.inner_text("#hu").split()[0].replace("−", "-")) <= 1000
    before = seen.planes()["axial"]
    page.keyboard.press("ArrowUp")
    place = page.inner_text(".readout span")
    page.mouse.wheel(0, -100)
    seen.until(f"document.querySelector('.readout span').innerText !== {json.dumps(place)}")
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(700)
    assert (np.abs(seen.planes()["axial"] - before).max(-1) > 20).mean() > 0.01

    page.click("#download summary")
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('download').open")
    with page.expect_download() as download:
        page.click("#download summary")
        page.click('#download a[data-format="nifti"]')
    path = tmp_path / "downloaded.nii.gz"
    download.value.save_as(path)
    image = nib.load(path)
    assert image.shape == (192, 192, 17)
    assert len(np.unique(np.asanyarray(image.dataobj))) > 500

    second = seen.generate(PROMPT.replace("right", "left"), 1)
    assert second != first
    page.select_option("#compare", first)
    page.wait_for_selector(".pair canvas")
    page.wait_for_timeout(1200)
    figures = [seen.pixels(f".pair figure:nth-child({number}) canvas") for number in (1, 2, 3)]
    assert greys(figures[0]) >= 50
    assert greys(figures[1]) >= 50
    change = figures[2]
    assert ((change[..., 0] - change[..., 2]) > 60).any(), "nothing has become denser"
    assert ((change[..., 2] - change[..., 0]) > 60).any(), "nothing has become less dense"
    seen.shot("4-compared")
    page.hover(".pair figure:nth-child(2) canvas")
    page.mouse.wheel(0, -100)
    page.wait_for_timeout(700)
    moved = [seen.pixels(f".pair figure:nth-child({number}) canvas") for number in (1, 2, 3)]
    for was, now in zip(figures, moved, strict=True):  # one scrolls, all follow
        assert (np.abs(now - was).max(-1) > 20).mean() > 0.005
    page.click('[data-tab="history"]')
    page.wait_for_timeout(500)
    assert page.locator("#history .card").count() >= 2
    seen.shot("5-history")
    seen.close()


def test_a_report_cannot_become_markup(browser, live, shots):
    seen = Seen(browser(False), live, shots, "script")
    seen.generate(SCRIPT, 3)
    seen.page.click('[data-tab="history"]')
    seen.page.wait_for_timeout(500)
    assert SCRIPT in seen.page.inner_text(".about")
    assert SCRIPT[:40] in seen.page.inner_text("#history")
    assert seen.page.title() == "generatect"
    assert seen.page.locator("img[src=x]").count() == 0
    seen.shot("text")
    seen.close()


def test_cancelling_browsing_and_what_is_refused(browser, live, shots):
    seen = Seen(browser(False), live, shots, "page")
    page = seen.page
    page.click("#generate")
    assert "Write a report first" in page.wait_for_selector("form .error:not([hidden])").inner_text()
    page.fill("#steps", "0")
    page.click("#generate")
    seen.until("document.querySelector('form .error').textContent.startsWith('Token steps 0')")
    page.wait_for_timeout(500)
    assert page.inner_text("#new").count("Token steps 0") == 1
    seen.wrong.clear()  # the browser itself notes the status 400
    before = sorted(live.output.iterdir())
    page.fill("#report", PROMPT)
    page.fill("#steps", "900")
    page.click("#generate")
    page.wait_for_selector(".film img:not([hidden])")
    seen.until("/about .* left/.test(document.querySelector('.making').textContent)")
    seen.shot("making")
    page.click("#cancel")
    seen.until("document.querySelector('h1').textContent === 'Cancelled'")
    assert sorted(live.output.iterdir()) == before
    page.click('[data-tab="open"]')
    page.click(f"#open .rows button:has-text('{live.folder.name}')")
    page.click("#open .rows button:has-text('scans')")
    page.click("#open .rows button:has-text('a.nii.gz')")
    page.wait_for_selector("[data-drawn]")
    assert "Clear <b>lungs</b>." in page.inner_text(".about")
    assert not page.is_visible("#notice")  # of weights that have not made this
    page.wait_for_timeout(500)
    seen.shot("browsed")
    page.keyboard.press("?")
    page.wait_for_selector("dialog")
    seen.shot("keys")
    page.keyboard.press("Escape")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.click("#theme")
    assert page.evaluate(ground) != light
    page.evaluate("location.hash = '#/view/made%2Fnothing'")
    page.wait_for_selector("main .error")
    assert page.inner_text("main .error") == "There is no such volume here."
    seen.shot("error")
    seen.wrong.clear()
    seen.close()


def test_a_narrow_page_has_no_width_to_spare_and_a_replaced_file_is_shown_anew(browser, live, shots):
    path = live.folder / "replaced.nii.gz"
    write_nifti(path, noisy((24, 48, 40)))
    seen = Seen(browser(False), live, shots, "narrow")
    page = seen.page
    page.set_viewport_size({"width": 420, "height": 800})
    fits = "document.documentElement.scrollWidth <= innerWidth"
    pair = "#/compare/phantom%2F1/files%2F0%2Freplaced.nii.gz"
    for address, shown in (("#/", ".welcome"), ("#/view/phantom%2F1", ".about"), (pair, ".pair canvas")):
        page.evaluate(f"location.hash = '{address}'")
        page.wait_for_selector(shown)
        page.wait_for_timeout(700)
        assert page.evaluate(fits), address
        seen.shot(f"{address.split('/')[1] or 'first'}")
    assert page.inner_text(".pair figure:nth-child(1)").count("PHANTOM") == 1
    assert "SYNTHETIC" not in page.inner_text(".pair figure:nth-child(2)")
    page.evaluate("location.hash = '#/view/files%2F0%2Freplaced.nii.gz'")
    page.wait_for_selector(".about")
    assert "24 × 48 × 40" in page.inner_text(".about")
    write_nifti(path, noisy((30, 48, 40)))
    page.hover('canvas[data-plane="axial"]')
    for _ in range(4):
        page.mouse.wheel(0, -100)
    seen.until("document.querySelector('.about')?.innerText.includes('30 × 48 × 40')")
    assert page.inner_text("#message") == "The file has changed; this is what it holds now."
    seen.wrong.clear()  # the browser itself notes the status 409
    seen.close()
    path.unlink()


def test_a_large_volume_opens_and_scrolls_without_webgl(browser, live, shots):
    write_nifti(live.folder / "large.nii.gz", noisy((201, 512, 512)))
    seen = Seen(browser(False), live, shots, "large")
    page = seen.page
    page.evaluate("location.hash = '#/view/files%2F0%2Flarge.nii.gz'")
    assert seen.drawn() == "slices"
    before = seen.planes()
    assert {name: greys(pixels) >= 50 for name, pixels in before.items()} == dict.fromkeys(PLANES, True)
    page.hover('canvas[data-plane="axial"]')
    for _ in range(20):
        page.mouse.wheel(0, -100)
    page.wait_for_timeout(800)
    assert (np.abs(seen.planes()["axial"] - before["axial"]).max(-1) > 5).mean() > 0.1
    seen.shot("volume")
    seen.close()


def test_neither_page_nor_server_leaves_this_machine(live):
    """The last test here: what the server connected to during all of them."""
    assert [line for line in live.log.read_text().splitlines() if "127.0.0.1" not in line] == []


def test_niivue_is_the_published_file():
    vendor = Path(__file__).parents[2] / "generatect" / "web" / "static" / "vendor"
    recorded = json.loads((vendor / "niivue.json").read_text())
    content = (vendor / recorded["file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == recorded["sha256"]
    assert recorded["version"].startswith("0.69.")
    assert "BSD 2-Clause" in (vendor / "LICENSE-niivue.txt").read_text()
    assert re.search(rf"vendor/{re.escape(recorded['file'])}", (vendor.parent / "js" / "webgl.js").read_text())
