//! What must be remembered of the channels to get their coins back without channel state: with whom
//! they are, and where. It is safe to bring back at any time, however old: nothing of it is state.
//!
//! It is kept in the store as it changes, where a backup of a node that is stopped finds it, and told
//! to who writes it elsewhere. What is done with it after a loss is `recovery.rs`.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::hex::{DisplayHex, FromHex};
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Network, OutPoint, ScriptBuf};
use lightning::ln::types::ChannelId;
use lightning::routing::gossip::NodeId as GossipId;
use lightning::util::persist::{
    OUTPUT_SWEEPER_PERSISTENCE_KEY, OUTPUT_SWEEPER_PERSISTENCE_PRIMARY_NAMESPACE,
    OUTPUT_SWEEPER_PERSISTENCE_SECONDARY_NAMESPACE,
};
use sendpay_ledger::NodeId;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::clock::unix_seconds;
use crate::recovery::RecoveryError;
use crate::{Inner, peer};

/// Where the list is kept in the store: primary and secondary namespace, key.
pub const KEPT_AT: [&str; 3] = ["sendpay", "kept", "channels"];

/// Looked at again after this even if nobody told of a change: addresses of peers come by gossip.
const LOOK: Duration = Duration::from_secs(60);

/// Addresses of one peer that are kept.
const ADDRESSES_MAX: usize = 8;

/// A channel as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptChannel {
    /// The other end.
    pub node_id: PublicKey,
    /// Where it was last reached, and where it says that it is.
    pub addresses: Vec<String>,
    /// BOLT 2's id, in hex.
    pub channel_id: String,
    /// Where the channel was funded: whatever spends this has closed it.
    pub funding: OutPoint,
    /// The script of that output, where known: Electrum servers are asked by it.
    #[serde(default)]
    pub script: Option<ScriptBuf>,
    /// The whole channel, in satoshi.
    pub amount_sat: u64,
}

impl KeptChannel {
    pub(crate) fn id(&self) -> Option<[u8; 32]> {
        <[u8; 32]>::from_hex(&self.channel_id).ok()
    }
}

/// How many addresses the wallet has given out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenOut {
    /// The p2wpkh ones, for others and for change.
    pub addresses: [u32; 2],
    /// The p2tr ones. Lists of versions that made none do not say.
    #[serde(default)]
    pub p2tr_addresses: u32,
}

/// Everything that is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Whose channels they are.
    pub node_id: PublicKey,
    /// On which network.
    pub network: Network,
    /// When this was true, in seconds since 1970.
    pub made_at: u64,
    /// The height before which the wallet was paid nothing.
    pub birthday: u32,
    /// How many addresses the wallet has given out.
    #[serde(flatten)]
    pub given_out: GivenOut,
    /// The channels whose funding is not spent.
    pub channels: Vec<KeptChannel>,
    /// What closed channels paid us and is not in the wallet yet, in hex, as LDK's sweeper has it.
    pub sweeps: Option<String>,
}

impl Kept {
    /// From the bytes of a backup.
    ///
    /// # Errors
    /// If they are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Kept, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// That it is of this node.
    pub(crate) fn check(&self, ours: PublicKey, network: Network) -> Result<(), RecoveryError> {
        if self.node_id != ours {
            let [found, ours] = [self.node_id, ours].map(|id| NodeId(id.serialize()));
            return Err(RecoveryError::OtherNode { found, ours });
        }
        if self.network != network {
            return Err(RecoveryError::OtherNetwork {
                found: self.network,
                ours: network,
            });
        }
        Ok(())
    }

