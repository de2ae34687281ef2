//! Channels that are closed, as long as something of them is still to come from the chain.
//!
//! LDK forgets a channel when it closes, and keeps what the chain owes us in the channel's monitor, which
//! knows neither who opened it nor its short_channel_id. So that is written down while the channel is
//! open, and how it ended when it ends: in the order of LDK's own state, which tells of the end again if
//! a crash comes first. Whether something is still to come, the monitor says each time it is asked. How
//! channels are closed is `close.rs`'s affair.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bitcoin::OutPoint;
use bitcoin::secp256k1::PublicKey;
use lightning::chain::channelmonitor::Balance;
use lightning::events::ClosureReason;
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::types::ChannelId;
use sendpay_ledger::Store;
use serde_json::{Value, json};

use crate::channel_list::{ChannelStage, type_bits};
use crate::{Channel, Inner};

/// Where the store keeps them: the key is the channel's id.
const PRIMARY: &str = "channels";
const SECONDARY: &str = "";

/// What is written down of each channel, by its id.
#[derive(Default)]
pub(crate) struct Written(Mutex<HashMap<ChannelId, Facts>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    node_id: PublicKey,
    funding: OutPoint,
    short_channel_id: Option<u64>,
    total_sat: u64,
    opener_local: bool,
    announced: bool,
    type_bits: Vec<u32>,
    end: Option<End>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    closer_local: bool,
    mutual: bool,
    to_us_msat: u64,
}

impl Facts {
    /// None as long as there is no funding transaction.
    fn of(details: &ChannelDetails) -> Option<Facts> {
        Some(Facts {
            node_id: details.counterparty.node_id,
            funding: details.funding_txo?.into_bitcoin_outpoint(),
            short_channel_id: details.short_channel_id,
            total_sat: details.channel_value_satoshis,
            opener_local: details.is_outbound,
            announced: details.is_announced,
            type_bits: type_bits(details),
            end: None,
        })
    }

    fn to_json(&self) -> Value {
        let end = self.end.map(|end| {
            json!({"closer_local": end.closer_local, "mutual": end.mutual, "to_us_msat": end.to_us_msat})
        });
        json!({
            "node_id": self.node_id.to_string(), "funding": self.funding.to_string(),
            "short_channel_id": self.short_channel_id, "total_sat": self.total_sat,
            "opener_local": self.opener_local, "announced": self.announced,
            "type_bits": self.type_bits, "end": end,
        })
    }

    /// None if it is not what `to_json` makes.
    fn from_json(value: &Value) -> Option<Facts> {
        let bits = value.get("type_bits")?.as_array()?.iter();
        let bits = bits.map(|bit| u32::try_from(bit.as_u64()?).ok());
        let end = match value.get("end")? {
            Value::Null => None,
            end => Some(End {
                closer_local: end.get("closer_local")?.as_bool()?,
                mutual: end.get("mutual")?.as_bool()?,
                to_us_msat: end.get("to_us_msat")?.as_u64()?,
            }),
        };
        Some(Facts {
            node_id: value.get("node_id")?.as_str()?.parse().ok()?,
            funding: value.get("funding")?.as_str()?.parse().ok()?,
            short_channel_id: value.get("short_channel_id")?.as_u64(),
            total_sat: value.get("total_sat")?.as_u64()?,
            opener_local: value.get("opener_local")?.as_bool()?,
            announced: value.get("announced")?.as_bool()?,
            type_bits: bits.collect::<Option<_>>()?,
            end,
        })
    }
}

