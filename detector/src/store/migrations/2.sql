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

-- Indices of columns with as many values as there are alerts would have a page of their own written
-- for each alert. They begin with the alert's span, 2^42 ns or 73 minutes: what is written is
-- in a few pages then, and whoever searches looks into each span.
DROP INDEX alerts_id;
DROP INDEX alerts_src;
DROP INDEX alerts_dst;
DROP INDEX alerts_src_port;
CREATE INDEX alerts_id ON alerts (first_seen_ns >> 42, id, analysis);
CREATE INDEX alerts_src ON alerts (key >> 42, src);
CREATE INDEX alerts_dst ON alerts (key >> 42, dst);
CREATE INDEX alerts_src_port ON alerts (key >> 42, src_port) WHERE src_port IS NOT NULL;

-- The index of words joins its parts when there are so many of a size, instead of 4.
INSERT INTO alert_words (alert_words, rank) VALUES ('automerge', 16);
INSERT INTO alert_words (alert_words, rank) VALUES ('crisismerge', 64);
