"""What Alembic runs for every command. There is no alembic.ini: `gatekeeper.schema` gives the connection."""

from typing import Any

from alembic import context
from alembic.autogenerate.api import AutogenContext

from gatekeeper import models
from gatekeeper.kit.columns import EnumText, UtcDateTime
from gatekeeper.kit.personal import PersonalJson, PersonalText
from gatekeeper.schema import COMPARED


def render_item(kind: str, item: Any, autogen_context: AutogenContext) -> str | bool:
    """Write our column types as plain `sa` types: a migration must not change its meaning when the code does."""
    if kind != "type":
        return False
    match item:
        case UtcDateTime():
            return "sa.DateTime(timezone=True)"
        case EnumText():
            return "sa.String(length=40)"
        case PersonalText() | PersonalJson():
            return "sa.Text()"
    if type(item).__name__ == "AutoString":  # SQLModel's own string
        return f"sa.String(length={item.length})"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=models.metadata,
    render_item=render_item,
    render_as_batch=True,
    **COMPARED,
)
with context.begin_transaction():
    context.run_migrations()
