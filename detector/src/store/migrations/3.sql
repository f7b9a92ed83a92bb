-- The columns of stored vectors, by the hash over them: a vector is read by the names of its columns,
-- whatever columns the program computes by then.
CREATE TABLE column_sets (
    hash TEXT PRIMARY KEY,
    -- What a vector describes: `session` or `record`.
    schema TEXT NOT NULL,
    -- JSON: name and hash of each column, in order.
    columns TEXT NOT NULL
) WITHOUT ROWID;

-- Null: the vector was stored when it was not yet said.
ALTER TABLE alert_evidence ADD COLUMN column_set TEXT;
ALTER TABLE samples RENAME COLUMN schema_hash TO column_set;
