"""How the tables came to be: an append-only list. A released migration is never edited, only followed by another.

Each runs once, in its own transaction, and is noted in `meta`. The SQL is the part that SQLite and PostgreSQL share;
`{serial}` stands for the one type they spell differently, and PostgreSQL is told to sort words as SQLite does: by their bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

__all__ = ["MIGRATIONS", "Migration", "migrate", "spelt"]

_SERIAL = {
    "sqlite": "INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
    "postgresql": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
}


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: a name that is never reused, and the statements that make it."""

    name: str
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        "0001_ground",
        (
            """
            CREATE TABLE budgets (
                id VARCHAR NOT NULL,
                name VARCHAR NOT NULL,
                scope VARCHAR NOT NULL,
                amount BIGINT NOT NULL,
                per VARCHAR NOT NULL,
                created_at DOUBLE PRECISION NOT NULL,
                updated_at DOUBLE PRECISION NOT NULL,
                PRIMARY KEY (id),
                CONSTRAINT budgets_name UNIQUE (scope, name)
            )
            """,
            """
            CREATE TABLE deliveries (
                id VARCHAR NOT NULL,
                endpoint VARCHAR NOT NULL,
                scope VARCHAR NOT NULL,
                delivery_id VARCHAR NOT NULL,
                token VARCHAR,
                remote_id VARCHAR,
                job_id VARCHAR,
                body_hash VARCHAR NOT NULL,
                received_at DOUBLE PRECISION NOT NULL,
                handled_at DOUBLE PRECISION,
                PRIMARY KEY (id),
                CONSTRAINT deliveries_once UNIQUE (endpoint, delivery_id)
            )
            """,
            """
            CREATE INDEX deliveries_token ON deliveries (token)
            """,
            """
            CREATE TABLE events (
                id {serial},
                run_id VARCHAR NOT NULL,
                job_id VARCHAR,
                at DOUBLE PRECISION NOT NULL,
                kind VARCHAR NOT NULL,
                source VARCHAR,
                target VARCHAR,
                version INTEGER,
                data TEXT
            )
            """,
            """
            CREATE INDEX events_job ON events (job_id, id)
            """,
            """
            CREATE INDEX events_run ON events (run_id, id)
            """,
            """
            CREATE TABLE meta (
                name VARCHAR NOT NULL,
                value TEXT NOT NULL,
                PRIMARY KEY (name)
            )
            """,
            """
            CREATE TABLE reservations (
                id VARCHAR NOT NULL,
                run_id VARCHAR NOT NULL,
                job_id VARCHAR NOT NULL,
                budget_id VARCHAR,
                scope VARCHAR NOT NULL,
                state VARCHAR NOT NULL,
                amount BIGINT NOT NULL,
                settled BIGINT,
                basis VARCHAR,
                period VARCHAR NOT NULL,
                created_at DOUBLE PRECISION NOT NULL,
                updated_at DOUBLE PRECISION NOT NULL,
                PRIMARY KEY (id)
            )
            """,
            """
            CREATE INDEX reservations_budget ON reservations (budget_id, period, state)
            """,
            """
            CREATE INDEX reservations_job ON reservations (job_id)
            """,
            """
            CREATE INDEX reservations_run ON reservations (run_id)
            """,
            """
            CREATE TABLE runs (
                id VARCHAR NOT NULL,
                kind VARCHAR NOT NULL,
                parent_id VARCHAR,
                "position" INTEGER,
                scope VARCHAR NOT NULL,
                "key" VARCHAR,
                state VARCHAR NOT NULL,
                version INTEGER NOT NULL,
                request TEXT NOT NULL,
                request_hash VARCHAR NOT NULL,
                "plan" TEXT NOT NULL,
                estimate TEXT NOT NULL,
                options TEXT NOT NULL,
                tags TEXT NOT NULL,
                notes TEXT NOT NULL,
                candidates INTEGER NOT NULL,
                max_cost BIGINT,
                cost BIGINT NOT NULL,
                imputed BIGINT NOT NULL,
                chosen_output VARCHAR,
                output TEXT,
                home TEXT,
                owner VARCHAR,
                lease_until DOUBLE PRECISION,
                trace TEXT,
                error TEXT,
                mock INTEGER NOT NULL,
                created_at DOUBLE PRECISION NOT NULL,
                updated_at DOUBLE PRECISION NOT NULL,
                ended_at DOUBLE PRECISION,
                PRIMARY KEY (id),
                CONSTRAINT runs_key UNIQUE (scope, "key"),
                FOREIGN KEY(parent_id) REFERENCES runs (id)
            )
            """,
            """
            CREATE INDEX runs_created ON runs (created_at)
            """,
            """
            CREATE INDEX runs_parent ON runs (parent_id)
            """,
            """
            CREATE TABLE jobs (
                id VARCHAR NOT NULL,
                run_id VARCHAR NOT NULL,
                candidate INTEGER NOT NULL,
                attempt INTEGER NOT NULL,
                scope VARCHAR NOT NULL,
                endpoint VARCHAR NOT NULL,
                account VARCHAR NOT NULL,
                provider VARCHAR NOT NULL,
                model VARCHAR NOT NULL,
                task VARCHAR NOT NULL,
                route VARCHAR NOT NULL,
                state VARCHAR NOT NULL,
                version INTEGER NOT NULL,
                settings TEXT NOT NULL,
                settings_hash VARCHAR NOT NULL,
                samples INTEGER NOT NULL,
                seed BIGINT,
                remote_id VARCHAR,
                details TEXT,
                token VARCHAR NOT NULL,
                possible_ids TEXT,
                outlives_caller INTEGER NOT NULL,
                find VARCHAR NOT NULL,
                owner VARCHAR,
                lease_until DOUBLE PRECISION,
                host VARCHAR NOT NULL,
                process INTEGER NOT NULL,
                deadline DOUBLE PRECISION,
                poll_at DOUBLE PRECISION,
                polls INTEGER NOT NULL,
                progress DOUBLE PRECISION,
                stage VARCHAR,
                estimate_low BIGINT NOT NULL,
                estimate BIGINT NOT NULL,
                estimate_high BIGINT NOT NULL,
                quote BIGINT,
                cost BIGINT,
                cost_basis VARCHAR,
                billed INTEGER NOT NULL,
                charged INTEGER,
                price_as_of VARCHAR,
                error VARCHAR,
                error_code VARCHAR,
                error_stage VARCHAR,
                error_text TEXT,
                request_id VARCHAR,
                timings TEXT,
                trace TEXT,
                created_at DOUBLE PRECISION NOT NULL,
                uploading_at DOUBLE PRECISION,
                sending_at DOUBLE PRECISION,
                accepted_at DOUBLE PRECISION,
                running_at DOUBLE PRECISION,
                downloading_at DOUBLE PRECISION,
                ended_at DOUBLE PRECISION,
                updated_at DOUBLE PRECISION NOT NULL,
                PRIMARY KEY (id),
                CONSTRAINT jobs_remote UNIQUE (endpoint, account, remote_id),
                CONSTRAINT jobs_attempt UNIQUE (run_id, candidate, attempt),
                FOREIGN KEY(run_id) REFERENCES runs (id)
            )
            """,
            """
            CREATE INDEX jobs_latency ON jobs (model, endpoint, ended_at)
            """,
            """
            CREATE INDEX jobs_state ON jobs (state, endpoint)
            """,
            """
            CREATE INDEX jobs_token ON jobs (token)
            """,
            """
            CREATE TABLE outputs (
                id VARCHAR NOT NULL,
                run_id VARCHAR NOT NULL,
                job_id VARCHAR NOT NULL,
                number INTEGER NOT NULL,
                state VARCHAR NOT NULL,
                uri TEXT,
                ref TEXT,
                media_type VARCHAR,
                size BIGINT,
                sha256 VARCHAR,
                width INTEGER,
                height INTEGER,
                frames INTEGER,
                fps VARCHAR,
                duration DOUBLE PRECISION,
                has_audio INTEGER,
                seed BIGINT,
                cost BIGINT,
                scores TEXT,
                reason TEXT,
                expires_at DOUBLE PRECISION,
                created_at DOUBLE PRECISION NOT NULL,
                PRIMARY KEY (id),
                CONSTRAINT outputs_number UNIQUE (job_id, number),
                FOREIGN KEY(run_id) REFERENCES runs (id),
                FOREIGN KEY(job_id) REFERENCES jobs (id)
            )
            """,
            """
            CREATE INDEX outputs_run ON outputs (run_id)
            """,
        ),
    ),
    Migration(
        "0002_budgets",
        (
            "ALTER TABLE reservations ADD COLUMN root_id VARCHAR",
            """
            UPDATE reservations
            SET root_id = (SELECT COALESCE(runs.parent_id, runs.id) FROM runs WHERE runs.id = reservations.run_id)
            """,
            """
            UPDATE reservations
            SET state = 'released', settled = 0
            WHERE job_id IN (SELECT jobs.id FROM jobs WHERE jobs.billed = 0)
            """,
            """
            CREATE TABLE balances (
                account VARCHAR NOT NULL,
                "day" VARCHAR NOT NULL,
                held BIGINT NOT NULL,
                settled BIGINT NOT NULL,
                PRIMARY KEY (account, "day")
            )
            """,
            """
            INSERT INTO balances (account, "day", held, settled)
            SELECT
                COALESCE(budget_id, root_id),
                period,
                SUM(CASE WHEN state = 'held' THEN amount ELSE 0 END),
                SUM(CASE WHEN state = 'settled' THEN COALESCE(settled, 0) ELSE 0 END)
            FROM reservations
            WHERE state <> 'released' AND COALESCE(budget_id, root_id) IS NOT NULL
            GROUP BY COALESCE(budget_id, root_id), period
            """,
            "DROP INDEX reservations_budget",
            "DROP INDEX reservations_run",
            "CREATE INDEX reservations_root ON reservations (root_id)",
            "DROP INDEX runs_parent",
            """
            CREATE INDEX runs_parent ON runs (parent_id, "position")
            """,
            "CREATE INDEX runs_open ON runs (created_at) WHERE ended_at IS NULL",
            "CREATE INDEX runs_owner ON runs (owner) WHERE owner IS NOT NULL",
            "DROP INDEX jobs_state",
            "CREATE INDEX jobs_state ON jobs (state, created_at)",
            "CREATE INDEX jobs_created ON jobs (created_at)",
            "DROP INDEX jobs_latency",
            "CREATE INDEX jobs_latency ON jobs (endpoint, model, task, ended_at)",
            "CREATE INDEX jobs_open ON jobs (created_at) WHERE ended_at IS NULL",
            "CREATE INDEX jobs_owner ON jobs (owner) WHERE owner IS NOT NULL",
        ),
    ),
    Migration(
        "0003_quick_at_any_size",
        (
            "CREATE INDEX runs_state ON runs (state, created_at)",
            "CREATE INDEX deliveries_job ON deliveries (job_id)",
        ),
    ),
    Migration("0004_last_seen_working", ("ALTER TABLE jobs ADD COLUMN working_at DOUBLE PRECISION",)),
    Migration(
        "0005_fewer_pages",
        (
            "DROP INDEX runs_state",
            "CREATE INDEX runs_state ON runs (state, created_at) WHERE ended_at IS NOT NULL",
            "DROP INDEX jobs_state",
            "CREATE INDEX jobs_state ON jobs (state, created_at) WHERE ended_at IS NOT NULL",
            "DROP INDEX jobs_latency",
            "CREATE INDEX jobs_latency ON jobs (endpoint, model, task, ended_at) WHERE ended_at IS NOT NULL",
            "DROP INDEX events_job",
        ),
    ),
    Migration(
        "0006_sent_in_a_minute",
        ("CREATE INDEX jobs_sent ON jobs (sending_at) WHERE sending_at IS NOT NULL",),
    ),
)


def migrate(connection: Connection, applied: set[str]) -> list[str]:
    """Apply what is missing, in order, inside the caller's transaction. Returns the names applied now."""
    done = []
    for migration in MIGRATIONS:
        if migration.name in applied:
            continue
        for statement in migration.statements:
            connection.execute(text(spelt(statement, connection.dialect.name)))
        connection.execute(
            text("INSERT INTO meta (name, value) VALUES (:name, :value)"),
            {"name": f"migration:{migration.name}", "value": "applied"},
        )
        done.append(migration.name)
    return done


def spelt(statement: str, dialect: str) -> str:
    """A statement as one of the databases spells it: "sqlite" or "postgresql"."""
    made = statement.format(serial=_SERIAL[dialect])
    return made if dialect == "sqlite" else made.replace("VARCHAR", 'VARCHAR COLLATE "C"')
