-- Of the bytes that the sender tried to send, those that were dropped; before, they were not told apart.
ALTER TABLE alerts ADD COLUMN bytes_stopped INTEGER NOT NULL DEFAULT 0;
-- When the first block of the alert's traffic began, and when the latest ended.
ALTER TABLE alerts ADD COLUMN blocked_at_ns INTEGER;
ALTER TABLE alerts ADD COLUMN block_ended_ns INTEGER;
-- From the session's first packet to the alert. The key is the time at which the alert opened.
ALTER TABLE alerts ADD COLUMN seconds_to_detect REAL NOT NULL DEFAULT 0;
UPDATE alerts SET seconds_to_detect = max(key - first_seen_ns, 0) / 1e9 WHERE origin <> 'record';
