"""The report's page in headless Chromium: it draws, clicks and keys work, nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.browser import CHROMIUM, Browser, browser
from helpers.pages import page, page_of_three

from mergesearch.report.page.html import render_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here: apt-get install chromium"),
]
MARK = "document.querySelector('.mark[data-trial=\"{}\"]')"
LEFT = "document.querySelector('#comparison h3').closest('#comparison').innerText"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_page(page()), encoding="utf-8")
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_draws_without_messages_and_loads_nothing(
    tab: Browser, file: Path, width: int, dark: bool
) -> None:
    tab.messages.clear()
    tab.requests.clear()
    tab.open(file, width, 900, dark=dark)
    assert tab.messages == []
    assert [url for url in tab.requests if not url.startswith(("file:", "data:"))] == []
    assert tab.value("document.querySelectorAll('.mark').length") == 5
    assert tab.value(f"document.documentElement.scrollWidth <= {width}")
    sizes = "[...document.querySelectorAll('body *')].filter((node) => node.textContent.trim())"
    smallest = f"Math.min(...{sizes}.map((node) => parseFloat(getComputedStyle(node).fontSize)))"
    assert tab.value(smallest) >= 12


def test_three_objectives_are_drawn_in_pairs_and_by_colour(tab: Browser, tmp_path: Path) -> None:
    path = tmp_path / "three.html"
    path.write_text(render_page(page_of_three()), encoding="utf-8")
    tab.messages.clear()
    tab.open(path, 1280, 900)
    assert tab.value("document.querySelectorAll('.pairs svg .mark').length") == 3 * 5
    colour = "[...document.querySelectorAll('label')].find((one) => one.innerText.match('colour'))"
    tab.value(
        f"(() => {{ const select = {colour}.querySelector('select'); select.value = '2';"
        " select.dispatchEvent(new Event('change')); })()"
    )
    fills = "[...document.querySelectorAll('.mark > :last-child')].map((one) => one.style.fill"
    assert tab.value(f"new Set({fills} || one.getAttribute('fill'))).size") > 5
    legend = tab.value("document.querySelector('.legend').innerText").split("\n")
    assert {"words 2", "words 4.5", "words 7"} <= set(legend)
    assert tab.messages == []


def test_hostile_texts_are_texts(tab: Browser, file: Path) -> None:
    tab.open(file, 1280, 900)
    tab.value("for (const more of document.querySelectorAll('details')) more.open = true")
    assert "stolen" in tab.value("document.querySelector('h1').textContent")
    assert tab.value("document.title").startswith("night </script>")
    assert tab.value("document.querySelectorAll('img').length") == 0
    assert "onerror=alert" in tab.value("document.querySelector('.card').textContent")


def test_a_click_puts_a_trial_beside_the_one_before(tab: Browser, file: Path) -> None:
    tab.open(file, 1280, 900)
    for number in (0, 1):
        place = tab.value(
            f"(() => {{ const box = {MARK.format(number)}.getBoundingClientRect();"
            " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            tab.ask(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )
    shown = tab.value("document.querySelector('#comparison').textContent")
    assert "trial 1 is right, trial 0 is wrong" in shown
    assert tab.value("document.querySelectorAll('.mark.pinned').length") == 2


def test_the_keyboard_reaches_every_mark(tab: Browser, file: Path) -> None:
    tab.open(file, 1280, 900)
    stops = "document.querySelectorAll('.mark[tabindex=\"0\"]').length"
    assert tab.value(stops) == 1
    tab.value("document.querySelector('.mark[tabindex=\"0\"]').focus()")
    first = tab.value("document.activeElement.dataset.trial")
    tab.press("ArrowRight")
    second = tab.value("document.activeElement.dataset.trial")
    assert (first, second) == ("1", "4")
    assert not tab.value("document.querySelector('.tip').hidden")
    tab.press("Enter")
    assert tab.value("document.querySelector('#comparison').textContent").count("trial 4") > 2
    assert tab.value("document.activeElement.dataset.trial") == "4"


def test_differences_are_those_of_the_paired_comparison(tab: Browser, file: Path) -> None:
    from helpers.pages import OBJECTIVES, items

    from mergesearch.objectives import paired_difference

    tab.open(file, 1280, 900)
    for axis, objective in enumerate(OBJECTIVES.objectives):
        found = tab.value(f"pairedDifference(page, page.items.search, {axis}, 1, 5)")
        ours = paired_difference(objective, items(1), items(5))
        low, high = ours.interval()
        assert found["value"] == pytest.approx(ours.value)
        assert (found["low"], found["high"]) == pytest.approx((low, high), abs=1e-6)
        assert (found["better"], found["worse"], found["n"]) == (ours.better, ours.worse, ours.n)
