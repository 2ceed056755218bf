"""An operator's day in a real browser, at 390 and at 1 280 px."""

import re

import pytest
from playwright.sync_api import expect

from journeys.conftest import Eyes

PASSWORD = "correct horse battery"
FRAME_START = "68 01 00 00 00 01 26 68 91"
PATHS = (
    "/",
    "/meters/",
    "/meters/add/",
    "/meters/{meter_id}/",
    "/meters/{meter_id}/edit/",
    "/sites/",
    "/sites/1/",
    "/points/",
    "/points/{point_id}/",
    "/links/",
    "/bills/",
    "/bills/{bill_id}/",
    "/bills/{bill_id}/lines/2/",
    "/series/{series_id}/intervals/",
    "/tariffs/",
    "/tariffs/{tariff_id}/",
    "/findings/",
    "/findings/?view=each",
    "/findings/close/?all=1&up_to_id=99",
    "/commands/",
    "/jobs/",
    "/jobs/import/",
    "/audit/",
    "/retention/",
    "/retention/VALUES/",
)
pytestmark = pytest.mark.slow


def log_in(eyes: Eyes, role: str = "operator") -> None:
    """Log a person in."""
    eyes.go("/")
    eyes.page.get_by_label("User name").fill(f"ours-{role}")
    eyes.page.get_by_label("Password").fill(PASSWORD)
    eyes.page.get_by_role("button", name="Log in").click()
    eyes.look()
    expect(eyes.page.get_by_role("heading", name="Overview")).to_be_visible()


def follow(eyes: Eyes, name: str) -> None:
    """Click a link of the page's content and look at where it leads."""
    eyes.page.locator("main").get_by_role("link", name=name, exact=True).first.click()
    eyes.look()


def switch_language(eyes: Eyes, name: str) -> None:
    """Switch the language, behind the menu where the screen is narrow."""
    menu = eyes.page.locator("[data-menu]")
    if menu.is_visible():
        menu.click()
    eyes.page.get_by_role("button", name=name).click()
    eyes.look()


def ask_for_disconnect(eyes: Eyes) -> None:
    """Fill in the reason and the yes of a command's form."""
    eyes.page.get_by_label("Reason").fill("moved out")
    eyes.page.get_by_label(re.compile("I have checked")).check()


def has_colours(eyes: Eyes) -> bool:
    """Whether the profile's canvas shows more than axes."""
    return bool(
        eyes.page.evaluate(
            """() => {
              const canvas = document.querySelector("#profile canvas");
              const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              const seen = new Set();
              for (let i = 0; i < data.length; i += 4) seen.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
              return seen.has("15,123,108") && seen.size > 3;
            }"""
        )
    )


def test_every_page_fits_the_screen_in_both_languages(eyes: Eyes) -> None:
    log_in(eyes, "administrator")
    for language in ("简体中文", "English"):
        switch_language(eyes, language)
        for path in PATHS:
            eyes.go(path.format_map(eyes.served.ids))
            assert eyes.page.locator("main h1").inner_text()


def test_the_language_is_switched(eyes: Eyes) -> None:
    log_in(eyes, "viewer")
    switch_language(eyes, "简体中文")
    expect(eyes.page.get_by_role("heading", name="总览")).to_be_visible()
    expect(eyes.page.locator("html")).to_have_attribute("lang", "zh-hans")
    switch_language(eyes, "English")
    expect(eyes.page.get_by_role("heading", name="Overview")).to_be_visible()
    assert eyes.complaints == []


def test_a_meter_is_found_and_its_profile_drawn(eyes: Eyes) -> None:
    log_in(eyes)
    eyes.go("/meters/")
    expect(eyes.page.locator("#meter-table tbody tr")).to_have_count(2)
    eyes.page.get_by_label("Search").fill("260100000001")
    expect(eyes.page.locator("#meter-table tbody tr")).to_have_count(1)
    expect(eyes.page).to_have_url(re.compile("q=260100000001"))
    follow(eyes, "260100000001")
    assert has_colours(eyes)
    eyes.page.get_by_role("button", name="24 hours").click()
    expect(eyes.page.get_by_role("button", name="24 hours")).to_have_attribute("aria-pressed", "true")
    expect(eyes.page.locator("#profile canvas")).to_have_count(1)
    expect(eyes.page.get_by_text("230.1 V")).to_be_visible()


def test_from_a_bill_to_a_frame(eyes: Eyes) -> None:
    log_in(eyes)
    eyes.go("/bills/")
    follow(eyes, "2026-10")
    expect(eyes.page.get_by_role("heading", name="Bill 2026-10")).to_be_visible()
    follow(eyes, "Intervals")
    expect(eyes.page.locator("main")).to_contain_text("Sum of what they hold")
    follow(eyes, "Trace")
    expect(eyes.page.locator("main")).to_contain_text(FRAME_START)
    assert eyes.complaints == []


def test_a_month_is_billed_while_one_watches(eyes: Eyes) -> None:
    log_in(eyes)
    eyes.go("/bills/")
    with eyes.served.jobs_held():
        eyes.page.get_by_role("button", name="Bill every usage point").click()
        expect(eyes.page.locator("#job progress")).to_be_visible()
    expect(eyes.page.locator("#job .badge").first).to_have_text("Done")  # without loading it again
    expect(eyes.page.locator("#job")).to_contain_text("Bills unchanged")
    eyes.look()
    assert eyes.complaints == []


def test_findings_are_closed_in_groups(eyes: Eyes) -> None:
    log_in(eyes)
    eyes.go("/findings/")
    eyes.page.get_by_role("checkbox").first.check()
    eyes.page.get_by_role("button", name="Close those ticked").click()
    expect(eyes.page.get_by_role("heading", name="Close findings")).to_be_visible()
    eyes.look()
    eyes.page.get_by_label("Comment").fill("seen to")
    eyes.page.get_by_role("button", name="Close").click()
    expect(eyes.page.get_by_role("heading", name="Findings")).to_be_visible()
    eyes.look()
    assert eyes.complaints == []


def test_a_supply_is_disconnected(eyes: Eyes) -> None:
    log_in(eyes)
    eyes.go(f"/meters/{eyes.served.ids['meter_id']}/")
    follow(eyes, "Disconnect …")
    expect(eyes.page.locator("main")).to_contain_text("Wang Lihua")
    ask_for_disconnect(eyes)
    eyes.page.get_by_role("button", name="Disconnect now").click()
    expect(eyes.page.locator("#command .badge").first).to_have_text("Queued")  # without loading it again
    eyes.look()
    assert eyes.complaints == []


def test_a_command_to_a_meter_without_a_relay_is_refused(eyes: Eyes) -> None:
    log_in(eyes, "administrator")
    eyes.go(f"/meters/{eyes.served.ids['bare_meter_id']}/commands/DISCONNECT/")
    ask_for_disconnect(eyes)
    eyes.page.keyboard.press("Tab")
    eyes.page.keyboard.press("Enter")  # the whole form works without a mouse
    expect(eyes.page.locator("#command .badge").first).to_have_text("Refused")
    expect(eyes.page.locator("#command")).to_contain_text("commands.no-relay")
    eyes.look()
    assert eyes.complaints == []
