import re

from playwright.sync_api import Locator, Page, expect

from tests.e2e.browser.looks import opened, rows
from tests.e2e.browser.service import Exchange, Receiver, Service, until


def open_event(page: Page) -> Locator:
    """A row whose detail is open."""
    opened(page)
    row = rows(page).filter(has_text="ETH/USDT").first
    row.locator("button").first.click()
    return row


def active(service: Service) -> list[dict[str, object]]:
    return [each for each in service.get("/api/silences")["silences"] if each["active"]]


def test_a_silence_is_made_after_a_question_and_ended_on_the_other_page(page: Page, service: Service) -> None:
    row = open_event(page)
    row.get_by_role("button", name="4 h", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert active(service) == []
    row.get_by_role("button", name="4 h", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("will still be stored and shown here")
    dialog.get_by_role("textbox").fill("<img src=x onerror=alert(1)> maintenance")
    dialog.get_by_role("button", name="Silence").click()
    expect(row.get_by_role("status")).to_contain_text("Silenced for 4 h")
    assert len(active(service)) == 1
    opened(page, "/deliveries")
    silence = page.locator("#silences tbody tr")
    expect(silence).to_contain_text("<img src=x onerror=alert(1)> maintenance")
    assert page.locator("img").count() == 0
    silence.get_by_role("button", name=re.compile("End")).click()
    page.get_by_role("dialog").get_by_role("button", name="End silence").click()
    expect(page.locator("#silences")).to_contain_text("Nothing is silenced")
    assert active(service) == []


def test_a_test_message_goes_out_only_after_a_question(
    page: Page, receiver: Receiver, faults: list[str]
) -> None:
    opened(page, "/deliveries")
    before = len(receiver.bodies)
    endpoint = page.locator("#endpoints tbody tr").first
    expect(endpoint).to_contain_text("works")
    endpoint.get_by_role("button", name=re.compile("Test")).click()
    page.keyboard.press("Escape")
    assert len(receiver.bodies) == before
    endpoint.get_by_role("button", name=re.compile("Test")).click()
    page.get_by_role("dialog").get_by_role("button", name="Send test").click()
    expect(page.locator("#content > [role=status]")).to_contain_text("delivered, status 200")
    assert len(receiver.bodies) == before + 1
    assert faults == []


def test_a_disabled_endpoint_is_enabled_and_a_dead_message_sent_again(
    page: Page, service: Service, exchange: Exchange, receiver: Receiver
) -> None:
    receiver.status = 404
    exchange.liquidate("SOLUSDT", 600_000)
    until(lambda: service.get("/api/deliveries?status=dead")["deliveries"], "a delivery that was refused", 20)
    receiver.status = 200
    opened(page, "/deliveries")
    told = page.locator("#content > [role=status]")
    endpoint = page.locator("#endpoints tbody tr").first
    expect(endpoint).to_contain_text("disabled")
    endpoint.get_by_role("button", name=re.compile("Enable")).click()
    page.get_by_role("dialog").get_by_role("button", name="Enable").click()
    expect(told).to_contain_text("is enabled")
    expect(endpoint).to_contain_text("works")
    page.locator("#status").select_option("dead")
    dead = page.locator("#messages tbody tr").filter(has_text="dead").first
    dead.get_by_role("button", name=re.compile("Tries")).click()
    expect(dead).to_contain_text("404")
    before = len(receiver.bodies)
    dead.get_by_role("button", name=re.compile("Replay")).click()
    page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    expect(told).to_contain_text("on its way again")
    until(lambda: len(receiver.bodies) > before, "the message arrives", 20)
