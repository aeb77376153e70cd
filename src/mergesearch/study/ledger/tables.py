"""The ledger's tables, all prefixed `mergesearch_`; times are seconds since 1970, UTC."""

from typing import Any

import sqlalchemy as sa

SCHEMA_VERSION = 1
"""Version of the tables below and of the attributes that a study's trials have."""

metadata = sa.MetaData()
SCHEMA = sa.Table(
    "mergesearch_schema",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("written_by", sa.String(64), nullable=False),  # such as "mergesearch 0.3.0"
)
RUN = sa.Table(
    "mergesearch_run",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(255), unique=True, nullable=False),
    sa.Column("created", sa.Float(53), nullable=False),
    sa.Column("space", sa.Text, nullable=False),
    sa.Column("objectives", sa.JSON, nullable=False),
    sa.Column("axes", sa.JSON, nullable=False),  # a list of mappings
    sa.Column("fingerprints", sa.JSON, nullable=False),
    sa.Column("versions", sa.JSON, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("sampler", sa.String(32), nullable=False),
)


def table_of_run(name: str, *columns: sa.Column[Any], within: sa.MetaData = metadata) -> sa.Table:
    """Return a table of what belongs to a run."""
    run_id: sa.Column[int] = sa.Column("run_id", sa.ForeignKey(RUN.c.id), primary_key=True)
    return sa.Table(f"mergesearch_{name}", within, run_id, *columns)


RUNG = table_of_run(
    "rung",
    sa.Column("trial", sa.Integer, primary_key=True),
    sa.Column("rung", sa.String(32), primary_key=True),
    sa.Column("build_seconds", sa.Float(53), nullable=False),
    sa.Column("score_seconds", sa.Float(53), nullable=False),
    sa.Column("failure", sa.Text),
    sa.Column("ended", sa.Float(53), nullable=False),
)
SCORE = table_of_run(
    "score",
    sa.Column("trial", sa.Integer, primary_key=True),
    sa.Column("rung", sa.String(32), primary_key=True),
    sa.Column("objective", sa.String(255), primary_key=True),
    sa.Column("value", sa.Float(53), nullable=False),
    sa.Column("stderr", sa.Float(53), nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("n_unscored", sa.Integer, nullable=False),
)
ITEM = table_of_run(
    "item",
    sa.Column("trial", sa.Integer, primary_key=True),
    sa.Column("rung", sa.String(32), primary_key=True),
    sa.Column("task", sa.String(255), primary_key=True),
    sa.Column("item", sa.Integer, primary_key=True),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("unscored", sa.Text),
    sa.Column("tokens_in", sa.Integer, nullable=False),
    sa.Column("tokens_out", sa.Integer, nullable=False),
    sa.Column("cut", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Float(53), nullable=False),
    sa.Column("text", sa.LargeBinary),  # UTF-8, compressed with zlib
)
REFERENCE = table_of_run(
    "reference",
    sa.Column("task", sa.String(255), primary_key=True),
    sa.Column("item", sa.Integer, primary_key=True),
    sa.Column("parent", sa.Text, nullable=False),
    sa.Column("text", sa.LargeBinary, nullable=False),  # UTF-8, compressed with zlib
)
