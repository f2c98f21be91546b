"""The page as a person sees it: a real worker with orders in every state, in a real browser, small and large.

Skipped, loudly, where there is no Chromium or no playwright.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import outside
import page_scene
import pytest
from page_scene import FAINT, GOOD, IMAGE, REFUSED, SCRIPT, SHUT, Scene

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is missing: NOTHING was proven about the page in a browser"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is missing: NOTHING was proven about the page in a browser"
)

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
PHONE, DESK = (360, 740), (1280, 900)
LOOKS = [(size, scheme) for size in (PHONE, DESK) for scheme in ("light", "dark")]
# A worker that was killed: the page says so within so many ms, and a fresh one is noticed in as many.
NOTICED_MS = 30_000
COLOURS_MIN = 12
CONTRAST_MIN = 4.5

# Every line of visible text with its box and the contrast of its colours.
TEXTS = """
() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const back = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    const parent = node.parentElement;
    if (!node.textContent.trim() || !parent.checkVisibility()) continue;
    if (parent.closest("noscript, thead, legend")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const style = getComputedStyle(parent);
    const colour = rgb(parent.closest("svg") ? style.fill : style.color);
    const [high, low] = [light(colour), light(back(parent))].sort((a, b) => b - a);
    for (const box of range.getClientRects()) {
      if (box.width < 1 || box.height < 1) continue;
      found.push({ text: node.textContent.trim().slice(0, 60), left: box.left, top: box.top + scrollY,
        right: box.right, bottom: box.bottom + scrollY, contrast: (high + 0.05) / (low + 0.05),
        sticky: parent.closest(".top") !== null });
    }
  }
  return found;
}
"""
ORDERS = "(count) => document.querySelectorAll('#orders tbody tr').length === count"
PICTURE = """
async (base64) => {
  const image = new Image();
  image.src = "data:image/png;base64," + base64;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const colours = new Set(new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer));
  return { width: image.width, height: image.height, colours: colours.size };
}
"""


@dataclass
class Look:
    """One page in one browser, and whatever went wrong in it."""

    page: Any
    complaints: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        """The words in an element as they are shown."""
        return str(self.page.inner_text(selector))

    def settle(self, url: str) -> None:
        """Open it, and wait until the script has drawn everything."""
        self.page.goto(url)
        self.page.wait_for_selector("#charts:not([hidden]) svg path", state="attached")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for all looks."""
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield chromium
        chromium.close()


@contextmanager
def looking(browser: Any, size: tuple[int, int] = DESK, scheme: str = "light", **more: Any) -> Iterator[Look]:
    """A fresh browser window."""
    viewport = {"width": size[0], "height": size[1]}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, **more)
    page = context.new_page()
    look = Look(page)
    page.on("console", lambda said: look.complaints.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: look.complaints.append(f"error: {error}"))
    page.on("requestfailed", lambda request: look.complaints.append(f"failed: {request.url}"))
    page.on("request", lambda request: note_foreign(look, request.url))
    page.on("response", lambda answer: note_status(look, answer))
    page.on("dialog", lambda dialog: (look.complaints.append("dialog"), dialog.dismiss()))
    yield look
    context.close()


def note_foreign(look: Look, url: str) -> None:
    """Nothing may be asked of anybody else."""
    if not url.startswith(("http://127.0.0.1:", "data:")):
        look.complaints.append(f"foreign: {url}")


def note_status(look: Look, answer: Any) -> None:
    """Every answer is a good one."""
    if answer.status >= 400:
        look.complaints.append(f"{answer.status}: {answer.url}")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A worker that has been through everything."""
    with page_scene.scene(tmp_path_factory.mktemp("page")) as stage, stage.worker() as worker:
        page_scene.play(stage, worker)
        yield stage


def overlapping(texts: list[dict[str, Any]]) -> list[str]:
    """Pairs of texts that cover each other by more than a hair; what sticks may cover what scrolls."""
    found = []
    for at, one in enumerate(texts):
        for other in texts[at + 1 :]:
            wide = min(one["right"], other["right"]) - max(one["left"], other["left"])
            high = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
            if wide > 1 and high > 2 and one["sticky"] == other["sticky"]:
                found.append(f"{one['text']!r} and {other['text']!r} by {wide:.0f} x {high:.0f}")
    return found


def picture(browser: Any, png: bytes) -> dict[str, int]:
    """Width, height and number of colours of a screenshot, by the browser's own decoder."""
    with looking(browser) as blank:
        found: dict[str, int] = blank.page.evaluate(PICTURE, base64.b64encode(png).decode())
    return found


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_everything_is_there_readable_and_apart(
    browser: Any, played: Scene, size: tuple[int, int], scheme: str, tmp_path: Path
) -> None:
    with looking(browser, size, scheme) as look:
        look.settle(played.url)
        look.page.check("#more")

        texts = look.page.evaluate(TEXTS)
        widths = look.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        png = look.page.screenshot(path=tmp_path / "page.png", full_page=True)

        assert look.text("#mode-word") == "TESTNET"
        assert look.text("#word") == "Trading in part"
        assert "ETHUSDT is blocked: ew1-" in look.text("#why")
        assert f"SOLUSDT is halted: odd prices {IMAGE}" in look.text("#why")
        assert look.page.locator("#executions tbody tr").count() == GOOD + REFUSED + 2 * SHUT + FAINT + 5
        assert SCRIPT in look.text("#executions")
        assert "Margin is insufficient" in look.text("#executions")
        assert "execution-worker inspect ew1-" in look.text("#unresolved")
        assert "execution-worker resume --symbol SOLUSDT" in look.text("#halts")
        assert "Exchange: weight per minute" in look.text("#limits")
        assert "seed 7, passed 1 h ago" in look.text("#drills")
        assert look.complaints == []
    assert len(texts) > 150
    assert widths[0] <= widths[1] == size[0]
    assert overlapping(texts) == []
    assert [one for one in texts if one["contrast"] < CONTRAST_MIN] == []
    assert [one for one in texts if one["left"] < 0 or one["right"] > size[0] + 0.5] == []
    shot = picture(browser, png)
    assert shot["width"] == size[0]
    assert shot["height"] > size[1]
    assert shot["colours"] >= COLOURS_MIN


