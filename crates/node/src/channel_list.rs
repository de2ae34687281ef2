//! What is told of the channels that are there: LDK's details as `listpeerchannels` and `listfunds` need
//! them. How channels come about is `channel.rs`.

use bitcoin::OutPoint;
use bitcoin::secp256k1::PublicKey;
use lightning::ln::channel_state::{ChannelDetails, ChannelShutdownState};
use lightning::routing::gossip::NodeId as GossipId;

use crate::{Htlc, Inner};

/// A channel as the RPC shows it. Amounts in millisatoshi unless named otherwise.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The other end.
    pub node_id: PublicKey,
    /// BOLT 2's id.
    pub channel_id: [u8; 32],
    /// Where it was funded.
    pub funding: Option<OutPoint>,
    /// BOLT 7's id, once it is deep enough.
    pub short_channel_id: Option<u64>,
    /// The id by which we know it before that, and for ever when it is private.
    pub alias_local: Option<u64>,
    /// The id by which the peer knows it, for route hints.
    pub alias_remote: Option<u64>,
    /// The whole channel.
    pub total_msat: u64,
    /// What is ours, HTLCs and reserve included, as far as LDK tells.
    pub to_us_msat: u64,
    /// What we can send now in all.
    pub spendable_msat: u64,
    /// What one HTLC may carry now.
    pub htlc_limit_msat: u64,
    /// What we can receive now.
    pub receivable_msat: u64,
    /// Our reserve, in satoshi.
    pub our_reserve_sat: u64,
    /// The peer's reserve, in satoshi.
    pub their_reserve_sat: u64,
    /// We opened it.
    pub opener_local: bool,
    /// We closed it, or they did; None while nobody has.
    pub closer_local: Option<bool>,
    /// Deep enough on both sides.
    pub ready: bool,
    /// Ready and the peer is connected.
    pub usable: bool,
    /// The peer is connected.
    pub connected: bool,
    /// Closing has begun.
    pub closing: bool,
    /// Where it is in its life.
    pub stage: ChannelStage,
    /// Announced to the network.
    pub announced: bool,
    /// Blocks on top of the funding transaction.
    pub confirmations: u32,
    /// Our fee to forward over it: base in millisatoshi, and millionths.
    pub fee_base_msat: u32,
    /// See `fee_base_msat`.
    pub fee_proportional_millionths: u32,
    /// Blocks we want between incoming and outgoing HTLC.
    pub cltv_expiry_delta: u16,
    /// Least HTLC that we take in.
    pub htlc_minimum_msat: u64,
    /// Least HTLC that the peer takes, which is the least that we forward.
    pub htlc_minimum_out_msat: Option<u64>,
    /// Greatest HTLC that the peer takes, whatever the balance.
    pub htlc_maximum_out_msat: Option<u64>,
    /// What the peer asks to forward over it, once it has told us.
    pub remote_terms: Option<RemoteTerms>,
    /// Blocks that our money waits after we force the channel closed.
    pub our_to_self_delay: Option<u16>,
    /// Bits of the channel's type (BOLT 9).
    pub type_bits: Vec<u32>,
    /// Rate of the commitment transaction, in satoshi for 1000 weight units.
    pub feerate_per_kw: Option<u32>,
    /// HTLCs in flight.
    pub htlcs: Vec<Htlc>,
}

/// Where a channel is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelStage {
    /// Waiting for its depth.
    Opening,
    /// It can be used.
    Normal,
    /// One end wants to close it, and HTLCs may be left in it.
    ShuttingDown,
    /// The ends are agreeing on the fee of the transaction that closes it.
    AgreeingOnFee,
    /// They have agreed, and the transaction is in no block yet.
    Closed,
    /// One end closed it by itself, and its transaction is in no block yet.
    AwaitingUnilateral,
    /// The transaction that closes it is in a block, and something is still to come.
    OnChain,
}

/// What a peer asks to forward over a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteTerms {
    /// In millisatoshi.
    pub fee_base_msat: u32,
    /// Of the amount.
    pub fee_proportional_millionths: u32,
    /// In blocks.
    pub cltv_expiry_delta: u16,
    /// The least and the most that an HTLC may carry, in millisatoshi; None where the peer has told nobody
    /// but us, as LDK does not keep it then.
    pub htlc_msat: Option<(u64, u64)>,
}

/// Every channel.
pub(crate) fn list(inner: &Inner) -> Vec<Channel> {
    inner
        .manager
        .list_channels()
        .into_iter()
        .map(|details| show(inner, details))
        .collect()
}

/// The bits set in a channel's type; LDK keeps the bytes in little-endian order.
pub(crate) fn type_bits(details: &ChannelDetails) -> Vec<u32> {
    let flags = details
        .channel_type
        .as_ref()
        .map(|kind| kind.le_flags().to_vec());
    let bits = flags
        .unwrap_or_default()
        .into_iter()
        .zip(0u32..)
        .flat_map(|(byte, index)| {
            (0..8)
                .filter(move |bit| byte >> bit & 1 == 1)
                .map(move |bit| index * 8 + bit)
        });
    bits.collect()
}

/// What both anchors hold, which whoever opened the channel pays for (BOLT 3), in msat.
const ANCHORS_MSAT: u64 = 2 * 330_000;

