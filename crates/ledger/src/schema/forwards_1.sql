-- HTLCs of others that went, or should have gone, through this node: one row for each when it was
-- resolved. A row never changes and never goes. Statuses: 1 settled, 2 local_failed, 3 failed.
-- Channels are BOLT 7's numbers as signed integers, amounts msat, times ms since 1970.
CREATE TABLE forward (
    created_index INTEGER PRIMARY KEY CHECK (created_index > 0),
    in_channel INTEGER,
    in_htlc_id INTEGER,
    in_msat INTEGER CHECK (in_msat BETWEEN 0 AND 2100000000000000000),
    out_channel INTEGER,
    out_msat INTEGER CHECK (out_msat BETWEEN 0 AND 2100000000000000000),
    fee_msat INTEGER CHECK (fee_msat BETWEEN 0 AND 2100000000000000000),
    status INTEGER NOT NULL CHECK (status BETWEEN 1 AND 3),
    failcode INTEGER CHECK (failcode BETWEEN 0 AND 65535),
    resolved_at INTEGER NOT NULL CHECK (resolved_at >= 0),
    CHECK (failcode IS NULL OR status <> 1)
) STRICT;
-- LDK may tell of one more than once.
CREATE UNIQUE INDEX forward_htlc ON forward (in_channel, in_htlc_id)
    WHERE in_htlc_id IS NOT NULL;
CREATE INDEX forward_in ON forward (in_channel);
CREATE INDEX forward_out ON forward (out_channel);
CREATE INDEX forward_status ON forward (status);

-- What was earned by those that settled.
CREATE TABLE forward_total (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    fees_msat INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO forward_total (id) VALUES (0);
CREATE TRIGGER forward_earned AFTER INSERT ON forward WHEN NEW.status = 1
BEGIN UPDATE forward_total SET fees_msat = fees_msat + coalesce(NEW.fee_msat, 0); END;
CREATE TRIGGER forward_fixed BEFORE UPDATE ON forward
BEGIN SELECT RAISE(ABORT, 'a forward that was resolved never changes'); END;
CREATE TRIGGER forward_stays BEFORE DELETE ON forward
BEGIN SELECT RAISE(ABORT, 'a forward is never forgotten'); END;

-- For users, read only.
CREATE VIEW forwards AS SELECT
    created_index,
    in_channel,
    in_htlc_id,
    in_msat,
    out_channel,
    out_msat,
    fee_msat,
    CASE status WHEN 1 THEN 'settled' WHEN 2 THEN 'local_failed' ELSE 'failed' END AS status,
    failcode,
    resolved_at AS resolved_at_ms
FROM forward;
