"""The command's tree."""

import click

from gatekeeper import __version__
from gatekeeper.cli.backup import backup, restore
from gatekeeper.cli.database import db_group
from gatekeeper.cli.demo import demo
from gatekeeper.cli.evaluate import evaluate_group
from gatekeeper.cli.evaluate_safety import evaluate_prompts, evaluate_safety
from gatekeeper.cli.evidence import ledger_group, receipt
from gatekeeper.cli.gate import requests
from gatekeeper.cli.incidents import incidents_group
from gatekeeper.cli.ladder import releases_group
from gatekeeper.cli.licenses import licenses_group
from gatekeeper.cli.mirroring import list_mirrors, mirror
from gatekeeper.cli.people import orgs, people, tokens_group
from gatekeeper.cli.personal import erase_person, export_person, hold_person, lift_hold
from gatekeeper.cli.policies import policies
from gatekeeper.cli.provenance import provenance_group, verify_image
from gatekeeper.cli.recall import carry_out, change, holders, rollback, waive
from gatekeeper.cli.repository import repos_group
from gatekeeper.cli.resealing import reseal
from gatekeeper.cli.run import Tree
from gatekeeper.cli.serve import serve
from gatekeeper.cli.term_changes import TERM_CHANGES
from gatekeeper.cli.vetting import VETTING


@click.group(cls=Tree)
@click.version_option(__version__, prog_name="gatekeeper")
def main() -> None:
    """A self-hosted model hub that releases generative models in stages.

    Settings come from GATEKEEPER_* variables or a .env file; GATEKEEPER_DATA_DIR alone is enough.
    """


for each in (
    db_group,
    demo,
    evaluate_group,
    incidents_group,
    ledger_group,
    licenses_group,
    orgs,
    people,
    policies,
    provenance_group,
    receipt,
    releases_group,
    repos_group,
    requests,
    serve,
    tokens_group,
    verify_image,
):
    main.add_command(each)

for each in (erase_person, export_person, hold_person, lift_hold):
    people.add_command(each)

for each in (backup, reseal, restore):
    db_group.add_command(each)

evaluate_group.add_command(evaluate_safety)
evaluate_group.add_command(evaluate_prompts)

for each in (mirror, list_mirrors):
    repos_group.add_command(each)

for each in (carry_out, change, holders, rollback, waive):
    releases_group.add_command(each)

for each in TERM_CHANGES:
    licenses_group.add_command(each)

for each in VETTING:
    requests.add_command(each)
