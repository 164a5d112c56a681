"""What goes on from day to day in the hub of the tour: images, refusals, files, and people who ask the laboratory."""

import random
from pathlib import Path

import httpx2

from gatekeeper import access, accounts, repos
from gatekeeper.access import RequestState
from gatekeeper.generation import RefusalCode
from gatekeeper.repos import RepoKind
from inference.contract import Refused
from tests.gatekeeper.generation.stub import StubWorker, all_good
from tests.gatekeeper.web.site import Site, ask_for_access

# By days ago.
_ORDERS = {15: 1, 14: 2, 13: 3, 12: 1, 10: 4, 9: 3, 8: 5, 7: 2, 6: 1, 5: 6, 4: 5, 3: 7, 2: 4, 1: 6}
_REFUSED = {14: 3, 13: 2, 12: 5, 11: 4, 10: 2, 9: 6, 8: 3, 7: 8, 6: 11, 5: 7, 4: 4, 3: 3, 2: 5, 1: 4}
_FILES = {17: 2_100_000, 12: 3_400_000, 10: 1_200_000, 7: 5_600_000, 6: 2_300_000, 3: 4_100_000, 1: 1_700_000}
_ASKED = {12: ("germain",), 10: ("curie", "kahn"), 8: ("hopper", "franklin", "johnson"), 6: ("lovelace", "noether"),
          4: ("lamarr",), 3: ("meitner", "turing"), 1: ("wu",)}  # fmt: skip
_ANSWERED = 2
_PROMPTS = ("a red apple", "a rocket", "a cat", "two cherries", "a green tree", "a blue fish")
_BAD = "weapons"


class Days:
    """Lives one day after the other."""

    def __init__(self, site: Site, model: str, folder: Path) -> None:
        self._site, self._model, self._folder = site, model, folder
        self._chance = random.Random(7)
        self._browsers: dict[str, httpx2.AsyncClient] = {}
        site.worker(StubWorker(lambda order: [_NO] if _BAD in order.prompt else all_good(order)))

    async def as_(self, name: str) -> httpx2.AsyncClient:
        """This person's browser of this day."""
        if name not in self._browsers:
            self._browsers[name] = await self._site.as_(name)
        return self._browsers[name]

    async def pass_one(self, ago: int) -> None:
        """All of this day; whoever signed in is signed out with it."""
        for number in range(_ORDERS.get(ago, 0)):
            await self._order(("hopper", "noether")[number % 2], _PROMPTS[number % len(_PROMPTS)])
        if ago % 5 == 0:
            await self._order("hopper", _BAD)
        for number in range(_REFUSED.get(ago, 0)):
            browser = self._site.browser() if number % 3 else await self.as_("lovelace" if number % 2 else "germain")
            refused = await browser.get(f"{self._model}/resolve/main/unet/config.json")
            assert refused.status_code in (401, 403), refused.status_code
        await self._site.gatekeeper.refusals.write(self._site.gatekeeper.db)
        if size := _FILES.get(ago):
            await self._upload(f"part-{ago:02}.parquet", size)
        for name in _ASKED.get(ago, ()):
            answer = await ask_for_access(await self.as_(name), "/lab/sketch")
            assert answer.status_code == 303, answer.text
        if ago == _ANSWERED:
            await self._answer()
        self._browsers.clear()

    async def _order(self, name: str, prompt: str) -> None:
        order = {
            "prompt": prompt,
            "steps": "20",
            "guidance": "4",
            "images": "1",
            "seed": f"{self._chance.randrange(99)}",
        }
        answer = await (await self.as_(name)).post(f"{self._model}/playground", data=order)
        assert answer.status_code == 303, answer.text

    async def _upload(self, name: str, size: int) -> None:
        house, folder = self._site.gatekeeper, self._folder / "to-upload"
        folder.mkdir()
        (folder / name).write_bytes(self._chance.randbytes(size))
        prepared = await repos.transfer.prepare(house.store, folder, kind=RepoKind.DATASET)
        async with house.db.write() as session:
            repo = await repos.require(session, RepoKind.DATASET, "lab/emoji-names")
            by = await accounts.principals.for_person(session, self._site.people["grace"])
            await repos.transfer.commit_prepared(session, house.store, repo, prepared, by=by, summary=f"Add {name}")
        (folder / name).unlink()
        folder.rmdir()

    async def _answer(self) -> None:
        """All who wait are let in, but the newest."""
        async with self._site.gatekeeper.db.write() as session:
            repo = await repos.require(session, RepoKind.MODEL, "lab/sketch")
            by = await accounts.principals.for_person(session, self._site.people["grace"])
            for day in sorted(_ASKED, reverse=True)[:-2]:
                for name in _ASKED[day]:
                    request = await access.latest_request(session, self._site.people[name].id, repo.id)
                    if request is not None and request.state is RequestState.IN_REVIEW:
                        await access.approve(session, request, by=by)


_NO = Refused(code=RefusalCode.PROMPT_SCREENED, reason="No weapons are drawn here.", rule_ids=("weapons.firearms",))
