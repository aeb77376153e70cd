"""The ledger's tables, all prefixed `mergesearch_`; times are seconds since 1970, UTC."""

import sqlalchemy as sa

metadata = sa.MetaData()
RUN = sa.Table(
    "mergesearch_run",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(255), unique=True, nullable=False),
    sa.Column("created", sa.Float(53), nullable=False),
    sa.Column("space", sa.Text, nullable=False),
    sa.Column("objectives", sa.JSON, nullable=False),
    sa.Column("axes", sa.JSON, nullable=False),
    sa.Column("fingerprints", sa.JSON, nullable=False),
    sa.Column("versions", sa.JSON, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("sampler", sa.String(32), nullable=False),
)
TRIAL = sa.Table(
    "mergesearch_trial",
    metadata,
    sa.Column("run_id", sa.ForeignKey(RUN.c.id), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("recipe", sa.JSON, nullable=False),
    sa.Column("recipe_digest", sa.String(64), nullable=False),
    sa.Column("shares", sa.JSON, nullable=False),
    sa.Column("candidate_digest", sa.String(64)),
    sa.Column("candidate_size", sa.BigInteger),
    sa.Column("reused_from", sa.Integer),
    sa.Column("failure", sa.Text),
    sa.Column("started", sa.Float(53), nullable=False),
    sa.Column("ended", sa.Float(53)),
)
RUNG = sa.Table(
    "mergesearch_rung",
    metadata,
    sa.Column("run_id", sa.ForeignKey(RUN.c.id), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("rung", sa.String(32), primary_key=True),
    sa.Column("build_seconds", sa.Float(53), nullable=False),
    sa.Column("score_seconds", sa.Float(53), nullable=False),
    sa.Column("failure", sa.Text),
    sa.Column("ended", sa.Float(53), nullable=False),
)
SCORE = sa.Table(
    "mergesearch_score",
    metadata,
    sa.Column("run_id", sa.ForeignKey(RUN.c.id), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("rung", sa.String(32), primary_key=True),
    sa.Column("objective", sa.String(255), primary_key=True),
    sa.Column("value", sa.Float(53), nullable=False),
    sa.Column("stderr", sa.Float(53), nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("n_unscored", sa.Integer, nullable=False),
)
ITEM = sa.Table(
    "mergesearch_item",
    metadata,
    sa.Column("run_id", sa.ForeignKey(RUN.c.id), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
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
REFERENCE = sa.Table(
    "mergesearch_reference",
    metadata,
    sa.Column("run_id", sa.ForeignKey(RUN.c.id), primary_key=True),
    sa.Column("task", sa.String(255), primary_key=True),
    sa.Column("item", sa.Integer, primary_key=True),
    sa.Column("parent", sa.Text, nullable=False),
    sa.Column("text", sa.LargeBinary, nullable=False),  # UTF-8, compressed with zlib
)
