"""A table with a day a row (日96点曲线), in GBK, through the page in a real browser, in both languages."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from journeys.conftest import Eyes
from journeys.test_console import log_in, switch_language

pytestmark = pytest.mark.slow
QUARTERS = [f"{at // 4:02}:{at % 4 * 15:02}" for at in range(96)]
WORDS = {
    "English": {
        "file": "File",
        "on": "Go on",
        "guessed": "This was guessed.",
        "more": "95 more columns, 00:15 to 23:45",
        "try": "Try",
        "import": "Import",
        "done": "Done",
        "wrong": "This is not a number.",
        "all": "All intervals",
    },
    "简体中文": {
        "file": "文件",
        "on": "继续",
        "guessed": "以下为推测结果",
        "more": "另有 95 列，00:15 至 23:45",
        "try": "试运行",
        "import": "导入",
        "done": "已完成",
        "wrong": "不是数字。",
        "all": "全部区间",
    },
}


@pytest.fixture(params=list(WORDS))
def language(request: pytest.FixtureRequest, eyes: Eyes) -> Iterator[str]:
    """One language of a person who logs in; English again afterwards."""
    own: str = request.param
    log_in(eyes)
    if own != "English":
        switch_language(eyes, own)
    yield own
    if own != "English":
        eyes.go("/jobs/")
        switch_language(eyes, "English")


def table_of(point: str) -> dict[str, object]:
    """Return two days of 96 quarters in the code page of the trade's spreadsheets; one cell is a word."""
    first = [point, "2026-11-01", *("0.25" if at != 5 else "坏" for at in range(96))]
    rows = [["户号", "日期", *QUARTERS], first, [point, "2026-11-02", *["0.5"] * 96]]
    content = "\r\n".join(",".join(cells) for cells in rows).encode("gbk")
    return {"name": "日96点曲线.csv", "mimeType": "text/csv", "buffer": content}


def test_a_day_a_row_is_tried_imported_and_seen(eyes: Eyes, language: str) -> None:
    words, point = WORDS[language], f"DAY-{'en' if language == 'English' else 'zh'}-{eyes.width_px}"
    eyes.go("/jobs/import/")
    eyes.page.get_by_label(words["file"], exact=True).set_input_files(files=[table_of(point)])  # type: ignore[list-item]
    eyes.page.get_by_role("button", name=words["on"]).click()
    eyes.look()
    expect(eyes.page.get_by_text(words["guessed"])).to_be_visible()
    expect(eyes.page.locator("select[name^=role_]:visible")).to_have_count(3)  # point, day, the first quarter
    eyes.page.get_by_text(words["more"]).click()
    expect(eyes.page.locator("select[name^=role_]:visible")).to_have_count(98)
    eyes.look()
    eyes.page.get_by_role("button", name=words["try"]).click()
    eyes.look()
    tried = eyes.page.locator("#tried")
    expect(tried.get_by_text("2:8")).to_be_visible()
    expect(tried.get_by_text(words["wrong"])).to_be_visible()
    expect(tried.get_by_text("71.75 kWh")).to_be_visible()
    eyes.page.get_by_role("button", name=words["import"], exact=True).click()
    expect(eyes.page.get_by_text(words["done"], exact=True)).to_be_visible()
    eyes.look()
    expect(eyes.page.get_by_text("2:8")).to_be_visible()
    eyes.go(f"/points/?q={point}")
    eyes.page.get_by_role("link", name=point).first.click()
    eyes.look()
    eyes.page.get_by_role("link", name=words["all"]).click()
    eyes.look()
    eyes.go(f"{eyes.page.url.removeprefix(eyes.served.url).split('?')[0]}?day=2026-11-02")
    expect(eyes.page.get_by_text("48.000 kWh")).to_be_visible()
    expect(eyes.page.locator("td.number", has_text="0.500")).to_have_count(96)
