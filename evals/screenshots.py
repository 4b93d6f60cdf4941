"""The README's pictures of the chat page: ``python -m evals.screenshots`` writes ``docs/page-*.png``."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from evals.bench.page import served

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_COLOURS = 128
_DESKTOP = {"viewport": {"width": 1280, "height": 860}}
_PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True}


def main() -> None:
    """Ask in a fresh browser for each picture and write what is seen."""
    with served() as url, sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )

        def asked(question: str, **options: Any) -> Any:
            page = browser.new_context(**options).new_page()
            page.goto(url)
            page.locator("#question textarea").fill(question)
            page.keyboard.press("Enter")
            page.locator("article:not([aria-busy])").wait_for()
            return page

        def opened(page: Any, number: int) -> Any:
            page.locator("article .cite").nth(number - 1).click()
            page.locator("#source mark").first.wait_for()
            page.mouse.move(0, 0)
            return page

        law = "Do we have to tell users that they talk to an AI?"
        loading = "May I load a .bin checkpoint I found on a model hub?"
        _write("desktop", opened(asked(law, **_DESKTOP), 1))
        _write("dark", opened(asked(loading, **_DESKTOP, color_scheme="dark"), 3))
        _write("phone", asked(loading, **_PHONE))
        browser.close()


def _write(name: str, page: Any) -> None:
    page.wait_for_function("document.querySelector('#quote').hidden")
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    few = picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    few.save(_DOCS / f"page-{name}.png", optimize=True)


if __name__ == "__main__":
    main()
