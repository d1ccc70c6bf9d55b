"""The page without a server, in a browser."""

import json

from generatect.ct.nifti import write_nifti
from generatect.phantom.pairs import PhantomPairs

SCRIPT = '</script><script>document.title="owned"</script><img src=x onerror=alert(1)>'


def test_the_page_scrolls_in_a_browser(browser, command, tmp_path):
    """From the disk, without a server: scrolled by wheel and keys, in three windows, asking for nothing."""
    scan = tmp_path / "a scan.nii.gz"
    write_nifti(scan, PhantomPairs(num=1, seed=5, native_shape_zyx=(24, 64, 56)).volume(0))
    sidecar = {"notice": "SYNTHETIC: not a patient. PHANTOM", "prompt": SCRIPT}
    scan.with_name("a scan.json").write_text(json.dumps(sidecar))
    assert command("render", f"input={scan}", f"output={tmp_path / 'out'}", "views=[html]").code == 0
    page = browser(False).new_page(viewport={"width": 1280, "height": 720})
    asked, wrong = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.goto((tmp_path / "out" / "a scan.html").as_uri())
    page.wait_for_selector("[data-drawn]")

    def greys() -> list[int]:
        return page.evaluate(
            """() => [...document.querySelectorAll("canvas")].map((canvas) => {
                const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                let sum = 0; const seen = new Set();
                for (let i = 0; i < data.length; i += 4) { seen.add(data[i]); sum += data[i] * (i % 9973); }
                return [seen.size, sum];
            })"""
        )

    first = greys()
    assert all(count >= 50 for count, _ in first[:3])
    page.hover('canvas[data-plane="axial"]')
    page.mouse.wheel(0, -100)
    page.wait_for_timeout(200)
    scrolled = greys()
    assert scrolled[0] != first[0]
    page.keyboard.press("2")
    page.wait_for_timeout(200)
    assert [now != then for now, then in zip(greys()[:3], scrolled[:3], strict=True)] == [True] * 3
    assert SCRIPT in page.inner_text(".about")
    assert "PHANTOM · SYNTHETIC" in page.inner_text(".readout")
    assert page.title() == "a scan"
    assert [url for url in asked if not url.startswith("file:")] == []
    assert wrong == []
