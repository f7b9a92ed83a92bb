-- Times are nanoseconds since the Unix epoch in columns named _ns, else seconds. Addresses are 16
-- bytes, IPv4 mapped into IPv6 (RFC 4291 section 2.5.5.2), so that a network is a range.

-- One row for each alert. The key is the time at which it opened, moved on by a nanosecond where
-- that is taken: order by key is order by time, and every index ends in it.
CREATE TABLE alerts (
    key INTEGER PRIMARY KEY,
    id INTEGER NOT NULL,
    -- The analysis of a capture that found it; 0: live traffic or a record.
    analysis INTEGER NOT NULL DEFAULT 0,
    origin TEXT NOT NULL,
    capture INTEGER,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL,
    resolution TEXT,
    time_ns INTEGER NOT NULL,
    first_seen_ns INTEGER NOT NULL,
    src BLOB NOT NULL,
    src_port INTEGER,
    dst BLOB NOT NULL,
    dst_port INTEGER,
    protocol TEXT NOT NULL,
    src_opened INTEGER NOT NULL,
    technique TEXT NOT NULL,
    severity INTEGER NOT NULL,
    score REAL NOT NULL,
    raw_score REAL NOT NULL,
    threshold REAL NOT NULL,
    bytes_out INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    packets_out INTEGER NOT NULL,
    packets_in INTEGER NOT NULL,
    bytes_leaked INTEGER NOT NULL,
    bytes_leaked_before_block INTEGER,
    dst_name TEXT,
    domain TEXT,
    community_id TEXT NOT NULL,
    ja4 TEXT,
    action TEXT NOT NULL,
    action_note TEXT,
    headline TEXT NOT NULL
);
CREATE UNIQUE INDEX alerts_id ON alerts (id, analysis);
CREATE INDEX alerts_src ON alerts (src);
CREATE INDEX alerts_dst ON alerts (dst);
CREATE INDEX alerts_src_port ON alerts (src_port) WHERE src_port IS NOT NULL;
CREATE INDEX alerts_dst_port ON alerts (dst_port) WHERE dst_port IS NOT NULL;
CREATE INDEX alerts_protocol ON alerts (protocol);
CREATE INDEX alerts_technique ON alerts (technique);
CREATE INDEX alerts_severity ON alerts (severity);
CREATE INDEX alerts_status ON alerts (status);
CREATE INDEX alerts_action ON alerts (action);
CREATE INDEX alerts_capture ON alerts (capture) WHERE capture IS NOT NULL;

-- Words of an alert. Only the index is kept; rowid is the alert's key.
CREATE VIRTUAL TABLE alert_words USING fts5 (
    name, text, content = '', contentless_delete = 1, tokenize = 'unicode61'
);

-- What an alert was judged on: enough to judge it again.
CREATE TABLE alert_evidence (
    key INTEGER PRIMARY KEY,
    -- 32-bit floats, little-endian, in the order of the schema's columns.
    vector BLOB NOT NULL,
    rules REAL NOT NULL,
    habit INTEGER NOT NULL,
    model TEXT NOT NULL,
    model_hash TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    reasons TEXT NOT NULL,
    heads TEXT NOT NULL
);

-- An alert's counters each time that it was told, and what was done.
CREATE TABLE alert_points (
    alert INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    what TEXT NOT NULL,
    bytes_out INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    score REAL NOT NULL,
    severity INTEGER NOT NULL,
    PRIMARY KEY (alert, time_ns, what)
) WITHOUT ROWID;

