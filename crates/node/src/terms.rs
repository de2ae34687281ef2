//! What this node asks to forward over a channel. LDK tells the network, and takes what was asked
//! before for some minutes more.
//!
//! LDK's state is written a moment after it has changed. So what was set is kept here too, before that is
//! answered, and a start that finds LDK without it sets it again.

use std::collections::HashMap;

use bitcoin::hex::DisplayHex;
use bitcoin::secp256k1::PublicKey;
use lightning::ln::types::ChannelId;
use lightning::util::config::ChannelConfigUpdate;
use sendpay_store::kv::KvError;
use thiserror::Error;

use crate::channel::api_error;
use crate::channel_list;
use crate::wallet::settle;
use crate::{Channel, Inner};

const PRIMARY: &str = "sendpay";
const SECONDARY: &str = "terms";

/// What to ask; None leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub struct NewTerms {
    /// The other end.
    pub node_id: PublicKey,
    /// BOLT 2's id.
    pub channel_id: [u8; 32],
    /// For each payment, in millisatoshi.
    pub fee_base_msat: Option<u32>,
    /// Of the amount.
    pub fee_proportional_millionths: Option<u32>,
}

/// Why nothing was changed.
#[derive(Debug, Error)]
pub enum TermsError {
    /// The channel is gone.
    #[error("the channel was closed meanwhile")]
    Gone,
    /// LDK refuses.
    #[error("{0}")]
    Refused(String),
    /// They hold until the node ends, and could not be stored.
    #[error("the new terms could not be stored: {0}")]
    Store(String),
}

/// Sets them; returns when they are durable.
pub(crate) async fn set(inner: &Inner, terms: &NewTerms) -> Result<Channel, TermsError> {
    // One after the other: what is kept is what LDK has.
    let _alone = inner.setting_terms.lock().await;
    let channel = tell_ldk(inner, terms)?;
    let kept = encode(&channel);
    let key = channel.channel_id.to_lower_hex_string();
    let kept = inner.store.kv_write(PRIMARY, SECONDARY, &key, kept);
    settle(Some(kept)).await.map_err(TermsError::Store)?;
    Ok(channel)
}

/// The fee for each payment in millisatoshi, then that of the amount in millionths, big-endian.
fn encode(channel: &Channel) -> Vec<u8> {
    let terms = [channel.fee_base_msat, channel.fee_proportional_millionths];
    terms.map(u32::to_be_bytes).concat()
}

fn decode(kept: &[u8]) -> Option<[u32; 2]> {
    let (base, millionths) = kept.split_first_chunk()?;
    let millionths = millionths.try_into().ok()?;
    Some([*base, millionths].map(u32::from_be_bytes))
}

/// At the start: sets what a crash kept from LDK's state, and forgets what is of no channel any more.
pub(crate) fn review(inner: &Inner) {
    if let Err(cause) = look_through(inner) {
        tracing::error!(%cause, "what is asked for forwarding could not be looked through");
    }
}

fn look_through(inner: &Inner) -> Result<(), KvError> {
    let channels = channel_list::list(inner).into_iter();
    let channels: HashMap<String, Channel> = channels
        .map(|channel| (channel.channel_id.to_lower_hex_string(), channel))
        .collect();
    for key in inner.store.kv_list(PRIMARY, SECONDARY)? {
        let Some(channel) = channels.get(&key) else {
            drop(inner.store.kv_remove(PRIMARY, SECONDARY, &key));
            continue;
        };
        let kept = inner.store.kv_read(PRIMARY, SECONDARY, &key)?;
        let kept = kept.unwrap_or_default();
        let Some([fee_base_msat, fee_proportional_millionths]) = decode(&kept) else {
            tracing::error!(channel_id = key, "what it asks for forwarding is damaged");
            continue;
        };
        if kept == encode(channel) {
            continue;
        }
        let terms = NewTerms {
            node_id: channel.node_id,
            channel_id: channel.channel_id,
            fee_base_msat: Some(fee_base_msat),
            fee_proportional_millionths: Some(fee_proportional_millionths),
        };
        if let Err(cause) = tell_ldk(inner, &terms) {
            tracing::warn!(channel_id = key, %cause, "what it asks for forwarding was not set again");
        }
    }
    Ok(())
}

fn tell_ldk(inner: &Inner, terms: &NewTerms) -> Result<Channel, TermsError> {
    let update = ChannelConfigUpdate {
        forwarding_fee_base_msat: terms.fee_base_msat,
        forwarding_fee_proportional_millionths: terms.fee_proportional_millionths,
        ..ChannelConfigUpdate::default()
    };
    let channel_id = ChannelId(terms.channel_id);
    let find = || {
        let mut channels = channel_list::list(inner).into_iter();
        channels.find(|channel| channel.channel_id == terms.channel_id)
    };
    inner
        .manager
        .update_partial_channel_config(&terms.node_id, &[channel_id], &update)
        .map_err(|cause| match find() {
            None => TermsError::Gone,
            Some(_) => TermsError::Refused(api_error(&cause)),
        })?;
    find().ok_or(TermsError::Gone)
}
