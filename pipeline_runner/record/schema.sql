-- The journal of a state folder: what happened, appended; nothing is ever changed, so nothing can get out of step.
-- (Except that rows of `done` follow a stage that was renamed.)
-- A run's state is the fold of its events; its values are the rows of `done`.
PRAGMA user_version = 3;
PRAGMA application_id = 1886519299; -- 0x70720000 + the version again: one that is damaged is not taken for a newer one

CREATE TABLE IF NOT EXISTS run (
    id    TEXT PRIMARY KEY,
    began REAL NOT NULL,  -- seconds since the epoch, for show
    body  TEXT NOT NULL   -- JSON: pipeline, file, params, workers, each stage's recipe
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS recipe (
    key   BLOB PRIMARY KEY,
    parts TEXT NOT NULL   -- JSON: name → digest or version; what tells in what two recipes differ
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS event (
    seq   INTEGER PRIMARY KEY,
    run   TEXT NOT NULL,
    kind  TEXT NOT NULL,  -- the event's class
    stage TEXT,
    item  INTEGER,        -- the call's number, where the event is about one
    body  TEXT NOT NULL   -- JSON: the event's fields
);
CREATE INDEX IF NOT EXISTS event_of_run ON event (run, stage, item);
-- What happened, without what was printed: a run is told at once, however much its calls had to say.
CREATE INDEX IF NOT EXISTS event_but_lines ON event (run, kind) WHERE kind <> 'Printed';

CREATE TABLE IF NOT EXISTS done (
    seq     INTEGER PRIMARY KEY,
    run     TEXT NOT NULL,
    stage   TEXT NOT NULL,
    recipe  BLOB NOT NULL,     -- of the stage, when these calls ended
    first   INTEGER NOT NULL,  -- number of the first call
    calls   INTEGER NOT NULL,  -- how many: first, first + 1, …
    digests BLOB,              -- 8 bytes a call: what each was given; NULL where the number says it
    data    BLOB,              -- the pickled list of their values; NULL where a file has it, or nobody will read it
    file    TEXT,              -- of the values folder
    start   INTEGER NOT NULL,  -- where in that list the first of these calls is
    seal    BLOB NOT NULL      -- HMAC-SHA256 of all of the above: a row that was touched is a row that is not there
);
CREATE INDEX IF NOT EXISTS done_of_stage ON done (run, stage, recipe, first, calls);

CREATE TABLE IF NOT EXISTS given (
    run    TEXT NOT NULL,
    stage  TEXT NOT NULL,
    item   INTEGER NOT NULL,
    data   BLOB NOT NULL,      -- the pickled (columns, keywords) of a call that failed: what `prun replay` gives it again
    seal   BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS given_to_call ON given (run, stage, item);

-- From here on, format 3: a journal of format 2 gets these beside what it has.

CREATE INDEX IF NOT EXISTS done_of_recipe ON done (recipe, first, calls);

CREATE TABLE IF NOT EXISTS out (
    path   TEXT NOT NULL,      -- from the state folder on, so that both may be moved together
    recipe BLOB NOT NULL,      -- of the stage
    key    BLOB NOT NULL,      -- of the call that wrote the file last: who else finds another one's file has no out
    digest TEXT NOT NULL,      -- what was in it then
    seal   BLOB NOT NULL,
    PRIMARY KEY (path)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS out_of_call ON out (key);

CREATE TABLE IF NOT EXISTS file (
    path   TEXT PRIMARY KEY,
    look   BLOB NOT NULL,      -- size, times, inode
    digest TEXT NOT NULL,      -- what is in it while it looks so
    seal   BLOB NOT NULL
) WITHOUT ROWID;