def test_texts_that_cover_each_other_and_pale_ones_are_noticed(browser: Any, played: Scene) -> None:
    with looking(browser, PHONE) as look:
        look.settle(played.url)
        look.page.evaluate("""() => {
          const [one, other] = document.querySelectorAll(".fact dt");
          other.style.position = "relative";
          other.style.left = (one.getBoundingClientRect().left - other.getBoundingClientRect().left) + "px";
          one.style.color = "#cccccc";
        }""")

        texts = look.page.evaluate(TEXTS)

        assert (
            overlapping(texts) == [one for one in overlapping(texts) if "'Success' and 'Failed'" in one] != []
        )
        assert [one["text"] for one in texts if one["contrast"] < CONTRAST_MIN] == ["Success"]


def test_the_choice_shows_orders_alone(browser: Any, played: Scene) -> None:
    with looking(browser) as look:
        look.settle(played.url)
        assert look.page.is_visible("#executions")
        assert not look.page.is_visible("#orders")

        look.page.check("#no-skips")

        assert not look.page.is_visible("#executions")
        rows = look.page.locator("#orders tbody tr:visible")
        assert rows.count() == 15
        assert "skip" not in look.text("#orders tbody")
        assert look.complaints == []


def test_without_a_script_it_tells_the_same_and_loads_itself_anew(browser: Any, played: Scene) -> None:
    with looking(browser, PHONE, java_script_enabled=False) as plain, looking(browser, PHONE) as look:
        plain.page.goto(played.url)
        look.settle(played.url)

        assert plain.text("#word") == look.text("#word")
        for section in ("#halts", "#lanes h2", "#executions", "#orders h2", "#drills"):
            assert plain.text(section) == look.text(section)
        assert "loads itself anew" in plain.text("footer")
        first = plain.text("#at")
        plain.page.wait_for_function(
            "first => document.getElementById('at').textContent !== first", arg=first
        )
        assert plain.complaints == look.complaints == []


def test_it_has_landmarks_and_one_headline_and_names_for_its_pictures(browser: Any, played: Scene) -> None:
    with looking(browser) as look:
        look.settle(played.url)

        assert [look.page.locator(part).count() for part in ("main", "body header", "footer", "h1")] == [
            1,
            1,
            1,
            1,
        ]
        assert look.page.get_attribute("html", "lang") == "en"
        unnamed = look.page.evaluate("[...document.querySelectorAll('svg')].filter(s => !s.ariaLabel).length")
        assert unnamed == 0
        assert look.page.locator("[aria-live=polite], [role=alert]").count() == 2
        assert look.page.locator("th:not([scope])").count() == 0


def test_a_worker_that_dies_is_missed_and_one_that_comes_back_is_followed(
    browser: Any, tmp_path: Path
) -> None:
    with page_scene.scene(tmp_path) as stage, looking(browser, PHONE) as look:
        with stage.worker() as worker:
            look.settle(stage.url)
            page_scene.write(stage.output, "BTCUSDT", {"score": 1.5})
            look.page.wait_for_function(ORDERS, arg=1)
            assert not look.page.is_visible("#stale")
            assert look.complaints == []
            worker.process.kill()
            worker.process.wait(outside.PATIENCE_S)

            look.page.wait_for_selector("#stale", state="visible", timeout=NOTICED_MS)

        assert "The worker does not answer." in look.text("#stale")
        assert "Last answer " in look.text("#stale-age")
        assert look.page.title() == "NO ANSWER · execution-worker"
        assert overlapping(look.page.evaluate(TEXTS)) == []
        with stage.worker() as worker:
            look.page.wait_for_selector("#stale", state="hidden", timeout=NOTICED_MS)
            page_scene.write(stage.output, "BTCUSDT", {"score": -1.5})
            look.page.wait_for_function(ORDERS, arg=2)

            assert look.page.title().startswith("TESTNET · ")
            assert json.loads(worker.get("/status"))["ready"] is True
