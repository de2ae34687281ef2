//! The failure codes of BOLT 4, and CLN's names for them (`failcodename`).
//!
//! Only numbers and names. Which of them makes a payment's failure final is decided where the
//! outcome is written.

/// BADONION: the failure is about the onion itself, reported by the next hop.
pub const BADONION: u16 = 0x8000;
/// PERM: the failure is permanent.
pub const PERM: u16 = 0x4000;
/// NODE: the failure is of the node, not of one channel.
pub const NODE: u16 = 0x2000;
/// UPDATE: a channel update is enclosed.
pub const UPDATE: u16 = 0x1000;

/// Every failure code of BOLT 4 with its name.
pub const FAILCODES: &[(u16, &str)] = &[
    (PERM | 1, "WIRE_INVALID_REALM"),
    (NODE | 2, "WIRE_TEMPORARY_NODE_FAILURE"),
    (PERM | NODE | 2, "WIRE_PERMANENT_NODE_FAILURE"),
    (PERM | NODE | 3, "WIRE_REQUIRED_NODE_FEATURE_MISSING"),
    (BADONION | PERM | 4, "WIRE_INVALID_ONION_VERSION"),
    (BADONION | PERM | 5, "WIRE_INVALID_ONION_HMAC"),
    (BADONION | PERM | 6, "WIRE_INVALID_ONION_KEY"),
    (UPDATE | 7, "WIRE_TEMPORARY_CHANNEL_FAILURE"),
    (PERM | 8, "WIRE_PERMANENT_CHANNEL_FAILURE"),
    (PERM | 9, "WIRE_REQUIRED_CHANNEL_FEATURE_MISSING"),
    (PERM | 10, "WIRE_UNKNOWN_NEXT_PEER"),
    (UPDATE | 11, "WIRE_AMOUNT_BELOW_MINIMUM"),
    (UPDATE | 12, "WIRE_FEE_INSUFFICIENT"),
    (UPDATE | 13, "WIRE_INCORRECT_CLTV_EXPIRY"),
    (UPDATE | 14, "WIRE_EXPIRY_TOO_SOON"),
    (PERM | 15, "WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS"),
    (18, "WIRE_FINAL_INCORRECT_CLTV_EXPIRY"),
    (19, "WIRE_FINAL_INCORRECT_HTLC_AMOUNT"),
    (UPDATE | 20, "WIRE_CHANNEL_DISABLED"),
    (21, "WIRE_EXPIRY_TOO_FAR"),
    (PERM | 22, "WIRE_INVALID_ONION_PAYLOAD"),
    (23, "WIRE_MPP_TIMEOUT"),
    (BADONION | PERM | 24, "WIRE_INVALID_ONION_BLINDING"),
];

/// The name of a failure code, if BOLT 4 has it.
#[must_use]
pub fn name(failcode: u16) -> Option<&'static str> {
    FAILCODES
        .iter()
        .find(|(number, _)| *number == failcode)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failcodes_have_the_numbers_and_names_a_cln_node_reports() {
        // As seen in the answers of a CLN node, and the flag bits of BOLT 4 by hand.
        assert_eq!(name(16394), Some("WIRE_UNKNOWN_NEXT_PEER"));
        assert_eq!(
            name(16399),
            Some("WIRE_INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS")
        );
        assert_eq!(name(4103), Some("WIRE_TEMPORARY_CHANNEL_FAILURE"));
        assert_eq!(name(0xc018), Some("WIRE_INVALID_ONION_BLINDING"));
        assert_eq!(name(0), None);
    }

    #[test]
    fn no_failcode_is_listed_twice() {
        let mut numbers: Vec<u16> = FAILCODES.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), FAILCODES.len());
    }
}
