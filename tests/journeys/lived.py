"""A hub in which many people have lived for weeks, for the tour: `python -m tests.journeys.lived DATA_DIR`.

It is made before the server starts, by a process whose clock begins weeks ago and goes on from day to day, so that
every row has the time at which it would have been made. The demo's model is asked for, answered, reported and changed;
a laboratory beside it has more of everything. All of it goes through the rooms' own verbs or the pages' own forms; only
the images come from a stand-in for the worker. Prints the demo's sign-ins.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import time_machine
from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import access, accounts, community, incidents, releases, repos
from gatekeeper.access import AccessRequest
from gatekeeper.accounts import OPERATOR, Person, Principal, Role
from gatekeeper.app import build
from gatekeeper.cli.demo import NAME, NAMESPACE
from gatekeeper.cli.main import main as command
from gatekeeper.incidents import Severity, linking
from gatekeeper.kit.clock import now
from gatekeeper.notices import webhooks
from gatekeeper.releases import Ladder, Stage
from gatekeeper.repos import AddFile, Repo, RepoKind
from gatekeeper.settings import Settings
from gatekeeper.tokens import services
from gatekeeper.worker import sum_up
from tests.gatekeeper.web.site import PASSWORD, Site, ask_for_access
from tests.journeys import reports
from tests.journeys.days import Days

MODEL = f"/{NAMESPACE}/{NAME}"
_WEEKS = timedelta(days=20)
APPLICANTS = {  # name: (full name, affiliation, purpose)
    "noether": ("Emmy Noether", "University of Göttingen", "Research on safety or bias"),
    "turing": ("Alan Turing", "University of Manchester", "Trying out the hub"),
    "lovelace": ("Ada Lovelace", "None", "Teaching"),
    "hopper": ("Grace Hopper", "Vassar College", "Teaching"),
    "kahn": ("Robert Kahn", "City College", "Research on safety or bias"),
    "wu": ("Chien-Shiung Wu", "Columbia University", "Research on safety or bias"),
    "johnson": ("Katherine Johnson", "West Virginia State", "Teaching"),
    "meitner": ("Lise Meitner", "None: an artist", "other"),
    "franklin": ("Rosalind Franklin", "King’s College London", "Research on safety or bias"),
    "curie": ("Marie Curie", "Sorbonne", "Trying out the hub"),
    "lamarr": ("Hedy Lamarr", "None: posters for a film", "other"),
    "germain": ("Sophie Germain", "École polytechnique", "Teaching"),
}


MEMBERS = ("grace", "kepler", "cannon")  # of organizations


@dataclass
class _Hub:
    """What every act here needs."""

    site: Site
    session: AsyncSession
    by: Principal
    repo: Repo

    async def request(self, name: str) -> AccessRequest:
        """This person's request for the model."""
        found = await access.latest_request(self.session, self.site.people[name].id, self.repo.id)
        assert found is not None, name
        return found


async def live(data_dir: Path, clock: time_machine.Traveller) -> None:
    """Fill the hub in `data_dir`, day by day until today."""
    today = now() + _WEEKS
    app = build(Settings(data_dir=data_dir, public_url="http://localhost", inference_url="off", _env_file=None))
    house = app._app.state.gatekeeper  # type: ignore[attr-defined]
    site = Site(app, house, {}, "http://localhost")
    days = Days(site, MODEL, data_dir)
    try:
        await _people(site)
        await site.model("sketch", stage=Stage.RESEARCH_PREVIEW)
        await site.model("portrait", stage=Stage.INTERNAL)
        await site.plain(RepoKind.DATASET, "emoji-names")
        for ago in range(_WEEKS.days - 1, 0, -1):
            clock.move_to(today - timedelta(days=ago))
            for name in _ASKED.get(ago, ()):
                full, affiliation, purpose = APPLICANTS[name]
                answers = {"q-0": full, "q-1": affiliation, "q-2": purpose, "q-3": "yes"}
                answer = await ask_for_access(await days.as_(name), MODEL, **answers)
                assert answer.status_code == 303, answer.text
            for act in _DONE.get(ago, ()):
                async with house.db.write() as session:
                    repo = await repos.require(session, RepoKind.MODEL, MODEL[1:])
                    by = await accounts.principals.for_person(session, site.people["maintainer"])
                    await act(_Hub(site, session, by, repo))
            if ago == _REPORTED:
                await reports.seed(data_dir)
            await days.pass_one(ago)
        clock.move_to(today)
        await sum_up(house)
    finally:
        await house.db.close()


async def _people(site: Site) -> None:
    async with site.gatekeeper.db.write() as session:
        maintainer = await accounts.people.find(session, "maintainer")
        assert maintainer is not None
        site.people["maintainer"] = maintainer
        for name in (*APPLICANTS, *MEMBERS):
            email = f"{name}@example.org"
            site.people[name] = await accounts.people.add(session, name, email=email, password=PASSWORD, by=OPERATOR)
        lab = await accounts.organizations.create(session, "lab", by=OPERATOR, fullname="The laboratory")
        for name, role in (("grace", Role.ADMIN), ("noether", Role.WRITE), ("wu", Role.READ)):
            await accounts.organizations.add_member(session, lab, site.people[name], role, by=OPERATOR)
        house = await accounts.organizations.find(session, NAMESPACE)
        assert house is not None
        for name in ("kepler", "cannon"):
            await accounts.organizations.add_member(session, house, site.people[name], Role.READ, by=OPERATOR)
        team = await accounts.teams.create(session, house, "painters", by=OPERATOR)
        await accounts.teams.add(session, house, team, site.people["kepler"], by=OPERATOR)


