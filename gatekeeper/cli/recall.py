"""`releases`, the way down: changes that take several people, waivers, holders, and the rollback in one command."""

from datetime import datetime

import click

from gatekeeper import authz, releases, repos
from gatekeeper.accounts import ANONYMOUS
from gatekeeper.cli.ladder import as_option, both, maintainer, release_at, repo_of, revision_option, row_of
from gatekeeper.cli.run import House, command, json_option, pass_house, show
from gatekeeper.errors import Invalid
from gatekeeper.generation import measuring
from gatekeeper.kit.canonical import instant_text
from gatekeeper.kit.clock import instant_of, now
from gatekeeper.releases import Act, Holder, Stage

_CHANGES = [act.value for act in Act if act is not Act.PROMOTE]


@click.command("change")
@click.argument("repository")
@click.option("--act", type=click.Choice(_CHANGES), required=True, help="What is to happen to the release.")
@click.option("--to", "target", type=click.Choice([each.value for each in Stage]), help="Stage of a demotion.")
@click.option("--until", help="Instant of an embargo in UTC, like 2027-01-31T12:00.")
@click.option("--reason", required=True, help="What people are told.")
@revision_option
@as_option
@json_option
@pass_house
@command
async def change(
    house: House,
    repository: str,
    act: str,
    target: str | None,
    until: str | None,
    reason: str,
    revision: str,
    actor: str,
    as_json: bool,
) -> None:
    """Ask for a change of a release, and carry it out if enough maintainers agree already.

    A first embargo is announced at once: one maintainer suffices.
    """
    instant = _instant(until) if until else None
    async with house.write() as session:
        repo, by = await both(session, repository, actor)
        release = await release_at(session, repo, revision)
        ladder = measuring.ladder_here(house.policies_dir)
        if act == Act.EMBARGO and release.embargoed_until is None:
            release = await releases.embargo(session, release, instant, by=by, reason=reason)
            show(row_of(release), f"{release.commit_id[:12]} is under embargo until {until}.", as_json=as_json)
            return
        proposal = await releases.ask_change(
            session,
            release,
            Act(act),
            by=by,
            ladder=ladder,
            reason=reason,
            target=Stage(target) if target else None,
            until=instant,
        )
        count = await releases.change_quorum(session, proposal, ladder=ladder)
        if count.is_reached:
            release = await releases.carry_out(session, proposal, by=by, ladder=ladder)
    value = {**row_of(release), "proposal": proposal.id, "is_done": str(count.is_reached).lower()}
    said = "Done." if count.is_reached else f"Asked for as {proposal.id}. {count.sentence}"
    show(value, said, as_json=as_json)


@click.command("carry-out")
@click.argument("proposal_id")
@as_option
@json_option
@pass_house
@command
async def carry_out(house: House, proposal_id: str, actor: str, as_json: bool) -> None:
    """Do what was asked for, if enough maintainers approved it."""
    async with house.write() as session:
        proposal = await releases.get_proposal(session, proposal_id)
        release = await releases.get(session, proposal.release_id)
        by = await maintainer(session, await repo_of(session, release), actor)
        ladder = measuring.ladder_here(house.policies_dir)
        release = await releases.carry_out(session, proposal, by=by, ladder=ladder)
    show(row_of(release), f"{proposal.act.value}: done for {release.commit_id[:12]}.", as_json=as_json)


@click.command("waive")
@click.argument("proposal_id")
@click.argument("criterion")
@click.option("--reason", required=True, help="Shows publicly with your name.")
@as_option
@json_option
@pass_house
@command
async def waive(house: House, proposal_id: str, criterion: str, reason: str, actor: str, as_json: bool) -> None:
    """Let one unmet CRITERION of a promotion pass. Approvals given before count no more."""
    async with house.write() as session:
        proposal = await releases.get_proposal(session, proposal_id)
        release = await releases.get(session, proposal.release_id)
        by = await maintainer(session, await repo_of(session, release), actor)
        await releases.waive(session, proposal, criterion, by=by, reason=reason)
    said = f"{criterion} is waived by {by.name}. Approvals given before count no more."
    show({"proposal": proposal_id, "waived": criterion}, said, as_json=as_json)


@click.command("holders")
@click.argument("repository")
@revision_option
@json_option
@pass_house
@command
async def holders(house: House, repository: str, revision: str, as_json: bool) -> None:
    """List who fetched weights of a release, with the digests they hold."""
    async with house.read() as session:
        repo = await repos.catalogue.require(session, repos.RepoKind.MODEL, repository)
        release = await release_at(session, repo, revision)
        found = await releases.holders(session, release)
    show([_holder(each) for each in found], _lines(found), as_json=as_json)


@click.command("rollback")
@click.argument("repository")
@click.option("--reason", required=True, help="What people are told.")
@revision_option
@as_option
@json_option
@pass_house
@command
async def rollback(house: House, repository: str, revision: str, reason: str, actor: str, as_json: bool) -> None:
    """Hold a release at once, fall back to the one before, and list who holds which of its files.

    Everybody who holds it is told (see `gatekeeper releases hold`); what they have is not taken from them.
    """
    async with house.write() as session:
        repo, by = await both(session, repository, actor)
        release = await release_at(session, repo, revision)
        release = await releases.hold(session, release, by=by, reason=reason)
        found = await releases.holders(session, release)
        public = await authz.load(session, ANONYMOUS, repo)
        now_shown = authz.decide(house.policies, ANONYMOUS, authz.Action.KNOW, public, now()).revision
        others = [each for each in public.releases if not each.is_held and not each.is_withdrawn]
    fallback = now_shown.commit if now_shown and now_shown in others else None
    value = {**row_of(release), "falls_back_to": fallback, "holders": [_holder(each) for each in found]}
    to = f"main falls back to {fallback[:12]}" if fallback else "there is no other release that everybody may see"
    who = "1 person holds it and is told" if len(found) == 1 else f"{len(found)} people hold it and are told"
    said = f"{release.commit_id[:12]} is held; {to}. {who}:"
    show(value, f"{said}\n{_lines(found)}", as_json=as_json)


def _holder(holder: Holder) -> dict[str, object]:
    return {
        "person": holder.name,
        "files": [{"path": path, "sha256": digest} for path, digest in holder.files],
        "by_git": holder.has_git,
        "first_at": instant_text(holder.first_at),
        "last_at": instant_text(holder.last_at),
    }


def _lines(found: list[Holder]) -> str:
    lines = []
    for holder in found:
        lines.append(f"{holder.name}, last {instant_text(holder.last_at)}{', with git' if holder.has_git else ''}")
        lines += [f"  {digest}  {path}" for path, digest in holder.files]
    return "\n".join(lines) or "Nobody with an account fetched it."


def _instant(text: str) -> datetime:
    try:
        return instant_of(text)
    except (ValueError, OverflowError):
        raise Invalid(
            f"{text[:40]!r} is no instant.", next_step="Write it like 2027-01-31T12:00, in UTC, or with an offset."
        ) from None
