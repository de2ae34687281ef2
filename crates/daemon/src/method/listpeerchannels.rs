//! `listpeerchannels`, and what it shares with `listfunds`.

use std::sync::Arc;

use bitcoin::hashes::Hash;
use sendpay_node::{Channel, ChannelStage, HtlcStage};
use sendpay_rpc::RpcError;
use sendpay_rpc::method::listpeerchannels::{
    Alias, ChannelFeerate, ForwardTerms, Htlc, ListPeerChannels, ListPeerChannelsResult,
    PeerChannel, Updates,
};
use sendpay_rpc::value::{Hash32, Msat, NodeId, Scid};

use super::fundchannel::channel_type;
use crate::daemon::Daemon;

/// Virtual bytes are four weight units.
const WEIGHT_A_BYTE: u32 = 4;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: ListPeerChannels,
) -> Result<ListPeerChannelsResult, RpcError> {
    let filters = [
        params.id.is_some(),
        params.short_channel_id.is_some(),
        params.channel_id.is_some(),
    ];
    if filters.iter().filter(|given| **given).count() > 1 {
        let text = "Must not specify more than one of short_channel_id, channel_id or id";
        return Err(RpcError::invalid_params(text));
    }
    let us = daemon.node().id();
    let wanted = |channel: &Channel| {
        let scid = params.short_channel_id.map(|scid| scid.0);
        params.id.is_none_or(|id| id == peer_id(channel))
            && params
                .channel_id
                .is_none_or(|id| id.to_bytes() == channel.channel_id)
            && (scid.is_none() || scid == channel.short_channel_id || scid == channel.alias_local)
    };
    let mut channels = daemon.node().channels();
    channels.extend(daemon.node().closed_channels());
    let shown = channels
        .iter()
        .filter(|channel| wanted(channel))
        .map(|channel| {
            let to = sendpay_ledger::NodeId(channel.node_id.serialize());
            show(channel, sendpay_node::direction(&us, &to))
        });
    Ok(ListPeerChannelsResult {
        channels: shown.collect(),
    })
}

/// CLN's word for where a channel is in its life.
pub(super) fn state(channel: &Channel) -> &'static str {
    match channel.stage {
        ChannelStage::Opening => "CHANNELD_AWAITING_LOCKIN",
        ChannelStage::Normal => "CHANNELD_NORMAL",
        ChannelStage::ShuttingDown => "CHANNELD_SHUTTING_DOWN",
        ChannelStage::AgreeingOnFee => "CLOSINGD_SIGEXCHANGE",
        ChannelStage::Closed => "CLOSINGD_COMPLETE",
        ChannelStage::AwaitingUnilateral => "AWAITING_UNILATERAL",
        ChannelStage::OnChain => "ONCHAIN",
    }
}

pub(super) fn peer_id(channel: &Channel) -> NodeId {
    NodeId::from_bytes(channel.node_id.serialize())
}

/// A txid as people read it: the reverse of its bytes.
pub(super) fn txid(txid: bitcoin::Txid) -> Hash32 {
    let mut bytes = txid.to_byte_array();
    bytes.reverse();
    Hash32::from_bytes(bytes)
}

