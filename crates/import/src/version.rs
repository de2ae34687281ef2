//! Which release of CLN wrote a file, and which columns it has.
//!
//! CLN numbers its schema by the last of its migrations (`wallet/migrations.c`), in the table
//! `version`. A number that no release has is a development version, whose migrations may have been
//! others than those that were released.

/// Schemas that are read: CLN's number of the schema, and the releases that have it.
const READ: &[(i64, &str)] = &[
    (161, "v0.10.0"),
    (176, "v0.10.1"),
    (190, "v0.10.2"),
    (197, "v0.11"),
    (199, "v0.12"),
    (212, "v22.11"),
    (216, "v23.02"),
    (219, "v23.05"),
    (233, "v23.08"),
    (234, "v23.08.1"),
    (249, "v23.11"),
    (256, "v24.02 to v24.08"),
    (261, "v24.11 to v25.02"),
    (263, "v25.02.1"),
    (268, "v25.05"),
    (276, "v25.09"),
    (277, "v25.09.1"),
    (280, "v25.12"),
    (282, "v26.04 to v26.06"),
];

/// The releases that wrote this schema, or why it is not read, as a phrase after "was written by".
pub(crate) fn release(version: i64) -> Result<&'static str, String> {
    let first = READ.first().map_or(0, |(first, _)| *first);
    let last = READ.last().map_or(0, |(last, _)| *last);
    if let Some((_, release)) = READ.iter().find(|(known, _)| *known == version) {
        return Ok(release);
    }
    Err(match version {
        _ if version < first => format!("a lightningd older than v0.10 (schema {version})"),
        _ if version > last => format!("a lightningd later than v26.06 (schema {version})"),
        _ => {
            let before = READ.iter().rfind(|(known, _)| *known < version);
            let before = before.map_or("v0.10", |(_, release)| release);
            format!("a development version of lightningd after {before} (schema {version})")
        }
    })
}

/// A column: its name, the first schema that has it, and the first that has it no more.
pub(crate) type Column = (&'static str, i64, i64);

/// Since before v0.10.
const OLD: i64 = 0;
/// Still there in v26.06.
const STAYS: i64 = i64::MAX;

/// The columns of `payments`.
pub(crate) const PAYMENTS: &[Column] = &[
    ("id", OLD, STAYS),
    ("timestamp", OLD, STAYS),
    ("status", OLD, STAYS),
    ("payment_hash", OLD, STAYS),
    ("destination", OLD, STAYS),
    ("msatoshi", OLD, STAYS),
    ("payment_preimage", OLD, STAYS),
    ("path_secrets", OLD, STAYS),
    ("route_nodes", OLD, STAYS),
    ("route_channels", OLD, STAYS),
    ("failonionreply", OLD, STAYS),
    ("faildestperm", OLD, STAYS),
    ("failindex", OLD, STAYS),
    ("failcode", OLD, STAYS),
    ("failnode", OLD, STAYS),
    ("failchannel", OLD, 209),
    ("failupdate", OLD, STAYS),
    ("msatoshi_sent", OLD, STAYS),
    ("faildetail", OLD, STAYS),
    ("description", OLD, STAYS),
    ("faildirection", OLD, STAYS),
    ("bolt11", OLD, STAYS),
    ("total_msat", OLD, STAYS),
    ("partid", OLD, STAYS),
    ("groupid", 180, STAYS),
    ("local_offer_id", OLD, STAYS),
    ("paydescription", 197, STAYS),
    ("completed_at", 200, STAYS),
    ("failscid", 209, STAYS),
    ("local_invreq_id", 212, STAYS),
    ("updated_index", 242, STAYS),
];

/// The columns of `invoices`.
pub(crate) const INVOICES: &[Column] = &[
    ("id", OLD, STAYS),
    ("state", OLD, STAYS),
    ("msatoshi", OLD, STAYS),
    ("payment_hash", OLD, STAYS),
    ("payment_key", OLD, STAYS),
    ("label", OLD, STAYS),
    ("expiry_time", OLD, STAYS),
    ("pay_index", OLD, STAYS),
    ("msatoshi_received", OLD, STAYS),
    ("paid_timestamp", OLD, STAYS),
    ("bolt11", OLD, STAYS),
    ("description", OLD, STAYS),
    ("features", OLD, STAYS),
    ("local_offer_id", OLD, STAYS),
    ("updated_index", 226, STAYS),
    ("paid_txid", 238, STAYS),
    ("paid_outnum", 239, STAYS),
];

/// A statement over a table of that schema: NULL for columns that it has not.
pub(crate) fn select(table: &str, columns: &[Column], version: i64, rest: &str) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(
            |(name, since, until)| match (*since..*until).contains(&version) {
                true => (*name).to_owned(),
                false => format!("NULL AS {name}"),
            },
        )
        .collect();
    format!("SELECT {} FROM {table} {rest}", columns.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_schema_that_is_not_read_is_refused_by_name() {
        for (version, words) in [
            (0, "older than v0.10"),
            (160, "older than v0.10"),
            (162, "development version of lightningd after v0.10.0"),
            (281, "development version of lightningd after v25.12"),
            (283, "later than v26.06"),
        ] {
            let why = release(version).unwrap_err();
            assert!(why.contains(words), "{version}: {why}");
        }
        assert_eq!(release(161), Ok("v0.10.0"));
        assert_eq!(release(282), Ok("v26.04 to v26.06"));
    }

    #[test]
    fn a_column_is_read_only_where_the_schema_has_it() {
        let statement = |version| select("payments", PAYMENTS, version, "");
        assert!(statement(161).contains("NULL AS groupid"));
        assert!(statement(161).contains(", failchannel,"));
        assert!(statement(282).contains(", groupid,"));
        assert!(statement(282).contains("NULL AS failchannel"));
        assert!(statement(282).contains(", failscid,"));
    }
}
