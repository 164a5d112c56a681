"""Who may make an evaluation's images, and with what safety."""

from sqlalchemy.ext.asyncio import AsyncSession

from gatekeeper import authz, generation, licensing, releases
from gatekeeper.accounts import Principal
from gatekeeper.authz import Action, Denied, Policies
from gatekeeper.errors import NotAllowed
from gatekeeper.evaluation import ReportKind
from gatekeeper.generation import Safety, SafetyLevel
from gatekeeper.kit.bundled import bundled_dir
from gatekeeper.kit.clock import now
from gatekeeper.licensing import Catalogue
from gatekeeper.releases import Stage
from gatekeeper.repos import Repo


class WeakerSafety(NotAllowed):
    """Images that people see would be made with less safety than holds for the revision."""


async def rights(
    session: AsyncSession,
    principal: Principal,
    repo: Repo,
    commit: str,
    *,
    policies: Policies,
    kind: ReportKind,
    stage: str = "",
) -> tuple[authz.Allowed, SafetyLevel, licensing.Terms | None]:
    """The decision that lets this person make images of the commit, the safety they get, and the terms in force.

    stage  another one's safety. People see the images of a grid, so they are made with a weaker safety than the
           revision's own only for who may adjust that
    Raises NotAllowed, of which WeakerSafety is one.
    """
    instant = now()
    resource = await authz.load(session, principal, repo, commit=commit, instant=instant)
    allowed = authz.require(policies, principal, Action.GENERATE, resource, instant)
    is_adjusted = not isinstance(authz.decide(policies, principal, Action.GENERATE_ADJUSTED, resource, instant), Denied)
    own = allowed.revision.stage if allowed.revision is not None else None
    safety = Safety.load(policies.directory)
    licenses = Catalogue.load(policies.directory or bundled_dir("policies"))
    level = safety.at(Stage(stage) if stage else own, is_adjusted=is_adjusted)
    if kind is ReportKind.BIAS and not is_adjusted and not level.covers(safety.at(own)):
        raise WeakerSafety(
            f"Images at “{stage}” are made with less safety than this revision's.",
            next_step="Let somebody begin it who may adjust safety, or choose another stage.",
        )
    bundle = await releases.terms_in_force(session, repo, commit)
    binding = await licensing.terms_for(session, repo, commit, stage=stage) if stage else bundle
    known = await generation.licenses_of(session, binding, catalogue=licenses)
    return allowed, await generation.demanded(session, principal, known, level, safety=safety), bundle
