"""Releases: which revision stands at which stage, and how it came there.

A release is one commit, bound to the digests of its files and of its terms; never "the repository". It goes up by a
proposal whose criteria are checked on exactly these files and which enough maintainers approve, and down by one
maintainer at once. `Ladder` is the rules of the stages as data.
"""

from gatekeeper.releases.approvals import Quorum, maintainers
from gatekeeper.releases.changes import ask_change, carry_out, change_quorum, changes_of, waits_for_others
from gatekeeper.releases.criteria import Finding, can_be_waived
from gatekeeper.releases.embargoes import due, open_or_hold
from gatekeeper.releases.holders import Holder, fetched_by, holders, holders_of, without_account
from gatekeeper.releases.holds import demote, deprecate, embargo, hold, resume, withdraw
from gatekeeper.releases.ladder import BrokenLadder, Ladder, StageRule
from gatekeeper.releases.organization_rules import ladder_for, ladder_of, set_rule
from gatekeeper.releases.promotion import promote, propose, standing_of, waive
from gatekeeper.releases.proposals import (
    approvals_of,
    approve_proposal,
    close_proposal,
    get_proposal,
    open_promotions,
    open_proposal,
    proposals_of,
    standing_at,
)
from gatekeeper.releases.rewriting import delete_files, require_kept, squash
from gatekeeper.releases.rows import (
    enable_staging,
    ensure,
    get,
    in_side_state,
    list_for,
    recent,
    released_at,
    stage_of,
    take_note,
    timeline,
)
from gatekeeper.releases.stage_terms import terms_in_force
from gatekeeper.releases.surroundings import record_drill
from gatekeeper.releases.tables import Act, Proposal, ProposalState, Release, Stage

__all__ = [
    "Act",
    "BrokenLadder",
    "Finding",
    "Holder",
    "Ladder",
    "Proposal",
    "ProposalState",
    "Quorum",
    "Release",
    "Stage",
    "StageRule",
    "approvals_of",
    "approve_proposal",
    "ask_change",
    "can_be_waived",
    "carry_out",
    "change_quorum",
    "changes_of",
    "close_proposal",
    "delete_files",
    "demote",
    "deprecate",
    "due",
    "embargo",
    "enable_staging",
    "ensure",
    "fetched_by",
    "get",
    "get_proposal",
    "hold",
    "holders",
    "holders_of",
    "in_side_state",
    "ladder_for",
    "ladder_of",
    "list_for",
    "maintainers",
    "open_or_hold",
    "open_promotions",
    "open_proposal",
    "promote",
    "proposals_of",
    "propose",
    "recent",
    "record_drill",
    "released_at",
    "require_kept",
    "resume",
    "set_rule",
    "squash",
    "stage_of",
    "standing_at",
    "standing_of",
    "take_note",
    "terms_in_force",
    "timeline",
    "waits_for_others",
    "waive",
    "withdraw",
    "without_account",
]
