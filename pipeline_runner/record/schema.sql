-- The journal of a state folder: what happened, appended; nothing is ever changed, so nothing can get out of step.
-- (Except that rows of `done` follow a stage that was renamed.)
-- A run's state is the fold of its events; its values are the rows of `done`.
PRAGMA user_version = 2;
PRAGMA application_id = 1886519298; -- 0x70720000 + the version again: one that is damaged is not taken for a newer one

CREATE TABLE run (
    id    TEXT PRIMARY KEY,
    began REAL NOT NULL,  -- seconds since the epoch, for show
    body  TEXT NOT NULL   -- JSON: pipeline, file, params, workers, each stage's recipe
) WITHOUT ROWID;

CREATE TABLE recipe (
    key   BLOB PRIMARY KEY,
    parts TEXT NOT NULL   -- JSON: name → digest or version; what tells in what two recipes differ
) WITHOUT ROWID;

CREATE TABLE event (
    seq   INTEGER PRIMARY KEY,
    run   TEXT NOT NULL,
    kind  TEXT NOT NULL,  -- the event's class
    stage TEXT,
    item  INTEGER,        -- the call's number, where the event is about one
    body  TEXT NOT NULL   -- JSON: the event's fields
);
CREATE INDEX event_of_run ON event (run, stage, item);
-- What happened, without what was printed: a run is told at once, however much its calls had to say.
CREATE INDEX event_but_lines ON event (run, kind) WHERE kind <> 'Printed';

CREATE TABLE done (
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
CREATE INDEX done_of_stage ON done (run, stage, recipe, first, calls);

CREATE TABLE given (
    run    TEXT NOT NULL,
    stage  TEXT NOT NULL,
    item   INTEGER NOT NULL,
    data   BLOB NOT NULL,      -- the pickled (columns, keywords) of a call that failed: what `prun replay` gives it again
    seal   BLOB NOT NULL
);
CREATE INDEX given_to_call ON given (run, stage, item);
