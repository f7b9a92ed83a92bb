-- The audit log's records, where they can be searched. The file is the log; this follows it.
CREATE TABLE audit (
    key INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    alert TEXT,
    -- The line as JSON: the same line read twice is one record.
    record TEXT NOT NULL UNIQUE
);
CREATE INDEX audit_action ON audit (action);
CREATE INDEX audit_alert ON audit (alert) WHERE alert IS NOT NULL;

-- How far the file was read: one row.
CREATE TABLE audit_place (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    inode INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    damaged INTEGER NOT NULL
);
