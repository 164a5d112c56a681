"""The same page without script: it says the same, fits, and offers nothing that would need one."""

from difflib import unified_diff

from playwright.sync_api import Page

from tests.journeys.looking import WIDTHS, fits

# What only a script fills, and what stands there only without one.
_SCRIPTED = "noscript, [data-copy], [data-keys], [data-said], [data-status], #strange-words"
# Evaluated where no script may run: it must not wait for anything.
_SAID = """left_out => {
  const main = document.querySelector('main').cloneNode(true)
  for (const each of main.querySelectorAll(left_out)) each.remove()
  for (const time of main.querySelectorAll('time[title]')) time.textContent = time.title
  return main.textContent.replace(/\\s+/g, ' ').trim()
}"""
_DEAD = """() => [...document.querySelectorAll('main button[type=button], main progress, main [data-keys]')]
    .filter(each => each.checkVisibility() && !each.parentElement.querySelector('a[href]'))
    .map(each => each.outerHTML.slice(0, 80))"""


def faults(plain: Page, page: Page) -> list[str]:
    """What is wrong with what `page` shows when `plain`, in which no script runs, opens it."""
    plain.goto(page.url)
    found = [f"without script: {fault}" for width in WIDTHS for fault in fits(plain, width)]
    if not page.url.endswith("/_styleguide"):  # whose buttons are samples
        found += [f"does nothing without script: {each}" for each in plain.evaluate(_DEAD)]
    if said(plain) != said(page):
        page.reload()  # something happened meanwhile: once more, one right after the other
        plain.reload()
        here, there = said(page), said(plain)
        if here != there:
            differs = list(unified_diff(here.split(), there.split(), n=2, lineterm=""))[3:]
            found.append(f"says something else without script: {' '.join(differs)[:300]}")
    return found


def said(page: Page) -> str:
    """The text of the page's main part, with times as the server tells them."""
    text: str = page.evaluate(_SAID, _SCRIPTED)
    return text
