"""People and organizations as owners of a name, where every room has a part in it: another name, and the end of an
organization. The end of a person is in `gatekeeper.privacy`.

Rights belong to ids, so a new name takes none away and gives none; the old one stays reserved, so that nobody inherits
what people, programs and settings elsewhere still mean by it.
"""

from gatekeeper.owners.ending import delete
from gatekeeper.owners.foresight import foresee, named
from gatekeeper.owners.renaming import rename

__all__ = ["Foreseen", "Named", "delete", "foresee", "named", "rename"]
