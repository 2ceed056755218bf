"""A file on its way in, in a real browser: recognised, its columns named, tried, kept, imported."""

import re

import pytest
from playwright.sync_api import expect

from journeys.conftest import Eyes
from journeys.test_console import log_in, switch_language

pytestmark = pytest.mark.slow


def file_for(eyes: Eyes) -> dict[str, object]:
    """Return a till's export of three hours, one value of it a word; each screen has its own shop."""
    shop = f"SHOP-{eyes.width_px}"
    rows = [
        f"{shop};01.11.2026 {at // 4:02}:{at % 4 * 15:02};{'viel' if at == 2 else '1,25'}" for at in range(12)
    ]
    content = "\n".join(["Ort;Zeit;Bezug (kWh)", *rows])
    return {"name": "till.csv", "mimeType": "text/csv", "buffer": content.encode()}


def test_a_file_is_explained_tried_and_imported(eyes: Eyes) -> None:
    log_in(eyes)
    eyes.go("/jobs/import/")
    eyes.page.get_by_label("File", exact=True).set_input_files(files=[file_for(eyes)])  # type: ignore[list-item]
    eyes.page.get_by_role("button", name="Go on").click()
    eyes.look()
    expect(eyes.page.get_by_text("This was guessed.")).to_be_visible()
    expect(eyes.page.get_by_label("Bezug (kWh) is")).to_have_value("value")
    expect(eyes.page.get_by_label("Zeit is")).to_have_value("time")
    eyes.page.get_by_label("Ort is").select_option("usage_point")
    eyes.page.get_by_label("A time names").select_option("end")
    eyes.page.get_by_label("channel of Bezug (kWh)").fill("till")
    eyes.page.get_by_role("button", name="Try").click()
    eyes.look()
    tried = eyes.page.locator("#tried")
    expect(tried.get_by_text("4:3")).to_be_visible()
    expect(tried.get_by_text("13.75 kWh")).to_be_visible()
    eyes.page.get_by_label("Keep these columns under a name").fill("till")
    eyes.page.get_by_role("button", name="Keep only").click()
    eyes.look()
    expect(eyes.page.get_by_text("Kept as “till”.")).to_be_visible()
    eyes.page.get_by_label("Kept columns").select_option("till")
    eyes.page.get_by_role("button", name="Use").click()
    eyes.look()
    expect(eyes.page.get_by_label("channel of Bezug (kWh)")).to_have_value("till")
    eyes.page.get_by_role("button", name="Import").click()
    expect(eyes.page.get_by_text("Done")).to_be_visible()
    eyes.look()
    expect(eyes.page.get_by_text("4:3")).to_be_visible()
    eyes.go(f"/points/?q=SHOP-{eyes.width_px}")
    expect(eyes.page.get_by_role("link", name=f"SHOP-{eyes.width_px}").first).to_be_visible()


def test_what_is_wrong_is_said_beside_it_in_both_languages(eyes: Eyes) -> None:
    log_in(eyes)
    eyes.go("/jobs/import/")
    eyes.page.get_by_label("File", exact=True).set_input_files(files=[file_for(eyes)])  # type: ignore[list-item]
    eyes.page.get_by_role("button", name="Go on").click()
    eyes.look()
    address = re.sub(r"^https?://[^/]+", "", eyes.page.url)
    switch_language(eyes, "简体中文")
    eyes.go(address)
    expect(eyes.page.get_by_text("每一列是什么？")).to_be_visible()
    eyes.page.get_by_label("Zeit 是").select_option("")
    eyes.page.get_by_role("button", name="试运行").click()
    eyes.look()
    expect(eyes.page.get_by_role("alert")).to_be_visible()
    eyes.page.get_by_role("button", name="丢弃文件").click()
    eyes.look()
    assert eyes.page.url.endswith("/jobs/import/")
    switch_language(eyes, "English")
    eyes.complaints[:] = [told for told in eyes.complaints if "422" not in told]  # the refusal itself