impl Written {
    /// Reads what is written of closed channels, and writes down the open ones that it lacks.
    pub(crate) fn load(inner: &Inner) {
        let keys = inner.store.kv_list(PRIMARY, SECONDARY);
        let keys = keys.unwrap_or_else(|cause| {
            tracing::error!(%cause, "closed channels are not listed: they could not be read");
            Vec::new()
        });
        for key in keys {
            let read = inner.store.kv_read(PRIMARY, SECONDARY, &key);
            let facts = read.ok().flatten().and_then(|body| {
                let value = serde_json::from_slice(&body).ok()?;
                Some((id_of(&key)?, Facts::from_json(&value)?))
            });
            match facts {
                Some((id, facts)) => drop(inner.written.lock().insert(id, facts)),
                None => tracing::error!(key, "what is written of a channel cannot be read"),
            }
        }
        for details in inner.manager.list_channels() {
            inner.written.write_down(&inner.store, &details);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ChannelId, Facts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a channel down, if there is anything new of it.
    fn write_down(&self, store: &Store, details: &ChannelDetails) {
        let Some(facts) = Facts::of(details) else {
            return;
        };
        let id = details.channel_id;
        if self.lock().insert(id, facts.clone()).as_ref() != Some(&facts) {
            keep(store, id, &facts);
        }
    }

    /// A channel has its funding transaction, or is deep enough to be used.
    pub(crate) fn opened(&self, inner: &Inner, id: ChannelId) {
        let channels = inner.manager.list_channels();
        if let Some(details) = channels.iter().find(|details| details.channel_id == id) {
            self.write_down(&inner.store, details);
        }
    }

    /// Whether a channel was agreed on, open or closed.
    pub(crate) fn knows(&self, id: &ChannelId) -> bool {
        self.lock().contains_key(id)
    }

    /// The short_channel_id of a channel, open or closed.
    pub(crate) fn short_channel_id(&self, id: &ChannelId) -> Option<u64> {
        self.lock().get(id)?.short_channel_id
    }

    /// LDK has forgotten a channel. `to_us_msat` is what was ours in it.
    pub(crate) fn closed(
        &self,
        store: &Store,
        id: ChannelId,
        reason: &ClosureReason,
        to_us_msat: u64,
    ) {
        let mut written = self.lock();
        let Some(facts) = written.get_mut(&id) else {
            return;
        };
        match how(reason) {
            Some((closer_local, mutual)) => {
                facts.end = Some(End {
                    closer_local,
                    mutual,
                    to_us_msat,
                });
                keep(store, id, facts);
            }
            None => {
                written.remove(&id);
                drop(store.kv_remove(PRIMARY, SECONDARY, &id.to_string()));
            }
        }
    }
}

fn keep(store: &Store, id: ChannelId, facts: &Facts) {
    let body = facts.to_json().to_string().into_bytes();
    drop(store.kv_write(PRIMARY, SECONDARY, &id.to_string(), body));
}

fn id_of(key: &str) -> Option<ChannelId> {
    use bitcoin::hex::FromHex;
    <[u8; 32]>::from_hex(key).ok().map(ChannelId)
}

/// Whether we closed it, and whether both ends signed what closes it; None if nothing was ever funded.
fn how(reason: &ClosureReason) -> Option<(bool, bool)> {
    use ClosureReason as R;
    match reason {
        R::LegacyCooperativeClosure | R::LocallyInitiatedCooperativeClosure => Some((true, true)),
        R::CounterpartyInitiatedCooperativeClosure => Some((false, true)),
        R::CounterpartyForceClosed { .. } | R::CommitmentTxConfirmed => Some((false, false)),
        R::HolderForceClosed { .. }
        | R::ProcessingError { .. }
        | R::OutdatedChannelManager
        | R::HTLCsTimedOut { .. }
        | R::PeerFeerateTooLow { .. } => Some((true, false)),
        R::FundingTimedOut
        | R::DisconnectedPeer
        | R::CounterpartyCoopClosedUnfundedChannel
        | R::LocallyCoopClosedUnfundedChannel
        | R::FundingBatchClosure => None,
    }
}

/// The closed channels of which something is still to come.
pub(crate) fn list(inner: &Inner) -> Vec<Channel> {
    let written = inner.written.lock().clone();
    let mut closed: Vec<Channel> = written
        .iter()
        .filter_map(|(id, facts)| show(inner, *id, facts, facts.end?))
        .collect();
    closed.sort_by_key(|channel| channel.channel_id);
    closed
}

fn show(inner: &Inner, id: ChannelId, facts: &Facts, end: End) -> Option<Channel> {
    let balances = inner.monitor.get_monitor(id).ok()?.get_claimable_balances();
    if balances.is_empty() {
        return None;
    }
    let unspent = |balance: &Balance| matches!(balance, Balance::ClaimableOnChannelClose { .. });
    let stage = match (balances.iter().any(unspent), end.mutual) {
        (false, _) => ChannelStage::OnChain,
        (true, true) => ChannelStage::Closed,
        (true, false) => ChannelStage::AwaitingUnilateral,
    };
    Some(Channel {
        feerate_per_kw: None,
        node_id: facts.node_id,
        channel_id: id.0,
        funding: Some(facts.funding),
        short_channel_id: facts.short_channel_id,
        alias_local: None,
        alias_remote: None,
        total_msat: facts.total_sat.saturating_mul(1_000),
        to_us_msat: end.to_us_msat,
        spendable_msat: 0,
        htlc_limit_msat: 0,
        receivable_msat: 0,
        our_reserve_sat: 0,
        their_reserve_sat: 0,
        opener_local: facts.opener_local,
        closer_local: Some(end.closer_local),
        ready: facts.short_channel_id.is_some(),
        usable: false,
        connected: inner.peers.peer_by_node_id(&facts.node_id).is_some(),
        closing: true,
        stage,
        announced: facts.announced,
        confirmations: 0,
        fee_base_msat: 0,
        fee_proportional_millionths: 0,
        cltv_expiry_delta: 0,
        htlc_minimum_msat: 0,
        htlc_minimum_out_msat: None,
        htlc_maximum_out_msat: None,
        remote_terms: None,
        our_to_self_delay: None,
        type_bits: facts.type_bits.clone(),
        htlcs: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_written_of_a_channel_is_what_is_read() {
        let node = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let open = Facts {
            node_id: node.parse().unwrap(),
            funding: format!("{}:7", "ab".repeat(32)).parse().unwrap(),
            short_channel_id: None,
            total_sat: u64::MAX,
            opener_local: true,
            announced: false,
            type_bits: vec![12, 22],
            end: None,
        };
        let closed = Facts {
            short_channel_id: Some(u64::MAX),
            end: Some(End {
                closer_local: false,
                mutual: true,
                to_us_msat: u64::MAX,
            }),
            ..open.clone()
        };
        for facts in [open, closed] {
            let text = facts.to_json().to_string();
            let read = serde_json::from_str(&text).unwrap();
            assert_eq!(Facts::from_json(&read), Some(facts));
        }
        assert_eq!(Facts::from_json(&json!({})), None);
        assert_eq!(
            id_of(&ChannelId([7; 32]).to_string()),
            Some(ChannelId([7; 32]))
        );
        assert_eq!(id_of("07"), None);
    }
}