CREATE TABLE alert_notes (
    id INTEGER PRIMARY KEY,
    alert INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    who TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX alert_notes_alert ON alert_notes (alert);

-- Vectors that a person has labelled, for training.
CREATE TABLE samples (
    id INTEGER PRIMARY KEY,
    time_ns INTEGER NOT NULL,
    -- 1: a theft.
    label INTEGER NOT NULL,
    alert INTEGER NOT NULL,
    schema_hash TEXT NOT NULL,
    vector BLOB NOT NULL,
    who TEXT NOT NULL,
    UNIQUE (alert)
);

-- What all interfaces carried in a minute.
CREATE TABLE minutes (
    minute INTEGER PRIMARY KEY,
    bytes_out INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    packets INTEGER NOT NULL,
    seen_bytes INTEGER NOT NULL,
    unaccounted_bytes INTEGER NOT NULL,
    alerts INTEGER NOT NULL
) WITHOUT ROWID;

-- The scores of a minute, by where they come from.
CREATE TABLE probabilities (
    minute INTEGER NOT NULL,
    origin TEXT NOT NULL,
    scored INTEGER NOT NULL,
    highest REAL NOT NULL,
    total REAL NOT NULL,
    PRIMARY KEY (minute, origin)
) WITHOUT ROWID;

-- What each session carried in a span of time: 60 seconds, later joined to 3,600.
CREATE TABLE sessions (
    start INTEGER NOT NULL,
    span_secs INTEGER NOT NULL,
    src BLOB NOT NULL,
    dst BLOB NOT NULL,
    protocol TEXT NOT NULL,
    dst_port INTEGER NOT NULL,
    name TEXT,
    bytes_out INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    packets_out INTEGER NOT NULL,
    packets_in INTEGER NOT NULL,
    flows INTEGER NOT NULL,
    score REAL NOT NULL,
    PRIMARY KEY (start, src, dst, protocol, dst_port)
) WITHOUT ROWID;
CREATE INDEX sessions_src ON sessions (src, start);
CREATE INDEX sessions_dst ON sessions (dst, start);

CREATE TABLE hosts (
    address BLOB PRIMARY KEY,
    home INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL
) WITHOUT ROWID;

-- What was learned about each host; the form is that of the program's features.
CREATE TABLE baselines (
    address BLOB PRIMARY KEY,
    time INTEGER NOT NULL,
    learned TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE contacts (
    id INTEGER PRIMARY KEY,
    forename TEXT NOT NULL,
    surname TEXT NOT NULL,
    email TEXT,
    phone TEXT
);
CREATE TABLE groups (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    alertable INTEGER NOT NULL
);
CREATE TABLE members (
    group_id INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    contact INTEGER NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, contact)
) WITHOUT ROWID;
CREATE INDEX members_contact ON members (contact);

-- Who is told of what, over which channel. Without a group: the channel's own recipients.
CREATE TABLE rules (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    enabled INTEGER NOT NULL,
    channel TEXT NOT NULL,
    group_id INTEGER REFERENCES groups (id) ON DELETE CASCADE,
    min_severity INTEGER NOT NULL,
    -- JSON: a list of names, empty for all.
    techniques TEXT NOT NULL,
    host TEXT,
    digest_secs INTEGER NOT NULL,
    repeat_secs INTEGER NOT NULL
);

-- Alerts that a rule wants told, until they are put into a message: written with the alert itself.
CREATE TABLE pending (
    id INTEGER PRIMARY KEY,
    rule INTEGER NOT NULL REFERENCES rules (id) ON DELETE CASCADE,
    alert INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    -- Not put into a message before then.
    due_ns INTEGER NOT NULL,
    UNIQUE (rule, alert)
);
CREATE INDEX pending_due ON pending (due_ns);

-- What a rule has told of, so that it does not tell the same again too soon.
CREATE TABLE told (
    rule INTEGER NOT NULL REFERENCES rules (id) ON DELETE CASCADE,
    alert INTEGER NOT NULL,
    src BLOB NOT NULL,
    dst BLOB NOT NULL,
    technique TEXT NOT NULL,
    severity INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    PRIMARY KEY (rule, alert)
) WITHOUT ROWID;
CREATE INDEX told_ends ON told (rule, src, dst, technique, time_ns);
CREATE INDEX told_time ON told (time_ns);

-- The outbox: each message to one recipient over one channel, and what became of it.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    -- What makes two of them the same message.
    mark TEXT NOT NULL UNIQUE,
    time_ns INTEGER NOT NULL,
    channel TEXT NOT NULL,
    recipient TEXT NOT NULL,
    rule INTEGER,
    -- The first alert that it tells of, and how many.
    alert INTEGER,
    alerts INTEGER NOT NULL,
    subject TEXT NOT NULL,
    message TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_ns INTEGER,
    -- The last attempt; of one that was sent, when.
    tried_ns INTEGER,
    -- Of the last attempt; none once it was sent.
    error TEXT
);
CREATE INDEX deliveries_state ON deliveries (channel, state);
CREATE INDEX deliveries_tried ON deliveries (channel, tried_ns);
CREATE INDEX deliveries_due ON deliveries (channel, next_attempt_ns) WHERE state = 'queued';
-- Every alert that a message tells of.
CREATE TABLE delivered (
    alert INTEGER NOT NULL,
    delivery INTEGER NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    PRIMARY KEY (alert, delivery)
) WITHOUT ROWID;
CREATE INDEX delivered_delivery ON delivered (delivery);

CREATE TABLE tokens (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- SHA-256 of the token.
    hash BLOB NOT NULL UNIQUE,
    scope TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    last_used INTEGER
);
-- Links that log a browser in, once.
CREATE TABLE login_codes (
    hash BLOB PRIMARY KEY,
    token INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    expires INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE logins (
    hash BLOB PRIMARY KEY,
    token INTEGER NOT NULL REFERENCES tokens (id) ON DELETE CASCADE,
    csrf TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE captures (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    sha256 TEXT,
    uploaded_ns INTEGER NOT NULL,
    state TEXT NOT NULL,
    error TEXT
);
CREATE TABLE analyses (
    id INTEGER PRIMARY KEY,
    capture INTEGER NOT NULL REFERENCES captures (id) ON DELETE CASCADE,
    model_hash TEXT NOT NULL,
    started_ns INTEGER NOT NULL,
    seconds REAL,
    packets INTEGER,
    bytes INTEGER,
    flows INTEGER,
    alerts INTEGER,
    first_ns INTEGER,
    last_ns INTEGER,
    -- JSON: why frames were left out, and how many.
    skipped TEXT,
    error TEXT
);
CREATE INDEX analyses_capture ON analyses (capture);

-- Models that were added to those inside the program.
CREATE TABLE models (
    hash TEXT PRIMARY KEY,
    schema TEXT NOT NULL,
    added_ns INTEGER NOT NULL,
    file BLOB NOT NULL
) WITHOUT ROWID;
-- Which model serves a schema, where it is not the shipped one; and other single values.
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
