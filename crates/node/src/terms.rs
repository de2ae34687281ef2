//! What this node asks to forward over a channel. LDK tells the network, and takes what was asked
//! before for some minutes more.

use bitcoin::secp256k1::PublicKey;
use lightning::ln::types::ChannelId;
use lightning::util::config::ChannelConfigUpdate;
use thiserror::Error;

use crate::channel::api_error;
use crate::channel_list;
use crate::{Channel, Inner};

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
}

pub(crate) fn set(inner: &Inner, terms: &NewTerms) -> Result<Channel, TermsError> {
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