    /// As it goes into a backup.
    ///
    /// # Errors
    /// If memory is short.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

/// As it is now.
fn now(inner: &Inner) -> Kept {
    let mut channels: Vec<KeptChannel> = inner
        .manager
        .list_channels()
        .into_iter()
        .filter_map(|channel| {
            let node_id = channel.counterparty.node_id;
            Some(KeptChannel {
                node_id,
                addresses: addresses(inner, &node_id),
                channel_id: channel.channel_id.0.to_lower_hex_string(),
                funding: channel.funding_txo?.into_bitcoin_outpoint(),
                script: script(inner, channel.channel_id),
                amount_sat: channel.channel_value_satoshis,
            })
        })
        .collect();
    // Those that were lost once are lost again with the list of those that are not closed yet.
    channels.extend(inner.recovery.iter().flat_map(|recovery| recovery.open()));
    channels.sort_by(|one, other| one.channel_id.cmp(&other.channel_id));
    channels.dedup_by(|one, other| one.channel_id == other.channel_id);
    let (birthday, given_out) = inner.wallet.extent();
    Kept {
        node_id: inner.node_id,
        network: inner.config.network,
        made_at: unix_seconds(),
        birthday,
        given_out,
        channels,
        sweeps: sweeps(inner),
    }
}

fn script(inner: &Inner, channel_id: ChannelId) -> Option<ScriptBuf> {
    let monitor = inner.monitor.get_monitor(channel_id).ok()?;
    Some(monitor.get_funding_script())
}

fn addresses(inner: &Inner, node_id: &PublicKey) -> Vec<String> {
    let mut addresses: Vec<String> = peer::known_address(inner, node_id).into_iter().collect();
    let graph = inner.graph.read_only();
    let announced = graph
        .node(&GossipId::from_pubkey(node_id))
        .and_then(|node| node.announcement_info.as_ref())
        .map(|info| info.addresses().to_vec());
    for address in announced.unwrap_or_default() {
        let address = address.to_string();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

fn sweeps(inner: &Inner) -> Option<String> {
    if inner.sweeper.tracked_spendable_outputs().is_empty() {
        return None;
    }
    let found = inner.store.kv_read(
        OUTPUT_SWEEPER_PERSISTENCE_PRIMARY_NAMESPACE,
        OUTPUT_SWEEPER_PERSISTENCE_SECONDARY_NAMESPACE,
        OUTPUT_SWEEPER_PERSISTENCE_KEY,
    );
    Some(found.ok()??.to_lower_hex_string())
}

/// Keeps the list true until `stop`.
pub(crate) async fn keep(inner: Arc<Inner>, mut stop: watch::Receiver<bool>) {
    let [primary, secondary, key] = KEPT_AT;
    let mut last: Option<Kept> = None;
    loop {
        // Before the look: what changes while it is taken is looked at again.
        let told = inner.channels_changed.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        let looking = inner.clone();
        let Ok(mut kept) = tokio::task::spawn_blocking(move || now(&looking)).await else {
            return;
        };
        if let Some(last) = &last {
            kept.made_at = last.made_at;
        }
        if last.as_ref() != Some(&kept) {
            kept.made_at = unix_seconds();
            match kept.to_bytes() {
                Ok(bytes) => {
                    let written = inner.store.kv_write(primary, secondary, key, bytes);
                    if !matches!(written.await, Ok(Ok(()))) {
                        tracing::error!("the list of channels for backups could not be kept");
                    }
                }
                Err(cause) => tracing::error!(%cause, "the list of channels cannot be encoded"),
            }
            inner.kept.send_replace(Some(Arc::new(kept.clone())));
            last = Some(kept);
        }
        tokio::select! {
            () = &mut told => {}
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

impl Kept {
    /// LDK's sweeper as the store keeps it, if there is one.
    pub(crate) fn sweeps_row(&self) -> Option<([String; 3], Vec<u8>)> {
        let at = [
            OUTPUT_SWEEPER_PERSISTENCE_PRIMARY_NAMESPACE,
            OUTPUT_SWEEPER_PERSISTENCE_SECONDARY_NAMESPACE,
            OUTPUT_SWEEPER_PERSISTENCE_KEY,
        ];
        let bytes = Vec::from_hex(self.sweeps.as_ref()?).ok()?;
        Some((at.map(str::to_owned), bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As versions without p2tr addresses wrote it.
    const OLD: &str = r#"{
        "node_id": "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        "network": "regtest", "made_at": 5, "birthday": 7, "addresses": [3, 4], "channels": [],
        "sweeps": null
    }"#;

    #[test]
    fn lists_of_older_versions_are_read_and_they_read_ours() {
        let mut kept = Kept::from_bytes(OLD.as_bytes()).unwrap();
        let given_out = |p2tr_addresses| GivenOut {
            addresses: [3, 4],
            p2tr_addresses,
        };
        assert_eq!(kept.given_out, given_out(0));
        kept.given_out = given_out(9);
        let bytes = kept.to_bytes().unwrap();
        assert_eq!(Kept::from_bytes(&bytes).unwrap(), kept);
        // Where they look for it.
        let row: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(row.get("addresses"), Some(&serde_json::json!([3, 4])));
    }
}
