"""An organization as a whole, where every room has a part in it: another name, and its end.

Rights belong to ids, so a new name takes none away and gives none; the old one stays reserved, so that nobody inherits
what people, programs and settings elsewhere still mean by it.
"""

from gatekeeper.organizations.ending import delete
from gatekeeper.organizations.foresight import Foreseen, foresee
from gatekeeper.organizations.renaming import rename

__all__ = ["Foreseen", "delete", "foresee", "rename"]
