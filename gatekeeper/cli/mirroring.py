"""`repos mirror` and `repos mirrors`: repositories of other hubs, brought here and kept in step."""

import os
from contextlib import suppress
from pathlib import Path

import click

from gatekeeper import releases, repos
from gatekeeper.cli.repository import owner_of, split_name
from gatekeeper.cli.run import House, command, json_option, pass_house, show
from gatekeeper.errors import GatekeeperError, Invalid
from gatekeeper.repos import RepoKind, mirrors

TOKEN_VARIABLE = "GATEKEEPER_UPSTREAM_TOKEN"  # noqa: S105 - a name
_KINDS = {"model": RepoKind.MODEL, "dataset": RepoKind.DATASET, "space": RepoKind.SPACE}


@click.command("mirror")
@click.argument("remote")
@click.argument("repository")
@click.option(
    "--revision",
    "revisions",
    multiple=True,
    metavar="REV",
    help="Branch, tag or pull request (refs/pr/3) to bring; all branches and tags without it, or with '*'.",
)
@click.option("--endpoint", default=mirrors.PUBLIC_HUB, show_default=True, help="Address of the upstream hub.")
@click.option("--type", "kind_name", type=click.Choice(list(_KINDS)), help="What REMOTE is; a model without it.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"File with the upstream's token. Without it, the variable {TOKEN_VARIABLE} is read.",
)
@click.option(
    "--public", is_flag=True, help="Make a new mirror public; the upstream's gate stays in front of its files."
)
@click.option("--update", is_flag=True, help="Bring up to date only; refuse to make a mirror.")
@click.option("--force", is_flag=True, help="Replace history here where it differs from the upstream's.")
@click.option("--insecure", is_flag=True, help="Allow an http:// endpoint on another machine.")
@click.option("--quiet", is_flag=True, help="Say nothing about progress.")
@json_option
@pass_house
@command
async def mirror(
    house: House,
    remote: str,
    repository: str,
    revisions: tuple[str, ...],
    endpoint: str,
    kind_name: str | None,
    token_file: Path | None,
    public: bool,
    update: bool,
    force: bool,
    insecure: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Bring the repository REMOTE of another hub here as REPOSITORY, with its history; again, to bring what is new.

    Commits keep their ids, authors, dates and messages. A new mirror is private. What breaks off is gone on with when
    the same command is run again.
    """
    await house.require_current()
    upstream = _upstream(remote, kind_name, endpoint=endpoint, token_file=token_file, insecure=insecure)
    namespace, name = _target(repository, upstream.kind)
    about = await mirrors.describe(upstream)
    async with house.write() as session:
        by = await owner_of(session, namespace)
        repo, row = await mirrors.begin(
            session,
            upstream,
            about,
            namespace,
            name,
            by=by,
            public=public,
            must_exist=update,
        )

    def say(text: str) -> None:
        if not quiet:
            click.echo(text, err=True)

    try:
        async with (
            mirrors.connect(upstream) as line,
            mirrors.bring(
                house.db,
                house.store,
                repo,
                row,
                line,
                asked=revisions,
                folder=house.settings.data_dir / "mirrors",
                limit_bytes=house.settings.upload_max_bytes,
                by=by,
                force=force,
                say=say,
            ) as brought,
            house.write() as session,
        ):
            await releases.require_kept(session, repo, brought.lost)
            for commit, branch in await mirrors.apply(session, repo, brought, by=by):
                await releases.take_note(session, repo, commit, branch=branch, by=by)
    except GatekeeperError as problem:
        with suppress(GatekeeperError):
            async with house.write() as session:
                await mirrors.note(session, repo, problem=problem.message)
        raise
    _report(repo, upstream, about, brought, as_json=as_json)


@click.command("mirrors")
@json_option
@pass_house
@command
async def list_mirrors(house: House, as_json: bool) -> None:
    """Every mirror: where it comes from, when it was brought last, and what went wrong since."""
    async with house.read() as session:
        found = await mirrors.listing(session)
    value = [
        {
            "repository": repo.full_name,
            "kind": repo.kind.value,
            "endpoint": row.endpoint,
            "upstream": row.upstream,
            "revisions": row.revisions,
            "refs": row.heads,
            "brought_at": row.brought_at,
            "checked_at": row.checked_at,
            "problem": row.problem,
        }
        for repo, row in found
    ]
    lines = [_line(repo, row) for repo, row in found]
    show(value, "\n".join(lines) or "No repository is a mirror.", as_json=as_json)


def _line(repo: repos.Repo, row: mirrors.Mirror) -> str:
    when = f"brought {row.brought_at:%Y-%m-%d %H:%M} UTC" if row.brought_at else "not brought yet"
    problem = f"; then: {row.problem}" if row.problem else ""
    return f"{repo.full_name}  from {row.endpoint} {row.upstream}  {when}{problem}"


def _report(
    repo: repos.Repo,
    upstream: mirrors.Upstream,
    about: mirrors.About,
    brought: mirrors.Brought,
    *,
    as_json: bool,
) -> None:
    moved = {command.ref: command.new for command in brought.push.commands}
    value = {
        "repository": repo.full_name,
        "endpoint": upstream.endpoint,
        "upstream": upstream.full_name,
        "license": about.license,
        "is_private": repo.is_private,
        "gate": repo.gate.value,
        "refs": moved,
        "commits": len(brought.checked.commits),
        "large_bytes": brought.large_bytes,
        "replaced": list(brought.rewound),
        "gone_upstream": list(brought.gone),
    }
    if not moved:
        text = f"{repo.full_name} is in step with {upstream.full_name} at {upstream.endpoint}."
    else:
        text = (
            f"Brought {value['commits']} commits and {brought.large_bytes:,} bytes of large files of "
            f"{upstream.full_name} into {repo.full_name}: {', '.join(moved)}."
        )
    if brought.gone:
        text += f" The upstream no longer has {', '.join(brought.gone)}; they are kept here."
    if repo.is_private and not repo.is_staged:
        text += " It is private."
    show(value, text, as_json=as_json)


def _upstream(
    remote: str, kind_name: str | None, *, endpoint: str, token_file: Path | None, insecure: bool
) -> mirrors.Upstream:
    kind, namespace, name = split_name(remote)
    if kind_name is not None:
        if kind is not RepoKind.MODEL and kind is not _KINDS[kind_name]:
            raise Invalid(f"{remote} names no {kind_name}.", next_step="Leave --type out, or the prefix.")
        kind = _KINDS[kind_name]
    text = token_file.read_text() if token_file else os.environ.get(TOKEN_VARIABLE, "")
    checked = mirrors.check_endpoint(endpoint, may_be_plain=insecure)
    return mirrors.Upstream(checked, kind, f"{namespace}/{name}", mirrors.check_token(text))


def _target(repository: str, kind: RepoKind) -> tuple[str, str]:
    own_kind, namespace, name = split_name(repository)
    if own_kind is not RepoKind.MODEL and own_kind is not kind:
        raise Invalid("A mirror is of its upstream's type.", next_step=f"Write {namespace}/{name} alone.")
    return namespace, name
