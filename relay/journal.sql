-- capture.db: what went over the wire, kept until the cloud has it; and what became of slips.
-- One writer: the relay's journal thread. WAL, synchronous FULL, secure_delete.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;

-- One row per life of the journal; the newest is in use.
CREATE TABLE epochs (
    n     INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL UNIQUE
);

-- A finished job. id = epochs.n << 40 | seq, so that the order of ids is the order of capture.
CREATE TABLE jobs (
    id         INTEGER PRIMARY KEY,
    capture    INTEGER NOT NULL,      -- its bytes: pieces capture * 128 ...
    pos        TEXT NOT NULL,
    printer    TEXT NOT NULL,
    boundary   TEXT NOT NULL,         -- cut quiet close size partial
    continues  INTEGER,               -- seq of the job that this one goes on with
    delivered  TEXT NOT NULL,         -- all part none
    size       INTEGER NOT NULL,
    sha256     BLOB NOT NULL,         -- of the stored bytes
    sha256_raw BLOB,                  -- of the bytes as captured, once masked bytes took their place
    replaced   INTEGER NOT NULL DEFAULT 0,
    boot       TEXT NOT NULL,
    started_mono_ms INTEGER NOT NULL,
    started_wall_ms INTEGER NOT NULL,
    ended_mono_ms   INTEGER NOT NULL,
    ended_wall_ms   INTEGER NOT NULL,
    trust      TEXT NOT NULL,         -- of the wall clock: ntp rtc none
    was        INTEGER,               -- its id before a new epoch
    acked_ran  INTEGER,               -- journal's running time when it was released, ms
    acked_wall INTEGER,
    reason     TEXT                   -- why its bytes are gone: released corrupt operator
);
CREATE INDEX jobs_due ON jobs (id) WHERE acked_ran IS NULL AND reason IS NULL;
CREATE INDEX jobs_acked ON jobs (acked_ran) WHERE acked_ran IS NOT NULL AND reason IS NULL;

-- A job in progress, saved every 250 ms or 64 KiB. What is here at start-up was cut short by a crash.
CREATE TABLE open_jobs (
    capture    INTEGER PRIMARY KEY,
    pos        TEXT NOT NULL,
    printer    TEXT NOT NULL,
    continues  INTEGER,
    boot       TEXT NOT NULL,
    started_mono_ms INTEGER NOT NULL,
    started_wall_ms INTEGER NOT NULL,
    trust      TEXT NOT NULL
);

-- Not less than 64 KiB each, but the last. id = capture * 128 + number.
CREATE TABLE pieces (
    id  INTEGER PRIMARY KEY,
    raw BLOB NOT NULL
);

-- Seqs that will never come, as ranges. Rows with epoch 0 are allocated beforehand, for when the disk is full.
CREATE TABLE tombs (
    id        INTEGER PRIMARY KEY,
    epoch     INTEGER NOT NULL DEFAULT 0,   -- epochs.n
    first     INTEGER NOT NULL DEFAULT 0,
    last      INTEGER NOT NULL DEFAULT 0,
    reason    TEXT NOT NULL DEFAULT '            ',
    acked_ran INTEGER
);

-- What became of slips. `fate` rises with every change.
CREATE TABLE slips (
    slip      TEXT NOT NULL,
    attempt   INTEGER NOT NULL,
    printer   TEXT NOT NULL,
    copy      INTEGER NOT NULL,
    raw       BLOB,                   -- while it is not printed
    valid_boot TEXT NOT NULL,
    valid_mono_ms INTEGER NOT NULL,   -- not to be started after this
    pid       INTEGER NOT NULL,       -- the process id asked of the printer
    state     TEXT NOT NULL,          -- queued started done expired withdrawn failed
    proof     TEXT NOT NULL DEFAULT '',
    status    TEXT NOT NULL DEFAULT '{}',
    reason    TEXT NOT NULL DEFAULT '',
    fate      INTEGER NOT NULL UNIQUE,
    boot      TEXT NOT NULL,
    mono_ms   INTEGER NOT NULL,
    wall_ms   INTEGER NOT NULL,
    trust     TEXT NOT NULL,
    PRIMARY KEY (slip, attempt)
);

-- What each printer said of itself when it was asked last (probe).
CREATE TABLE printers (
    name       TEXT PRIMARY KEY,
    url        TEXT NOT NULL,
    maker      TEXT NOT NULL,
    says       TEXT NOT NULL,         -- GS I 67
    model      TEXT NOT NULL,         -- the file of config/printers/ that fits; empty: none
    proof      TEXT NOT NULL,         -- L0 L1 L2
    process_id INTEGER NOT NULL,      -- answers GS ( H
    asked_wall_ms INTEGER NOT NULL
) WITHOUT ROWID;
