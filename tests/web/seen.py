"""A page in a browser, as its user sees it."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

PLANES = ("axial", "coronal", "sagittal")
QUADRANTS = {"axial": (0, 0), "coronal": (0, 1), "sagittal": (1, 0)}
LAPTOP = {"width": 1280, "height": 720}


class Seen:
    """A page that remembers what it asked for and what went wrong in it."""

    def __init__(self, browser, live, shots: Path, name: str, scheme: str = "light") -> None:
        self.context = browser.new_context(viewport=LAPTOP, color_scheme=scheme, accept_downloads=True)
        self.page, self.shots, self.name = self.context.new_page(), shots, name
        self.requests, self.wrong = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda line: self.wrong.append(line.text) if line.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"dialog {dialog.message}"))
        self.page.set_default_timeout(90_000)
        self.page.goto(live.address)
        self.page.wait_for_selector("#report")

    def shot(self, what: str) -> None:
        self.page.screenshot(path=self.shots / f"{self.name}-{what}.png")

    def generate(self, prompt: str, seed: int) -> str:
        """Fills in the form, waits until the volume is drawn, and returns its id."""
        self.page.click('[data-tab="new"]')
        self.page.fill("#report", prompt)
        self.page.fill("#seed", str(seed))
        before = self.page.evaluate("location.hash")
        self.page.click("#generate")
        self.until(f"location.hash !== {json.dumps(before)}")
        self.until("location.hash.startsWith('#/view/') && Boolean(document.querySelector('[data-drawn]'))")
        return self.page.evaluate("decodeURIComponent(location.hash.slice('#/view/'.length))")

    def drawn(self) -> str:
        return self.page.wait_for_selector("[data-drawn]").get_attribute("data-drawn")

    def planes(self) -> dict[str, np.ndarray]:
        """The pixels of each plane, as on the screen."""
        if self.drawn() == "niivue":
            picture = self.pixels('canvas[data-plane="niivue-planes"]')
            rows, columns = (size // 2 for size in picture.shape[:2])
            return {
                name: picture[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns]
                for name, (row, column) in QUADRANTS.items()
            }
        return {name: self.pixels(f'canvas[data-plane="{name}"]') for name in PLANES}

    def pixels(self, selector: str) -> np.ndarray:
        with Image.open(io.BytesIO(self.page.locator(selector).first.screenshot())) as picture:
            return np.asarray(picture.convert("RGB")).astype(int)

    def until(self, expression: str) -> None:
        """Waits for it; the page's own policy forbids Playwright's way, which evaluates a string."""
        for _ in range(1200):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(expression)

    def close(self) -> None:
        asked = [url for url in self.requests if not url.startswith(("data:", "blob:"))]
        assert asked
        assert [url for url in asked if not url.startswith("http://127.0.0.1:")] == []
        assert self.wrong == []
        self.context.close()