/// Our balance, with what our pending HTLCs hold, in msat. LDK tells of each side only what it has
/// above its reserve, and of the opener's above the anchors: nothing as long as it is below. Then the
/// balance is what is left of the other side's, as both cannot be below at once.
fn balance_msat(details: &ChannelDetails) -> u64 {
    let total = details.channel_value_satoshis * 1_000;
    let reserve = |satoshis: Option<u64>| satoshis.unwrap_or(0) * 1_000;
    let anchors = match &details.channel_type {
        Some(kind) if kind.supports_anchors_zero_fee_htlc_tx() => ANCHORS_MSAT,
        _ => 0,
    };
    let (our_anchors, their_anchors) = if details.is_outbound {
        (anchors, 0)
    } else {
        (0, anchors)
    };
    let outgoing = details.pending_outbound_htlcs.iter();
    let incoming = details.pending_inbound_htlcs.iter();
    let balance = if details.outbound_capacity_msat > 0 {
        details.outbound_capacity_msat
            + our_anchors
            + reserve(details.unspendable_punishment_reserve)
            + outgoing.map(|htlc| htlc.amount_msat).sum::<u64>()
    } else {
        let theirs = details.inbound_capacity_msat
            + their_anchors
            + reserve(Some(details.counterparty.unspendable_punishment_reserve))
            + incoming.map(|htlc| htlc.amount_msat).sum::<u64>();
        total.saturating_sub(theirs)
    };
    balance.min(total)
}

fn stage(details: &ChannelDetails) -> ChannelStage {
    match details.channel_shutdown_state {
        Some(ChannelShutdownState::ShutdownInitiated | ChannelShutdownState::ResolvingHTLCs) => {
            ChannelStage::ShuttingDown
        }
        Some(ChannelShutdownState::NegotiatingClosingFee) => ChannelStage::AgreeingOnFee,
        Some(ChannelShutdownState::ShutdownComplete) => ChannelStage::Closed,
        Some(ChannelShutdownState::NotShuttingDown) | None if details.is_channel_ready => {
            ChannelStage::Normal
        }
        Some(ChannelShutdownState::NotShuttingDown) | None => ChannelStage::Opening,
    }
}

/// The least and the most that an HTLC to us may carry, as the peer has told the network.
fn told_htlc_msat(inner: &Inner, details: &ChannelDetails) -> Option<(u64, u64)> {
    let graph = inner.graph.read_only();
    let channel = graph.channel(details.short_channel_id?)?;
    let peer = GossipId::from_pubkey(&details.counterparty.node_id);
    let update = if channel.node_one == peer {
        channel.one_to_two.as_ref()
    } else {
        channel.two_to_one.as_ref()
    }?;
    Some((update.htlc_minimum_msat, update.htlc_maximum_msat))
}

fn show(inner: &Inner, details: ChannelDetails) -> Channel {
    let total_msat = details.channel_value_satoshis * 1_000;
    let config = details.config.unwrap_or_default();
    let type_bits = type_bits(&details);
    let sent = details.pending_outbound_htlcs.iter().map(Htlc::from);
    let received = details.pending_inbound_htlcs.iter().map(Htlc::from);
    let stage = stage(&details);
    let remote_terms = details.counterparty.forwarding_info.as_ref();
    Channel {
        node_id: details.counterparty.node_id,
        channel_id: details.channel_id.0,
        funding: details
            .funding_txo
            .map(|funding| funding.into_bitcoin_outpoint()),
        short_channel_id: details.short_channel_id,
        alias_local: details.outbound_scid_alias,
        alias_remote: details.inbound_scid_alias,
        total_msat,
        to_us_msat: balance_msat(&details),
        spendable_msat: details.outbound_capacity_msat,
        htlc_limit_msat: details.next_outbound_htlc_limit_msat,
        receivable_msat: details.inbound_capacity_msat,
        our_reserve_sat: details.unspendable_punishment_reserve.unwrap_or(0),
        their_reserve_sat: details.counterparty.unspendable_punishment_reserve,
        opener_local: details.is_outbound,
        closer_local: None,
        ready: details.is_channel_ready,
        usable: details.is_usable,
        connected: inner
            .peers
            .peer_by_node_id(&details.counterparty.node_id)
            .is_some(),
        closing: !matches!(stage, ChannelStage::Opening | ChannelStage::Normal),
        stage,
        announced: details.is_announced,
        confirmations: details.confirmations.unwrap_or(0),
        fee_base_msat: config.forwarding_fee_base_msat,
        fee_proportional_millionths: config.forwarding_fee_proportional_millionths,
        cltv_expiry_delta: config.cltv_expiry_delta,
        htlc_minimum_msat: details.inbound_htlc_minimum_msat.unwrap_or(0),
        htlc_minimum_out_msat: details.counterparty.outbound_htlc_minimum_msat,
        htlc_maximum_out_msat: details.counterparty.outbound_htlc_maximum_msat,
        remote_terms: remote_terms.map(|terms| RemoteTerms {
            fee_base_msat: terms.fee_base_msat,
            fee_proportional_millionths: terms.fee_proportional_millionths,
            cltv_expiry_delta: terms.cltv_expiry_delta,
            htlc_msat: told_htlc_msat(inner, &details),
        }),
        our_to_self_delay: details.force_close_spend_delay,
        type_bits,
        feerate_per_kw: details.feerate_sat_per_1000_weight,
        htlcs: sent.chain(received).collect(),
    }
}
