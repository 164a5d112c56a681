"""One of every kind of thing in the demo, for the walk: `python -m tests.journeys.kinds DATA_DIR URL`.

The demo has a model. Beside it come its reports (reports.py), an organization with an administrator of its own, and, by
the public client, a data set and a space, discussed and to be changed, a collection and a webhook.
"""

import asyncio
import io
import sys
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi

from gatekeeper import accounts, tokens
from gatekeeper.accounts import OPERATOR, Role
from gatekeeper.app import assemble, close
from gatekeeper.cli.demo import NAME, NAMESPACE
from gatekeeper.settings import Settings
from tests.gatekeeper.web.site import PASSWORD
from tests.journeys import reports

ORGANIZER, ORGANIZATION = "olga", "atelier"
CARD = "---\nlicense: mit\n---\n# For a look\n\nA table and a picture of nothing.\n"


async def _people(data_dir: Path) -> str:
    """The organization and who administers it; returns a token of the maintainer's."""
    house = assemble(Settings(data_dir=data_dir, inference_url="off", _env_file=None))
    try:
        async with house.db.write() as session:
            email = f"{ORGANIZER}@example.org"
            olga = await accounts.people.add(session, ORGANIZER, email=email, password=PASSWORD)
            atelier = await accounts.organizations.create(session, ORGANIZATION, by=OPERATOR, fullname="The atelier")
            await accounts.organizations.add_member(session, atelier, olga, Role.ADMIN, by=OPERATOR)
            maintainer = await accounts.people.find(session, "maintainer")
            assert maintainer is not None
            _, secret = await tokens.issue(session, maintainer, label="kinds", role="write", key=house.keys.tokens)
            return secret
    finally:
        await close(house)


def _things(api: HfApi) -> None:
    for kind, name in (("dataset", "names"), ("space", "sketches")):
        sdk = "static" if kind == "space" else None
        repo = api.create_repo(f"{NAMESPACE}/{name}", repo_type=kind, space_sdk=sdk).repo_id
        files = {"README.md": CARD, "data/names.csv": "name,sign\napple,🍎\n"}
        added = [CommitOperationAdd(path, io.BytesIO(text.encode())) for path, text in files.items()]
        api.create_commit(repo, added, commit_message="Two files", repo_type=kind)
        talk = api.create_discussion(repo, "How was it made?", repo_type=kind, description="By hand?")
        api.comment_discussion(repo, talk.num, "By hand.", repo_type=kind)
        more = [CommitOperationAdd("data/more.csv", io.BytesIO(b"name,sign\npear,\xf0\x9f\x8d\x90\n"))]
        made = api.create_commit(repo, more, commit_message="Pears, too", repo_type=kind, create_pr=True)
        api.comment_discussion(repo, int(made.pr_num or 0), "Why pears?", repo_type=kind)
    talk = api.create_discussion(f"{NAMESPACE}/{NAME}", "Which fruit can it draw?", description="Apples?")
    api.comment_discussion(f"{NAMESPACE}/{NAME}", talk.num, "Apples.")
    collection = api.create_collection("Fruit", namespace=NAMESPACE, description="What one can eat.")
    api.add_collection_item(collection.slug, f"{NAMESPACE}/{NAME}", "model", note="It draws apples.")
    api.create_webhook(
        url="https://hooks.example.org/in", watched=[{"type": "org", "name": NAMESPACE}], domains=["repo"]
    )


if __name__ == "__main__":
    asyncio.run(reports.seed(Path(sys.argv[1])))
    _things(HfApi(sys.argv[2], token=asyncio.run(_people(Path(sys.argv[1])))))
