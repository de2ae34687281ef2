-- L5: the last number given of each kind. One row; numbers never go back.
CREATE TABLE counter (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    created INTEGER NOT NULL DEFAULT 0,
    updated INTEGER NOT NULL DEFAULT 0,
    deleted INTEGER NOT NULL DEFAULT 0,
    change INTEGER NOT NULL DEFAULT 0,
    invoice_created INTEGER NOT NULL DEFAULT 0,
    invoice_updated INTEGER NOT NULL DEFAULT 0,
    invoice_deleted INTEGER NOT NULL DEFAULT 0,
    pay_index INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO counter (id) VALUES (0);
CREATE TRIGGER counter_never_back BEFORE UPDATE ON counter
WHEN NEW.id <> 0 OR NEW.created < OLD.created OR NEW.updated < OLD.updated
    OR NEW.deleted < OLD.deleted OR NEW.change < OLD.change
    OR NEW.invoice_created < OLD.invoice_created OR NEW.invoice_updated < OLD.invoice_updated
    OR NEW.invoice_deleted < OLD.invoice_deleted OR NEW.pay_index < OLD.pay_index
BEGIN SELECT RAISE(ABORT, 'L5: a number never goes back'); END;
CREATE TRIGGER counter_stays BEFORE DELETE ON counter
BEGIN SELECT RAISE(ABORT, 'L5: a number never goes back'); END;

-- Texts, once by content; hash is the first 8 bytes of their SHA256. Invoices have none: each has
-- one payment hash, by which it is found among the records, and goes with the last of these. Columns
-- that point here are no foreign keys: to remove an invoice SQLite would look through all records for
-- each of them. What others may share stays instead.
CREATE TABLE text (
    id INTEGER PRIMARY KEY,
    hash INTEGER,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX text_hash ON text (hash) WHERE hash IS NOT NULL;
CREATE TRIGGER text_stays BEFORE DELETE ON text WHEN OLD.hash IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a text that records may share stays'); END;
CREATE TRIGGER text_fixed BEFORE UPDATE ON text
BEGIN SELECT RAISE(ABORT, 'a text never changes'); END;

-- Nodes that were destinations or reported an error.
CREATE TABLE node (
    id INTEGER PRIMARY KEY,
    node_id BLOB NOT NULL UNIQUE CHECK (length(node_id) = 33)
) STRICT;
-- Readers keep what they read here.
CREATE TRIGGER node_stays BEFORE DELETE ON node
BEGIN SELECT RAISE(ABORT, 'a node stays'); END;
CREATE TRIGGER node_fixed BEFORE UPDATE ON node
BEGIN SELECT RAISE(ABORT, 'a node never changes'); END;

-- Where records come from.
CREATE TABLE origin (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO origin (id, name) VALUES (0, 'own');

CREATE TABLE payment (
    created_index INTEGER PRIMARY KEY CHECK (created_index > 0),
    created_change INTEGER NOT NULL,
    updated_index INTEGER,
    settled_change INTEGER CHECK (settled_change > created_change),
    payment_hash BLOB NOT NULL CHECK (length(payment_hash) = 32),
    groupid INTEGER NOT NULL CHECK (groupid >= 0),
    partid INTEGER NOT NULL CHECK (partid >= 0),
    -- The first record that its group ever had; NULL in that one.
    follows INTEGER CHECK (follows < created_index),
    destination INTEGER REFERENCES node (id),
    amount_msat INTEGER NOT NULL CHECK (amount_msat BETWEEN 0 AND 2100000000000000000),
    amount_sent_msat INTEGER NOT NULL CHECK (amount_sent_msat BETWEEN 0 AND 2100000000000000000),
    total_msat INTEGER NOT NULL CHECK (total_msat BETWEEN 0 AND 2100000000000000000),
    created_at INTEGER NOT NULL CHECK (created_at >= 0),
    completed_at INTEGER CHECK (completed_at >= created_at),
    status INTEGER NOT NULL DEFAULT 0 CHECK (status BETWEEN 0 AND 2),
    preimage BLOB CHECK (length(preimage) = 32),
    -- These three, and message below, are rows of text.
    label INTEGER,
    bolt11 INTEGER,
    description INTEGER,
    cltv_expiry INTEGER CHECK (cltv_expiry BETWEEN 0 AND 4294967295),
    first_channel INTEGER,
    code INTEGER CHECK (code BETWEEN 202 AND 209),
    failcode INTEGER CHECK (failcode BETWEEN 0 AND 65535),
    erring_index INTEGER CHECK (erring_index BETWEEN 0 AND 4294967295),
    erring_node INTEGER REFERENCES node (id),
    erring_channel INTEGER,
    erring_direction INTEGER CHECK (erring_direction IN (0, 1)),
    message INTEGER,
    origin INTEGER NOT NULL DEFAULT 0 REFERENCES origin (id),
    origin_id INTEGER CHECK ((origin_id IS NULL) = (origin = 0)),
    route BLOB NOT NULL,
    CHECK ((preimage IS NOT NULL) = (status = 1)),
    CHECK ((completed_at IS NOT NULL) = (status <> 0)),
    CHECK ((updated_index IS NOT NULL) = (status <> 0)),
    CHECK ((settled_change IS NOT NULL) = (status <> 0)),
    CHECK (code IS NULL OR status = 2),
    CHECK (code IS NOT NULL OR status <> 2 OR origin <> 0),
    CHECK ((code IS NULL) = (message IS NULL)),
    CHECK (code IS NOT NULL OR (failcode IS NULL AND erring_index IS NULL AND erring_node IS NULL
        AND erring_channel IS NULL AND erring_direction IS NULL))
) STRICT;
CREATE UNIQUE INDEX payment_by_hash ON payment (payment_hash, groupid, partid);
-- Unique where there; pending records have none and are in payment_pending.
CREATE UNIQUE INDEX payment_updated ON payment (updated_index) WHERE updated_index IS NOT NULL;
-- Of most groups, which have one part, it has nothing: so a listing of groups learns that in passing.
CREATE INDEX payment_follows ON payment (follows) WHERE follows IS NOT NULL;
CREATE INDEX payment_pending ON payment (status) WHERE status = 0;
CREATE INDEX payment_failed ON payment (status) WHERE status = 2;
CREATE INDEX payment_failed_updated ON payment (updated_index) WHERE status = 2;
CREATE INDEX payment_label ON payment (label) WHERE label IS NOT NULL;
CREATE INDEX payment_destination ON payment (destination) WHERE destination IS NOT NULL;
-- A record of another node is imported once.
CREATE UNIQUE INDEX payment_origin ON payment (origin, origin_id) WHERE origin <> 0;

-- The log of deletions, and what L7 must know of them for good; with the numbers of the changes that
-- came before, so that a follower is told of those too.
CREATE TABLE deleted (
    change INTEGER PRIMARY KEY,
    deleted_index INTEGER NOT NULL UNIQUE,
    created_index INTEGER NOT NULL UNIQUE,
    created_change INTEGER NOT NULL UNIQUE,
    updated_index INTEGER,
    settled_change INTEGER NOT NULL UNIQUE CHECK (settled_change > created_change),
    payment_hash BLOB NOT NULL CHECK (length(payment_hash) = 32),
    groupid INTEGER NOT NULL,
    partid INTEGER NOT NULL,
    status INTEGER NOT NULL CHECK (status IN (1, 2)),
    amount_msat INTEGER NOT NULL,
    amount_sent_msat INTEGER NOT NULL,
    total_msat INTEGER NOT NULL,
    destination INTEGER REFERENCES node (id),
    created_at INTEGER NOT NULL,
    completed_at INTEGER NOT NULL,
    deleted_at INTEGER NOT NULL,
    preimage BLOB CHECK (length(preimage) = 32),
    origin INTEGER NOT NULL REFERENCES origin (id),
    UNIQUE (payment_hash, groupid, partid),
    CHECK ((preimage IS NOT NULL) = (status = 1))
) STRICT;
CREATE TRIGGER deleted_stays BEFORE DELETE ON deleted
BEGIN SELECT RAISE(ABORT, 'L7: what was deleted is never forgotten'); END;
CREATE TRIGGER deleted_fixed BEFORE UPDATE ON deleted
BEGIN SELECT RAISE(ABORT, 'L7: what was deleted is never changed'); END;

-- L4 broken: claimed after it was called failed. The hash takes no new send.
CREATE TABLE late_preimage (
    payment_hash BLOB PRIMARY KEY CHECK (length(payment_hash) = 32),
    preimage BLOB NOT NULL CHECK (length(preimage) = 32),
    created_index INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;
CREATE TRIGGER late_preimage_stays BEFORE DELETE ON late_preimage
BEGIN SELECT RAISE(ABORT, 'L4: a late preimage is kept'); END;

-- L2: a settled record never changes, and only settling changes a record.
CREATE TRIGGER payment_settles_once BEFORE UPDATE ON payment WHEN OLD.status <> 0
BEGIN SELECT RAISE(ABORT, 'L2: a settled record never changes'); END;
CREATE TRIGGER payment_fixed BEFORE UPDATE OF created_index, created_change, payment_hash, groupid,
    partid, follows, destination, amount_msat, amount_sent_msat, total_msat, created_at, label, bolt11,
    description, cltv_expiry, first_channel, origin, origin_id, route ON payment
BEGIN SELECT RAISE(ABORT, 'L2: only its end changes a record'); END;
CREATE TRIGGER payment_deleted BEFORE DELETE ON payment
WHEN OLD.status = 0
    OR NOT EXISTS (SELECT 1 FROM deleted WHERE created_index = OLD.created_index)
BEGIN SELECT RAISE(ABORT, 'L5: only settled records are deleted, and only with a number'); END;

CREATE TRIGGER invoice_text_after_delete AFTER DELETE ON payment
WHEN OLD.bolt11 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM payment
    WHERE payment_hash = OLD.payment_hash AND bolt11 = OLD.bolt11)
BEGIN DELETE FROM text WHERE id = OLD.bolt11 AND hash IS NULL; END;

-- L7: no record, hence no send, for what is paid, claimed late, was deleted, is out in another
-- group, or was imported as pending. An imported record is no send: it only must not take the place
-- of one that was deleted.
CREATE TRIGGER payment_not_twice BEFORE INSERT ON payment
WHEN EXISTS (SELECT 1 FROM deleted WHERE payment_hash = NEW.payment_hash
        AND groupid = NEW.groupid AND partid = NEW.partid)
    OR (NEW.status = 0 AND NEW.origin = 0 AND (
        EXISTS (SELECT 1 FROM payment WHERE payment_hash = NEW.payment_hash
            AND (status = 1 OR (status = 0 AND (groupid <> NEW.groupid OR origin <> 0))))
        OR EXISTS (SELECT 1 FROM deleted WHERE payment_hash = NEW.payment_hash AND status = 1)
        OR EXISTS (SELECT 1 FROM late_preimage WHERE payment_hash = NEW.payment_hash)))
BEGIN SELECT RAISE(ABORT, 'L7: no payment twice'); END;

-- L5: changes are numbered in the order of the records' own numbers, so none is given twice, and each
-- is found by halving, without an index of its own.
CREATE TRIGGER payment_created_in_order BEFORE INSERT ON payment
WHEN EXISTS (SELECT 1 FROM payment WHERE created_index > NEW.created_index)
    OR NEW.created_change <= (SELECT created_change FROM payment
        WHERE created_index < NEW.created_index ORDER BY created_index DESC LIMIT 1)
BEGIN SELECT RAISE(ABORT, 'L5: records are numbered in their order'); END;
CREATE TRIGGER payment_settled_in_order AFTER UPDATE OF settled_change ON payment
WHEN NEW.settled_change <= (SELECT settled_change FROM payment
        WHERE updated_index < NEW.updated_index ORDER BY updated_index DESC LIMIT 1)
    OR NEW.settled_change >= (SELECT settled_change FROM payment
        WHERE updated_index > NEW.updated_index ORDER BY updated_index LIMIT 1)
BEGIN SELECT RAISE(ABORT, 'L5: settlements are numbered in their order'); END;
CREATE TRIGGER payment_inserted_in_order AFTER INSERT ON payment
WHEN NEW.settled_change IS NOT NULL AND (NEW.settled_change <= (SELECT settled_change FROM payment
        WHERE updated_index < NEW.updated_index ORDER BY updated_index DESC LIMIT 1)
    OR NEW.settled_change >= (SELECT settled_change FROM payment
        WHERE updated_index > NEW.updated_index ORDER BY updated_index LIMIT 1))
BEGIN SELECT RAISE(ABORT, 'L5: settlements are numbered in their order'); END;

-- Sums of what is settled, by status, in units of 10^9 msat (hi) and the rest (lo), so that they
-- cannot overflow. What is pending is little, and is summed up by its index: each payment changes a
-- sum once, at its end, and not three times. unknown is the part of sent that is of records whose
-- amount nobody knows (0, of an import only): it makes no fee.
CREATE TABLE total (
    status INTEGER PRIMARY KEY CHECK (status IN (1, 2)),
    count INTEGER NOT NULL DEFAULT 0 CHECK (count >= 0),
    amount_hi INTEGER NOT NULL DEFAULT 0 CHECK (amount_hi >= 0),
    amount_lo INTEGER NOT NULL DEFAULT 0 CHECK (amount_lo BETWEEN 0 AND 999999999),
    sent_hi INTEGER NOT NULL DEFAULT 0 CHECK (sent_hi >= 0),
    sent_lo INTEGER NOT NULL DEFAULT 0 CHECK (sent_lo BETWEEN 0 AND 999999999),
    unknown_hi INTEGER NOT NULL DEFAULT 0 CHECK (unknown_hi >= 0),
    unknown_lo INTEGER NOT NULL DEFAULT 0 CHECK (unknown_lo BETWEEN 0 AND 999999999)
) STRICT;
INSERT INTO total (status) VALUES (1), (2);
CREATE TRIGGER total_after_insert AFTER INSERT ON payment WHEN NEW.status <> 0 BEGIN
    UPDATE total SET count = count + 1,
        amount_hi = amount_hi + NEW.amount_msat / 1000000000
            + (amount_lo + NEW.amount_msat % 1000000000) / 1000000000,
        amount_lo = (amount_lo + NEW.amount_msat % 1000000000) % 1000000000,
        sent_hi = sent_hi + NEW.amount_sent_msat / 1000000000
            + (sent_lo + NEW.amount_sent_msat % 1000000000) / 1000000000,
        sent_lo = (sent_lo + NEW.amount_sent_msat % 1000000000) % 1000000000
    WHERE status = NEW.status;
END;
CREATE TRIGGER total_after_settle AFTER UPDATE OF status ON payment WHEN NEW.status <> 0 BEGIN
    UPDATE total SET count = count + 1,
        amount_hi = amount_hi + NEW.amount_msat / 1000000000
            + (amount_lo + NEW.amount_msat % 1000000000) / 1000000000,
        amount_lo = (amount_lo + NEW.amount_msat % 1000000000) % 1000000000,
        sent_hi = sent_hi + NEW.amount_sent_msat / 1000000000
            + (sent_lo + NEW.amount_sent_msat % 1000000000) / 1000000000,
        sent_lo = (sent_lo + NEW.amount_sent_msat % 1000000000) % 1000000000
    WHERE status = NEW.status;
END;
CREATE TRIGGER total_after_delete AFTER DELETE ON payment WHEN OLD.status <> 0 BEGIN
    UPDATE total SET count = count - 1,
        amount_hi = amount_hi - OLD.amount_msat / 1000000000
            - (amount_lo < OLD.amount_msat % 1000000000),
        amount_lo = (amount_lo + 1000000000 - OLD.amount_msat % 1000000000) % 1000000000,
        sent_hi = sent_hi - OLD.amount_sent_msat / 1000000000
            - (sent_lo < OLD.amount_sent_msat % 1000000000),
        sent_lo = (sent_lo + 1000000000 - OLD.amount_sent_msat % 1000000000) % 1000000000
    WHERE status = OLD.status;
END;
CREATE TRIGGER unknown_after_insert AFTER INSERT ON payment
WHEN NEW.status <> 0 AND NEW.amount_msat = 0 BEGIN
    UPDATE total SET
        unknown_hi = unknown_hi + NEW.amount_sent_msat / 1000000000
            + (unknown_lo + NEW.amount_sent_msat % 1000000000) / 1000000000,
        unknown_lo = (unknown_lo + NEW.amount_sent_msat % 1000000000) % 1000000000
    WHERE status = NEW.status;
END;
CREATE TRIGGER unknown_after_settle AFTER UPDATE OF status ON payment
WHEN NEW.status <> 0 AND NEW.amount_msat = 0 BEGIN
    UPDATE total SET
        unknown_hi = unknown_hi + NEW.amount_sent_msat / 1000000000
            + (unknown_lo + NEW.amount_sent_msat % 1000000000) / 1000000000,
        unknown_lo = (unknown_lo + NEW.amount_sent_msat % 1000000000) % 1000000000
    WHERE status = NEW.status;
END;
CREATE TRIGGER unknown_after_delete AFTER DELETE ON payment
WHEN OLD.status <> 0 AND OLD.amount_msat = 0 BEGIN
    UPDATE total SET
        unknown_hi = unknown_hi - OLD.amount_sent_msat / 1000000000
            - (unknown_lo < OLD.amount_sent_msat % 1000000000),
        unknown_lo = (unknown_lo + 1000000000 - OLD.amount_sent_msat % 1000000000) % 1000000000
    WHERE status = OLD.status;
END;

-- The times in each block of 4096 numbers, by created_index and by updated_index: a range of times
-- leaves out the other blocks, whatever the clock did and wherever records came from. Rounded
-- outward to 2^19 ms (nine minutes), so that few changes write here; only ever widened.
CREATE TABLE created_block (
    block INTEGER PRIMARY KEY,
    earliest_created INTEGER NOT NULL,
    latest_created INTEGER NOT NULL,
    earliest_completed INTEGER,
    latest_completed INTEGER
) STRICT;
CREATE TABLE updated_block (
    block INTEGER PRIMARY KEY,
    earliest_created INTEGER NOT NULL,
    latest_created INTEGER NOT NULL,
    earliest_completed INTEGER NOT NULL,
    latest_completed INTEGER NOT NULL
) STRICT;
CREATE TRIGGER created_block_after_insert AFTER INSERT ON payment
WHEN NOT EXISTS (SELECT 1 FROM created_block WHERE block = NEW.created_index / 4096
    AND earliest_created <= NEW.created_at AND latest_created >= NEW.created_at)
BEGIN
    INSERT INTO created_block (block, earliest_created, latest_created)
    VALUES (NEW.created_index / 4096, NEW.created_at & ~524287, NEW.created_at | 524287)
    ON CONFLICT (block) DO UPDATE SET
        earliest_created = min(earliest_created, excluded.earliest_created),
        latest_created = max(latest_created, excluded.latest_created);
END;
CREATE TRIGGER blocks_after_insert AFTER INSERT ON payment WHEN NEW.status <> 0 BEGIN
    INSERT INTO created_block
    VALUES (NEW.created_index / 4096, NEW.created_at & ~524287, NEW.created_at | 524287,
        NEW.completed_at & ~524287, NEW.completed_at | 524287)
    ON CONFLICT (block) DO UPDATE SET
        earliest_created = min(earliest_created, excluded.earliest_created),
        latest_created = max(latest_created, excluded.latest_created),
        earliest_completed = ifnull(min(earliest_completed, excluded.earliest_completed),
            excluded.earliest_completed),
        latest_completed = ifnull(max(latest_completed, excluded.latest_completed),
            excluded.latest_completed);
    INSERT INTO updated_block
    VALUES (NEW.updated_index / 4096, NEW.created_at & ~524287, NEW.created_at | 524287,
        NEW.completed_at & ~524287, NEW.completed_at | 524287)
    ON CONFLICT (block) DO UPDATE SET
        earliest_created = min(earliest_created, excluded.earliest_created),
        latest_created = max(latest_created, excluded.latest_created),
        earliest_completed = min(earliest_completed, excluded.earliest_completed),
        latest_completed = max(latest_completed, excluded.latest_completed);
END;
CREATE TRIGGER blocks_after_settle AFTER UPDATE OF status ON payment
WHEN NOT EXISTS (SELECT 1 FROM created_block WHERE block = NEW.created_index / 4096
        AND earliest_completed <= NEW.completed_at AND latest_completed >= NEW.completed_at)
    OR NOT EXISTS (SELECT 1 FROM updated_block WHERE block = NEW.updated_index / 4096
        AND earliest_created <= NEW.created_at AND latest_created >= NEW.created_at
        AND earliest_completed <= NEW.completed_at AND latest_completed >= NEW.completed_at)
BEGIN
    UPDATE created_block SET
        earliest_completed = ifnull(min(earliest_completed, NEW.completed_at & ~524287),
            NEW.completed_at & ~524287),
        latest_completed = ifnull(max(latest_completed, NEW.completed_at | 524287),
            NEW.completed_at | 524287)
    WHERE block = NEW.created_index / 4096;
    INSERT INTO updated_block
    VALUES (NEW.updated_index / 4096, NEW.created_at & ~524287, NEW.created_at | 524287,
        NEW.completed_at & ~524287, NEW.completed_at | 524287)
    ON CONFLICT (block) DO UPDATE SET
        earliest_created = min(earliest_created, excluded.earliest_created),
        latest_created = max(latest_created, excluded.latest_created),
        earliest_completed = min(earliest_completed, excluded.earliest_completed),
        latest_completed = max(latest_completed, excluded.latest_completed);
END;

-- Requests that carry a key of their own, so that asking again is answered from the first.
CREATE TABLE request (
    idempotency_key TEXT PRIMARY KEY,
    request_hash BLOB NOT NULL CHECK (length(request_hash) = 32),
    payment_hash BLOB NOT NULL CHECK (length(payment_hash) = 32),
    groupid INTEGER NOT NULL CHECK (groupid >= 0),
    created_at INTEGER NOT NULL CHECK (created_at >= 0)
) STRICT;

CREATE TABLE invoice (
    created_index INTEGER PRIMARY KEY CHECK (created_index > 0),
    updated_index INTEGER UNIQUE,
    label TEXT NOT NULL UNIQUE,
    payment_hash BLOB NOT NULL UNIQUE CHECK (length(payment_hash) = 32),
    preimage BLOB CHECK (length(preimage) = 32),
    payment_secret BLOB CHECK (length(payment_secret) = 32),
    bolt11 TEXT NOT NULL,
    description TEXT,
    amount_msat INTEGER CHECK (amount_msat BETWEEN 0 AND 2100000000000000000),
    created_at INTEGER NOT NULL CHECK (created_at >= 0),
    expires_at INTEGER NOT NULL CHECK (expires_at >= 0),
    cltv INTEGER NOT NULL CHECK (cltv BETWEEN 0 AND 4294967295),
    hold INTEGER NOT NULL CHECK (hold IN (0, 1)),
    state INTEGER NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 4),
    claim_deadline INTEGER CHECK (claim_deadline BETWEEN 0 AND 4294967295),
    amount_held_msat INTEGER CHECK (amount_held_msat BETWEEN 0 AND 2100000000000000000),
    -- Whether a claim of its payment has begun.
    claiming INTEGER NOT NULL DEFAULT 0 CHECK (claiming IN (0, 1)),
    pay_index INTEGER UNIQUE,
    amount_received_msat INTEGER
        CHECK (amount_received_msat BETWEEN 0 AND 2100000000000000000),
    paid_at INTEGER CHECK (paid_at >= created_at),
    origin INTEGER NOT NULL DEFAULT 0 REFERENCES origin (id),
    origin_id INTEGER CHECK ((origin_id IS NULL) = (origin = 0)),
    CHECK (preimage IS NOT NULL OR hold = 1 OR origin <> 0),
    CHECK (preimage IS NOT NULL OR state <> 2 OR origin <> 0),
    CHECK ((pay_index IS NOT NULL) = (state = 2)),
    CHECK ((amount_received_msat IS NOT NULL) = (state = 2)),
    CHECK ((paid_at IS NOT NULL) = (state = 2)),
    CHECK (updated_index IS NOT NULL OR state = 0),
    CHECK (amount_held_msat IS NOT NULL OR state <> 1),
    CHECK (claiming = 0 OR preimage IS NOT NULL)
) STRICT;
CREATE INDEX invoice_held ON invoice (state) WHERE state = 1;
CREATE UNIQUE INDEX invoice_origin ON invoice (origin, origin_id) WHERE origin <> 0;
-- What may still lapse, by when it does.
CREATE INDEX invoice_open ON invoice (expires_at) WHERE state = 0 AND origin = 0;
CREATE TRIGGER invoice_paid_once BEFORE UPDATE OF state, preimage, claim_deadline, amount_held_msat,
    claiming, pay_index, amount_received_msat, paid_at ON invoice WHEN OLD.state = 2
BEGIN SELECT RAISE(ABORT, 'a paid invoice never changes'); END;
CREATE TRIGGER invoice_fixed BEFORE UPDATE OF created_index, label, payment_hash, payment_secret,
    bolt11, amount_msat, created_at, expires_at, cltv, hold, origin, origin_id
    ON invoice
BEGIN SELECT RAISE(ABORT, 'only its state changes an invoice'); END;
CREATE TRIGGER invoice_description BEFORE UPDATE OF description ON invoice
WHEN NEW.description IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a description is only ever removed'); END;
CREATE TRIGGER invoice_imported BEFORE UPDATE OF state, preimage, claim_deadline, amount_held_msat,
    claiming, pay_index, amount_received_msat, paid_at, origin, origin_id ON invoice WHEN OLD.origin <> 0
BEGIN SELECT RAISE(ABORT, 'an imported invoice is history'); END;

-- The places by updated_index that invoices have left, and the one that each was left for: a listing
-- shows an invoice where it stood when the listing began, however often it changes meanwhile.
CREATE TABLE invoice_place (
    left_at INTEGER PRIMARY KEY CHECK (left_at > place),
    place INTEGER NOT NULL,
    invoice_index INTEGER NOT NULL
) STRICT;
CREATE INDEX invoice_place_of ON invoice_place (invoice_index, place);
CREATE TRIGGER invoice_place_left AFTER UPDATE OF updated_index ON invoice
WHEN NEW.updated_index <> OLD.updated_index
BEGIN INSERT INTO invoice_place VALUES (NEW.updated_index, OLD.updated_index, NEW.created_index); END;
CREATE TRIGGER invoice_place_gone AFTER DELETE ON invoice
BEGIN DELETE FROM invoice_place WHERE invoice_index = OLD.created_index; END;

-- The log of deletions of invoices: what `wait` tells of them, and that no number is given twice.
CREATE TABLE deleted_invoice (
    deleted_index INTEGER PRIMARY KEY CHECK (deleted_index > 0),
    created_index INTEGER NOT NULL UNIQUE,
    payment_hash BLOB NOT NULL CHECK (length(payment_hash) = 32),
    label TEXT NOT NULL,
    status INTEGER NOT NULL CHECK (status BETWEEN 0 AND 2),
    deleted_at INTEGER NOT NULL CHECK (deleted_at >= 0)
) STRICT;
CREATE TRIGGER deleted_invoice_stays BEFORE DELETE ON deleted_invoice
BEGIN SELECT RAISE(ABORT, 'L5: a deletion is never forgotten'); END;
CREATE TRIGGER deleted_invoice_fixed BEFORE UPDATE ON deleted_invoice
BEGIN SELECT RAISE(ABORT, 'L5: a deletion never changes'); END;
CREATE TRIGGER invoice_deleted BEFORE DELETE ON invoice
WHEN OLD.state = 1
    OR NOT EXISTS (SELECT 1 FROM deleted_invoice WHERE created_index = OLD.created_index)
BEGIN SELECT RAISE(ABORT, 'an invoice is deleted with a number, and never while it is held'); END;

-- Rows of CLN's tables `payments` and `invoices` as they were, under CLN's names, beside the records
-- made of them; they stay when a record is deleted. NULL is also what that version of CLN had no
-- column for. Of ANY columns, what a record holds unchanged is NULL here: label (of payments:
-- description), bolt11, paydescription, destination, payment_preimage, payment_key.
CREATE TABLE cln_payment (
    origin INTEGER NOT NULL REFERENCES origin (id),
    id INTEGER NOT NULL,
    created_index INTEGER NOT NULL,
    status INTEGER NOT NULL,
    timestamp INTEGER,
    completed_at INTEGER,
    updated_index INTEGER,
    msatoshi INTEGER,
    msatoshi_sent INTEGER,
    total_msat INTEGER,
    groupid INTEGER,
    partid INTEGER,
    destination ANY,
    payment_preimage ANY,
    bolt11 ANY,
    description ANY,
    paydescription ANY,
    path_secrets BLOB,
    route_nodes BLOB,
    route_channels BLOB,
    failonionreply BLOB,
    faildestperm INTEGER,
    failindex INTEGER,
    failcode INTEGER,
    failnode BLOB,
    failchannel TEXT,
    failscid INTEGER,
    faildirection INTEGER,
    failupdate BLOB,
    faildetail ANY,
    local_offer_id BLOB,
    local_invreq_id BLOB,
    PRIMARY KEY (origin, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE cln_invoice (
    origin INTEGER NOT NULL REFERENCES origin (id),
    id INTEGER NOT NULL,
    created_index INTEGER NOT NULL,
    state INTEGER NOT NULL,
    msatoshi INTEGER,
    label ANY,
    expiry_time INTEGER,
    pay_index INTEGER,
    msatoshi_received INTEGER,
    paid_timestamp INTEGER,
    updated_index INTEGER,
    payment_key ANY,
    bolt11 ANY,
    description ANY,
    features BLOB,
    local_offer_id BLOB,
    paid_txid BLOB,
    paid_outnum INTEGER,
    PRIMARY KEY (origin, id)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER cln_payment_stays BEFORE DELETE ON cln_payment
BEGIN SELECT RAISE(ABORT, 'what was imported is never forgotten'); END;
CREATE TRIGGER cln_payment_fixed BEFORE UPDATE ON cln_payment
BEGIN SELECT RAISE(ABORT, 'what was imported never changes'); END;
CREATE TRIGGER cln_invoice_stays BEFORE DELETE ON cln_invoice
BEGIN SELECT RAISE(ABORT, 'what was imported is never forgotten'); END;
CREATE TRIGGER cln_invoice_fixed BEFORE UPDATE ON cln_invoice
BEGIN SELECT RAISE(ABORT, 'what was imported never changes'); END;

-- For users, read only. Names as in the RPC; times in ms.
CREATE VIEW sendpays AS SELECT
    p.created_index,
    p.updated_index,
    lower(hex(p.payment_hash)) AS payment_hash,
    p.groupid,
    p.partid,
    CASE p.status WHEN 0 THEN 'pending' WHEN 1 THEN 'complete' ELSE 'failed' END AS status,
    (SELECT lower(hex(node_id)) FROM node WHERE id = p.destination) AS destination,
    p.amount_msat,
    p.amount_sent_msat,
    p.total_msat,
    p.created_at AS created_at_ms,
    p.completed_at AS completed_at_ms,
    lower(hex(p.preimage)) AS payment_preimage,
    (SELECT body FROM text WHERE id = p.label) AS label,
    (SELECT body FROM text WHERE id = p.bolt11) AS bolt11,
    (SELECT body FROM text WHERE id = p.description) AS description,
    p.cltv_expiry,
    p.code,
    p.failcode,
    p.erring_index,
    (SELECT lower(hex(node_id)) FROM node WHERE id = p.erring_node) AS erring_node,
    p.erring_channel,
    p.erring_direction,
    (SELECT body FROM text WHERE id = p.message) AS message,
    (SELECT name FROM origin WHERE id = p.origin) AS origin,
    p.origin_id
FROM payment AS p;
CREATE VIEW deleted_sendpays AS SELECT
    d.deleted_index,
    d.created_index,
    lower(hex(d.payment_hash)) AS payment_hash,
    d.groupid,
    d.partid,
    CASE d.status WHEN 1 THEN 'complete' ELSE 'failed' END AS status,
    (SELECT lower(hex(node_id)) FROM node WHERE id = d.destination) AS destination,
    d.amount_msat,
    d.amount_sent_msat,
    d.created_at AS created_at_ms,
    d.completed_at AS completed_at_ms,
    d.deleted_at AS deleted_at_ms,
    lower(hex(d.preimage)) AS payment_preimage
FROM deleted AS d;
CREATE VIEW invoices AS SELECT
    i.created_index,
    i.updated_index,
    i.label,
    lower(hex(i.payment_hash)) AS payment_hash,
    CASE i.state WHEN 0 THEN 'open' WHEN 1 THEN 'held' WHEN 2 THEN 'paid' WHEN 3 THEN 'cancelled'
        ELSE 'expired' END AS state,
    i.bolt11,
    i.description,
    i.amount_msat,
    i.created_at AS created_at_ms,
    i.expires_at AS expires_at_ms,
    i.cltv,
    i.hold,
    i.claim_deadline,
    i.amount_held_msat,
    i.pay_index,
    i.amount_received_msat,
    i.paid_at AS paid_at_ms,
    CASE i.state WHEN 2 THEN lower(hex(i.preimage)) END AS payment_preimage,
    (SELECT name FROM origin WHERE id = i.origin) AS origin,
    i.origin_id
FROM invoice AS i;
