-- agent.db: what the agent must not forget. One writer (agent/store.py). user_version 3.
-- Receipts themselves are not here: the relay's journal keeps them until the cloud has acknowledged them.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- What must reach the cloud, until the cloud says that it has it.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    leaf       TEXT NOT NULL,                -- topic leaf: receipts | reports | results
    kind       TEXT NOT NULL,                -- job | tomb | message
    message_id TEXT NOT NULL UNIQUE,         -- the envelope's id: the same at every attempt to send it
    epoch      TEXT,                         -- job, tomb: the key
    seq        INTEGER,
    sha256     BLOB,                         -- job: of the masked form
    size       INTEGER NOT NULL DEFAULT 0,   -- job: bytes at the relay
    withheld   INTEGER NOT NULL DEFAULT 0,   -- job: 1 when its bytes stay on the box
    body       BLOB NOT NULL                 -- the message, as MessagePack; a job's without its bytes
);
CREATE UNIQUE INDEX outbox_key ON outbox (epoch, seq) WHERE kind != 'message';

-- What the relay's journals hold, as far as it was told: so that a lost capture.db is noticed (agent/journals.py).
CREATE TABLE journals (
    epoch TEXT PRIMARY KEY,
    last  INTEGER NOT NULL                   -- the highest seq that the relay told of
) WITHOUT ROWID;
CREATE TABLE taken (                         -- seqs that reached the outbox, as runs that do not touch
    epoch TEXT NOT NULL,
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL,
    PRIMARY KEY (epoch, first)
) WITHOUT ROWID;

-- One row for each slip (order, part, copy number), kept 30 days so that no order prints twice.
CREATE TABLE slips (
    order_id    TEXT NOT NULL,
    part        TEXT NOT NULL,
    copy_number INTEGER NOT NULL,
    copies      INTEGER NOT NULL,
    printer     TEXT NOT NULL,
    asked       INTEGER NOT NULL,            -- the cloud's attempt that is being served
    attempt     INTEGER NOT NULL,            -- the relay's attempt: grows with each slip that is handed over
    mark        TEXT NOT NULL DEFAULT '',    -- '' | copy | stop: what stands at the slip's head
    copy        INTEGER NOT NULL DEFAULT 0,  -- n of COPY n
    state       TEXT NOT NULL,               -- an OrderState
    held        INTEGER NOT NULL DEFAULT 0,  -- 1: too old, waits for a go
    proof       TEXT NOT NULL DEFAULT '',
    reason      TEXT NOT NULL DEFAULT '',
    on_paper    INTEGER NOT NULL DEFAULT 0,  -- attempts that may stand on paper
    max_age_s   INTEGER NOT NULL,
    boot        TEXT NOT NULL,               -- when it was received (or got its go), by the box's clocks
    mono_ms     INTEGER NOT NULL,
    wall_ms     INTEGER NOT NULL,
    content     BLOB NOT NULL,               -- agent/slips.py What, as MessagePack; empty where agent.db was lost
    PRIMARY KEY (order_id, part, copy_number)
);
CREATE INDEX slips_open ON slips (state) WHERE state NOT IN ('printed', 'cancelled', 'closed');

-- Orders that were cancelled; a print that comes later is not printed.
CREATE TABLE cancels (
    order_id    TEXT NOT NULL,
    part        TEXT NOT NULL DEFAULT '',        -- empty: the whole order
    copy_number INTEGER NOT NULL DEFAULT 0,
    attempt     INTEGER NOT NULL DEFAULT 0,      -- attempts of the cloud up to this one; 0: all
    reason      TEXT NOT NULL,
    wall_ms     INTEGER NOT NULL,
    PRIMARY KEY (order_id, part, copy_number)
);

-- Alerts are states: a row lives from its cause to its end.
CREATE TABLE alerts (
    kind    TEXT NOT NULL,                   -- new_order | printer | unconfirmed | ...
    subject TEXT NOT NULL,                   -- the order or the printer it is about
    text    TEXT NOT NULL,
    sound   TEXT NOT NULL,
    say     TEXT NOT NULL DEFAULT '',        -- words behind the sound, with blanks
    state   TEXT NOT NULL,                   -- sounding | acknowledged | escalated
    boot    TEXT NOT NULL,
    mono_ms INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, subject)
);

-- Messages that could not be used, with the reason; the newest 1,000.
CREATE TABLE aside (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    topic   TEXT NOT NULL,
    problem TEXT NOT NULL,
    payload BLOB NOT NULL,
    wall_ms INTEGER NOT NULL
);

PRAGMA user_version = 3;