fn show(channel: &Channel, direction: u8) -> PeerChannel {
    // Of a closed one only what is written of it is known.
    let open = channel.closer_local.is_none();
    let told = |amount: Msat| open.then_some(amount);
    let end = |local: bool| if local { "local" } else { "remote" }.to_owned();
    let minimum_out = channel.htlc_minimum_out_msat.unwrap_or(0);
    let maximum_out = channel.htlc_maximum_out_msat.unwrap_or(channel.total_msat);
    let (least, most) = (channel.htlc_minimum_msat, channel.total_msat);
    let remote = channel.remote_terms.map(|terms| ForwardTerms {
        htlc_minimum_msat: Msat(terms.htlc_msat.map_or(least, |(least, _)| least)),
        htlc_maximum_msat: Msat(terms.htlc_msat.map_or(most, |(_, most)| most)),
        cltv_expiry_delta: u32::from(terms.cltv_expiry_delta),
        fee_base_msat: Msat(u64::from(terms.fee_base_msat)),
        fee_proportional_millionths: terms.fee_proportional_millionths,
    });
    let terms = ForwardTerms {
        htlc_minimum_msat: Msat(minimum_out),
        // LDK tells others no more than nine tenths of the channel.
        htlc_maximum_msat: Msat(maximum_out.min(channel.total_msat / 10 * 9)),
        cltv_expiry_delta: u32::from(channel.cltv_expiry_delta),
        fee_base_msat: Msat(u64::from(channel.fee_base_msat)),
        fee_proportional_millionths: channel.fee_proportional_millionths,
    };
    PeerChannel {
        peer_id: peer_id(channel),
        peer_connected: channel.connected,
        state: state(channel).to_owned(),
        reestablished: channel.usable,
        channel_type: Some(channel_type(&channel.type_bits)),
        feerate: channel.feerate_per_kw.map(|perkw| ChannelFeerate {
            perkw,
            perkb: perkw.saturating_mul(WEIGHT_A_BYTE),
        }),
        updates: open.then_some(Updates {
            local: Some(terms),
            remote,
        }),
        short_channel_id: channel.short_channel_id.map(Scid),
        direction: Some(direction),
        channel_id: Hash32::from_bytes(channel.channel_id),
        funding_txid: channel.funding.map(|funding| txid(funding.txid)),
        funding_outnum: channel.funding.map(|funding| funding.vout),
        private: !channel.announced,
        opener: end(channel.opener_local),
        closer: channel.closer_local.map(end),
        features: features(&channel.type_bits),
        funding: None,
        to_us_msat: Some(Msat(channel.to_us_msat)),
        total_msat: Some(Msat(channel.total_msat)),
        fee_base_msat: told(Msat(u64::from(channel.fee_base_msat))),
        fee_proportional_millionths: open.then_some(channel.fee_proportional_millionths),
        their_reserve_msat: told(Msat(channel.their_reserve_sat * 1_000)),
        our_reserve_msat: told(Msat(channel.our_reserve_sat * 1_000)),
        spendable_msat: Some(Msat(channel.htlc_limit_msat)),
        receivable_msat: Some(Msat(channel.receivable_msat)),
        minimum_htlc_in_msat: told(Msat(channel.htlc_minimum_msat)),
        minimum_htlc_out_msat: told(Msat(minimum_out)),
        maximum_htlc_out_msat: told(Msat(maximum_out)),
        their_to_self_delay: None,
        our_to_self_delay: channel.our_to_self_delay.map(u32::from),
        alias: open.then_some(Alias {
            local: channel.alias_local.map(Scid),
            remote: channel.alias_remote.map(Scid),
        }),
        htlcs: channel.htlcs.iter().map(htlc).collect(),
        status: Vec::new(),
    }
}

/// BOLT 9's names of the bits of a channel's type, as CLN writes those that it knows.
fn features(bits: &[u32]) -> Vec<String> {
    let name = |bit: &u32| match bit & !1 {
        12 => Some("option_static_remotekey"),
        20 => Some("option_anchor_outputs"),
        22 => Some("option_anchors"),
        46 => Some("option_scid_alias"),
        50 => Some("option_zeroconf"),
        _ => None,
    };
    let names = bits.iter().filter_map(name);
    names.map(ToOwned::to_owned).collect()
}

fn htlc(htlc: &sendpay_node::Htlc) -> Htlc {
    let direction = if htlc.outgoing { "out" } else { "in" };
    // CLN names who sent which message last.
    let state = match (htlc.outgoing, htlc.stage) {
        (true, HtlcStage::Queued) => "SENT_ADD_HTLC",
        (true, HtlcStage::Adding) => "SENT_ADD_COMMIT",
        (true, HtlcStage::Committed) => "SENT_ADD_ACK_REVOCATION",
        (true, HtlcStage::Removing) => "SENT_REMOVE_ACK_COMMIT",
        (false, HtlcStage::Queued | HtlcStage::Adding) => "SENT_ADD_ACK_COMMIT",
        (false, HtlcStage::Committed) => "RCVD_ADD_ACK_REVOCATION",
        (false, HtlcStage::Removing) => "SENT_REMOVE_COMMIT",
    };
    Htlc {
        direction: direction.to_owned(),
        id: htlc.id.unwrap_or(0),
        amount_msat: Msat(htlc.amount_msat),
        expiry: htlc.cltv_expiry,
        payment_hash: Hash32::from_bytes(htlc.payment_hash),
        state: state.to_owned(),
    }
}
