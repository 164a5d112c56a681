"""What callers have used up of the API's limit."""

import sqlalchemy as sa
from sqlmodel import Field, SQLModel


class ApiUse(SQLModel, table=True):
    """Calls of one caller in one window, as one process has counted them. Callers are ids of people or keyed hashes."""

    __tablename__ = "api_use"

    window: int = Field(primary_key=True, sa_type=sa.BigInteger)  # five minutes each, since 1970
    caller: str = Field(primary_key=True, max_length=64)
    process: str = Field(primary_key=True, max_length=26)
    calls: int
