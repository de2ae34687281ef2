//! LDK's log into ours, and the one thing only LDK's log knows: the BOLT 4 failure code.
//!
//! LDK's `PaymentPathFailed` does not carry the code that the failing node sent (it does in test
//! builds only). Its log line does, written in the same thread before the event is queued, with
//! the payment's id. So the line is read here; its text is no API, hence LDK's exact version pin
//! and the test below. A payment of ours has one HTLC, which makes the line unambiguous.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use bitcoin::secp256k1::PublicKey;
use lightning::ln::channelmanager::PaymentId;
use lightning::util::logger::{Level, Logger, Record};

use crate::redact::WithoutSecrets;

/// Codes kept for events that have not come yet. Each is taken by its event at once, so more than
/// the HTLCs that can be in flight (483 a channel) means that LDK logs codes without events.
const CODES_MAX: usize = 10_000;

const ONION_MODULE: &str = "lightning::ln::onion_utils";
const ONION_PREFIX: &str = "Onion Error[from ";

/// What a node on the route said when it failed our HTLC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnionFailure {
    /// The node that sent the failure.
    pub(crate) node_id: PublicKey,
    /// The BOLT 4 failure code.
    pub(crate) failcode: u16,
}

/// Passes LDK's log to `tracing` and keeps failure codes until their events come.
#[derive(Default)]
pub(crate) struct NodeLogger {
    codes: Mutex<HashMap<PaymentId, OnionFailure>>,
}

impl NodeLogger {
    /// Takes what is known of why this payment's HTLC failed.
    pub(crate) fn take_failure(&self, id: &PaymentId) -> Option<OnionFailure> {
        self.codes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id)
    }

    fn keep(&self, id: PaymentId, failure: OnionFailure) {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        if codes.len() < CODES_MAX {
            codes.insert(id, failure);
        }
    }
}

impl Logger for NodeLogger {
    fn log(&self, record: Record) {
        if record.level == Level::Info
            && record.module_path == ONION_MODULE
            && let Some(id) = record.payment_id
            && let Some(failure) = read_onion_failure(&record.args.to_string())
        {
            self.keep(id, failure);
        }
        pass_on(&record);
    }
}

/// One `tracing` event for one LDK record, under the target `ldk`.
fn pass_on(record: &Record) {
    macro_rules! at {
        ($level:expr) => {
            tracing::event!(
                target: "ldk",
                $level,
                module = record.module_path,
                peer = record.peer_id.map(tracing::field::display),
                channel = record.channel_id.map(tracing::field::display),
                payment_hash = record.payment_hash.map(tracing::field::display),
                "{}",
                WithoutSecrets(&record.args)
            )
        };
    }
    match record.level {
        Level::Gossip | Level::Trace => at!(tracing::Level::TRACE),
        Level::Debug => at!(tracing::Level::DEBUG),
        Level::Info => at!(tracing::Level::DEBUG),
        Level::Warn => at!(tracing::Level::WARN),
        Level::Error => at!(tracing::Level::ERROR),
    }
}

/// Reads `Onion Error[from <node id>: <Name>(0x<code>)]`, with or without a debug field behind the
/// code.
fn read_onion_failure(line: &str) -> Option<OnionFailure> {
    let rest = line.strip_prefix(ONION_PREFIX)?;
    let (node_id, rest) = rest.split_once(": ")?;
    // An unknown code prints as `UnknownFailureCode { code: 1 }(0x1)`.
    let (_, rest) = rest.split_once("(0x")?;
    let (code, _) = rest.split_once(')')?;
    Some(OnionFailure {
        node_id: PublicKey::from_str(node_id).ok()?,
        failcode: u16::from_str_radix(code, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const NODE: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    #[test]
    fn failure_codes_are_read_from_the_lines_of_this_ldk() {
        let lines: &[(String, Option<u16>)] = &[
            (
                format!("Onion Error[from {NODE}: TemporaryChannelFailure(0x1007)]"),
                Some(0x1007),
            ),
            (
                format!("Onion Error[from {NODE}: FeeInsufficient(0x100c) htlc_msat(0102)]"),
                Some(0x100c),
            ),
            (
                format!("Onion Error[from {NODE}: UnknownFailureCode {{ code: 77 }}(0x4d)]"),
                Some(77),
            ),
            (format!("Onion Error[from {NODE}]"), None),
            ("Onion Error[from nobody: X(0x1007)]".into(), None),
            ("Handling commitment".into(), None),
        ];
        for (line, code) in lines {
            assert_eq!(
                read_onion_failure(line).map(|read| read.failcode),
                *code,
                "{line}"
            );
        }
        assert_eq!(
            read_onion_failure(&lines[0].0).unwrap().node_id.to_string(),
            NODE
        );
    }
}
