"""`db reseal`: another key for what the database holds sealed."""

import secrets

import click

from gatekeeper import privacy
from gatekeeper.cli.run import House, command, json_option, pass_house, show
from gatekeeper.errors import GatekeeperError
from gatekeeper.kit.clock import now
from gatekeeper.kit.sealing import Box
from gatekeeper.kit.signing import replace_secret_file


@click.command("reseal")
@json_option
@pass_house
@command
async def reseal(house: House, as_json: bool) -> None:
    """Make a new keys/sealing.key and seal with it again what the old one sealed. Stop the server first.

    The old key stays beside it under the name of the day: backups that were made before need it.
    """
    await house.require_current()
    box, path = house.keys.sealing, house.settings.keys_dir / "sealing.key"
    before, fresh, at = path.read_bytes(), secrets.token_bytes(32), f"{now():%Y-%m-%dT%H%M%S}"
    kept, coming = path.with_name(f"sealing-until-{at}.key"), path.with_name(f"sealing-since-{at}.key")
    replace_secret_file(kept, before)
    replace_secret_file(coming, fresh)
    try:
        async with house.write() as session:
            done = await privacy.reseal(session, box, Box(fresh))
    except GatekeeperError:
        kept.unlink()
        coming.unlink()
        raise
    # Cut off before this line, both keys lie here, and the one that fits is put in place by hand.
    replace_secret_file(path, fresh)
    coming.unlink()
    text = f"Sealed {sum(done.values())} values again. Backups of before need {kept}: delete it when they have gone."
    show({"sealed": done, "old_key": str(kept)}, text, as_json=as_json)
