"""The tables, for building statements. They are created by `migrations`; a test holds the two to each other.

Times are seconds since 1970 (UTC). Money is whole millionths of a US dollar, so that sums are exact in every database.
Columns that a later feature fills are here from the start, since rows written today are read by it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

__all__ = [
    "TABLES",
    "balances",
    "budgets",
    "deliveries",
    "events",
    "jobs",
    "meta",
    "metadata",
    "outputs",
    "reservations",
    "runs",
]

metadata = MetaData()


def _partial(name: str, *columns: str, only: str) -> Index:
    """An index of a few rows of a long table: those that match `only`."""
    return Index(name, *columns, sqlite_where=text(only), postgresql_where=text(only))


Money = BigInteger
Time = Double

meta = Table(
    "meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),  # generate, batch, film
    Column("parent_id", String, ForeignKey("runs.id")),
    Column("position", Integer),  # in its parent: line of a batch, shot of a film
    Column("scope", String, nullable=False),
    Column("key", String),
    Column("state", String, nullable=False),  # open, waiting, finished, failed, cancelled
    Column("version", Integer, nullable=False),
    Column("request", Text, nullable=False),  # JSON: what was asked; media as hash, size and kind
    Column("request_hash", String, nullable=False),
    Column("plan", Text, nullable=False),
    Column("estimate", Text, nullable=False),
    Column("options", Text, nullable=False),  # JSON: select, output, tags, retries, ...
    Column("tags", Text, nullable=False),
    Column("notes", Text, nullable=False),
    Column("candidates", Integer, nullable=False),
    Column("max_cost", Money),
    Column("cost", Money, nullable=False),
    Column("imputed", Money, nullable=False),
    Column("chosen_output", String),
    Column("output", Text),
    Column("home", Text),
    Column("owner", String),
    Column("lease_until", Time),
    Column("trace", Text),
    Column("error", Text),
    Column("mock", Integer, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
    Column("ended_at", Time),
    UniqueConstraint("scope", "key", name="runs_key"),
    Index("runs_created", "created_at"),
    Index("runs_parent", "parent_id", "position"),
    _partial("runs_state", "state", "created_at", only="ended_at IS NOT NULL"),
    _partial("runs_open", "created_at", only="ended_at IS NULL"),
    _partial("runs_owner", "owner", only="owner IS NOT NULL"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String, primary_key=True),
    Column("run_id", String, ForeignKey("runs.id"), nullable=False),
    Column("candidate", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("scope", String, nullable=False),
    Column("endpoint", String, nullable=False),
    Column("account", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("model", String, nullable=False),
    Column("task", String, nullable=False),
    Column("route", String, nullable=False),
    Column("state", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("settings", Text, nullable=False),  # JSON: what is bought, every field filled
    Column("settings_hash", String, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("seed", BigInteger),
    Column("remote_id", String),
    Column("details", Text),  # JSON from the provider, for polling; without secrets
    Column("token", String, nullable=False),  # in the callback URL
    Column("possible_ids", Text),
    Column("outlives_caller", Integer, nullable=False),
    Column("find", String, nullable=False),
    Column("owner", String),
    Column("lease_until", Time),
    Column("host", String, nullable=False),
    Column("process", Integer, nullable=False),
    Column("deadline", Time),
    Column("poll_at", Time),
    Column("polls", Integer, nullable=False),
    Column("progress", Double),
    Column("stage", String),
    Column("estimate_low", Money, nullable=False),
    Column("estimate", Money, nullable=False),
    Column("estimate_high", Money, nullable=False),
    Column("quote", Money),
    Column("cost", Money),
    Column("cost_basis", String),  # reported, computed, assumed, imputed
    Column("billed", Integer, nullable=False),  # 0: one's own hardware, imputed only
    Column("charged", Integer),  # 1, 0, NULL when nobody can know
    Column("price_as_of", String),
    Column("error", String),  # class name
    Column("error_code", String),
    Column("error_stage", String),
    Column("error_text", Text),
    Column("request_id", String),
    Column("timings", Text),
    Column("trace", Text),
    Column("created_at", Time, nullable=False),
    Column("uploading_at", Time),
    Column("sending_at", Time),
    Column("accepted_at", Time),
    Column("running_at", Time),
    Column("downloading_at", Time),
    Column("ended_at", Time),
    Column("updated_at", Time, nullable=False),
    Column("working_at", Time),  # when a look last found it at work; NULL when nobody knows
    UniqueConstraint(
        "endpoint", "account", "remote_id", name="jobs_remote"
    ),  # a job at the vendor is claimed once
    UniqueConstraint("run_id", "candidate", "attempt", name="jobs_attempt"),
    Index("jobs_created", "created_at"),
    Index("jobs_token", "token"),
    # What changes while a job is under way is in as few indexes as can be: each is a page more for every commit.
    _partial("jobs_state", "state", "created_at", only="ended_at IS NOT NULL"),
    _partial("jobs_latency", "endpoint", "model", "task", "ended_at", only="ended_at IS NOT NULL"),
    _partial("jobs_sent", "sending_at", only="sending_at IS NOT NULL"),
    _partial("jobs_open", "created_at", only="ended_at IS NULL"),
    _partial("jobs_owner", "owner", only="owner IS NOT NULL"),
)

outputs = Table(
    "outputs",
    metadata,
    Column("id", String, primary_key=True),
    Column("run_id", String, ForeignKey("runs.id"), nullable=False),
    Column("job_id", String, ForeignKey("jobs.id"), nullable=False),
    Column("number", Integer, nullable=False),  # within the job
    Column("state", String, nullable=False),  # published, filtered, failed, lost
    Column("uri", Text),
    Column("ref", Text),  # at the vendor, without query
    Column("media_type", String),
    Column("size", BigInteger),
    Column("sha256", String),
    Column("width", Integer),
    Column("height", Integer),
    Column("frames", Integer),
    Column("fps", String),
    Column("duration", Double),
    Column("has_audio", Integer),
    Column("seed", BigInteger),
    Column("cost", Money),
    Column("scores", Text),
    Column("reason", Text),
    Column("expires_at", Time),
    Column("created_at", Time, nullable=False),
    UniqueConstraint("job_id", "number", name="outputs_number"),
    Index("outputs_run", "run_id"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String, nullable=False),
    Column("job_id", String),
    Column("at", Time, nullable=False),
    Column("kind", String, nullable=False),  # move, note, lease, overrun, delivery
    Column("source", String),
    Column("target", String),
    Column("version", Integer),
    Column("data", Text),
    Index("events_run", "run_id", "id"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("id", String, primary_key=True),
    Column("run_id", String, nullable=False),
    Column("job_id", String, nullable=False),
    Column("budget_id", String),  # NULL: what the call itself counts
    Column("scope", String, nullable=False),
    Column("state", String, nullable=False),  # held, settled, released
    Column("amount", Money, nullable=False),
    Column("settled", Money),
    Column("basis", String),
    Column("period", String, nullable=False),  # the day, 2026-11-22, that it counts towards
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
    Column("root_id", String),  # the outermost run of the call
    Index("reservations_job", "job_id"),
    Index("reservations_root", "root_id"),
)

balances = Table(
    "balances",  # sums of reservations, so that no check has to add up the history
    metadata,
    Column("account", String, primary_key=True),  # the outermost run of a call, or a budget
    Column("day", String, primary_key=True),
    Column("held", Money, nullable=False),
    Column("settled", Money, nullable=False),
)

budgets = Table(
    "budgets",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("amount", Money, nullable=False),
    Column("per", String, nullable=False),  # call, day, month, total
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
    UniqueConstraint("scope", "name", name="budgets_name"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String, primary_key=True),
    Column("endpoint", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("delivery_id", String, nullable=False),
    Column("token", String),
    Column("remote_id", String),
    Column("job_id", String),
    Column("body_hash", String, nullable=False),
    Column("received_at", Time, nullable=False),
    Column("handled_at", Time),
    UniqueConstraint("endpoint", "delivery_id", name="deliveries_once"),
    Index("deliveries_token", "token"),
    Index("deliveries_job", "job_id"),
)

TABLES = tuple(metadata.sorted_tables)