async def _approve(hub: _Hub) -> None:
    for name in ("noether", "turing", "hopper"):
        ends_at = now() + timedelta(days=90)
        await access.approve(hub.session, await hub.request(name), by=hub.by, ends_at=ends_at)


async def _answer(hub: _Hub) -> None:
    session, by = hub.session, hub.by
    await access.approve(
        session, await hub.request("wu"), by=by, conditions="Publish what you find about bias before the year is over."
    )
    await access.reject(
        session, await hub.request("lamarr"), by=by, reason="Posters can be made with the open models of this hub."
    )
    await access.save_template(
        session,
        hub.repo,
        by=by,
        act="reject",
        title="No time for it now",
        text="We cannot look after more people at the moment. Please ask again in three months.",
    )


async def _look_further(hub: _Hub) -> None:
    session, by = hub.session, hub.by
    await access.give_back(
        session, await hub.request("meitner"), by=by, comment="Which pictures do you want to make, and for whom?"
    )
    request = await hub.request("kahn")
    await access.refer(session, request, hub.site.people["noether"], by=by, comment="Do you know this project?")
    await access.claim(session, await hub.request("franklin"), by=by)
    await access.block(session, hub.site.people["turing"], by=by, reason="Sold images as photographs.", repo=hub.repo)


async def _report(hub: _Hub) -> None:
    session, by = hub.session, hub.by
    incident = await incidents.open_incident(
        session,
        hub.repo,
        title="Faces of one skin tone where none is named",
        description="Ten prompts for a doctor gave ten images of the same person. The bias report had said less.",
        severity=Severity.HIGH,
        by=by,
    )
    await incidents.link(session, incident, linking.repository(hub.repo), by=by)
    await incidents.link(session, incident, linking.person(hub.site.people["noether"]), by=by)
    await incidents.note(session, incident, text="Seen again with seeds 1 to 40; a report on it is being made.", by=by)


async def _change(hub: _Hub) -> None:
    """A second revision under a changed license, a step up the ladder, and asked to go further."""
    session, by, repo = hub.session, hub.by, hub.repo
    ladder = Ladder.load()
    head = await repos.resolve_revision(session, repo, "main")
    texts = {}
    for path in ("README.md", "LICENSE"):
        entry = await repos.entry(session, repo, head, path)
        texts[path] = (await repos.listing.read_blob(session, repo, entry.oid)).decode().rstrip()
    texts["README.md"] += (
        "\n\n## What changed in this revision\n\nThe license names one more use that it does not permit.\n"
    )
    texts["LICENSE"] += "\n\n(n) To present an image of the Model as a photograph of something that happened.\n"
    files = [AddFile(path, text.encode()) for path, text in texts.items()]
    made = await repos.commit(session, repo, "main", files, summary="Name one more use", by=by)
    oid = made if isinstance(made, str) else made.oid
    for stage in (Stage.INTERNAL, Stage.GATED):
        proposal = await releases.propose(session, repo, oid, stage, by=by, ladder=ladder, note="A clearer license.")
        if stage is Stage.INTERNAL:
            await releases.promote(session, proposal, by=by, ladder=ladder)
    await releases.waive(
        session, proposal, "no_open_incident", by=by, reason="The incident is about what every revision does."
    )


async def _discuss(hub: _Hub) -> None:
    session, people = hub.session, hub.site.people

    async def by(person: Person) -> Principal:
        return await accounts.principals.for_person(session, person)

    title = "Which seeds were used for the pictures in the card?"
    text = "I would like to make the same sheet again, with other professions."
    made = await community.discussions.open_discussion(
        session, hub.repo, title=title, text=text, by=await by(people["noether"])
    )
    await community.acts.comment(session, hub.repo, made, "Seeds 0 to 63, in the order of the table.", by=hub.by)


async def _automate(hub: _Hub) -> None:
    """A webhook whose receiver nobody reaches, and an account for a program of the organization."""
    house, session = hub.site.gatekeeper, hub.session
    wanted = webhooks.Wanted("https://ci.example.org/hub", (webhooks.Watched("model", hub.repo.full_name),), ("repo",))
    await webhooks.create(session, wanted, by=hub.by, rules=house.webhook_rules, box=house.keys.sealing)
    organization = await accounts.organizations.find(session, NAMESPACE)
    assert organization is not None
    await services.create(session, organization, "nightly", scopes=["read", "download"], by=hub.by)


# Days ago, and what was done then.
_ASKED = {
    18: ("turing", "hopper"), 17: ("noether",), 14: ("wu",), 13: ("lamarr",), 11: ("kahn", "curie"), 9: ("meitner",),
    7: ("germain", "franklin"), 5: ("johnson",), 2: ("lovelace",),
}  # fmt: skip
_DONE: dict[int, tuple[Callable[[_Hub], Awaitable[None]], ...]] = {
    16: (_approve,),
    12: (_answer,),
    9: (_discuss,),
    6: (_report, _look_further),
    5: (_change,),
    3: (_automate,),
}
_REPORTED = 8


if __name__ == "__main__":
    with time_machine.travel(now() - _WEEKS) as clock:
        command(["demo", "--seed-only"], standalone_mode=False)
        asyncio.run(live(Path(sys.argv[1]), clock))
