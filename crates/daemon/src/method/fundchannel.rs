//! `fundchannel`.

use std::sync::Arc;

use bitcoin::Amount;
use bitcoin::consensus::encode::serialize;
use sendpay_node::OpenChannel;
use sendpay_rpc::RpcError;
use sendpay_rpc::method::fundchannel::{ChannelType, FundChannel, FundChannelResult};
use sendpay_rpc::value::{Hash32, HexBytes, Sat, SatOrAll};

use super::listpeerchannels::txid;
use super::onchain;
use crate::daemon::{Daemon, public_key};
use crate::error;
use crate::server::Notifier;
use crate::steps;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: FundChannel,
    notifier: Option<Notifier>,
) -> Result<FundChannelResult, RpcError> {
    not_built(&params)?;
    let node_id =
        public_key(params.id).ok_or_else(|| RpcError::bad_param("id", "should be a node id"))?;
    let amount = match params.amount {
        SatOrAll::All => None,
        SatOrAll::Sat(sat) => Some(Amount::from_sat(sat)),
    };
    let outputs = params.utxos.as_ref();
    let close_to = params.close_to.as_ref();
    let close_to = close_to.map(|text| onchain::address(daemon, "close_to", text));
    let open = OpenChannel {
        node_id,
        amount,
        push_msat: params.push_msat.map_or(0, |amount| amount.0),
        announce: params.announce,
        feerate: params.feerate.map(|rate| onchain::feerate(daemon, rate)),
        confirmations_min: params.minconf,
        outputs: outputs.map(|outputs| outputs.0.iter().map(onchain::outpoint).collect()),
        depth_min: params.mindepth.unwrap_or(0),
        reserve: params.reserve.map(|Sat(sat)| Amount::from_sat(sat)),
        close_to: close_to.transpose()?,
        steps: None,
    };
    let opened = steps::tell(notifier, steps::opening, |steps| {
        let open = OpenChannel { steps, ..open };
        daemon.node().open_channel(open)
    });
    let opened = opened.await.map_err(|cause| error::open(&cause))?;
    Ok(FundChannelResult {
        tx: HexBytes(serialize(&opened.transaction)),
        txid: txid(opened.outpoint.txid),
        outnum: opened.outpoint.vout,
        channel_id: Hash32::from_bytes(opened.channel_id),
        channel_type: channel_type(&opened.type_bits),
        close_to: opened.close_to.map(|script| HexBytes(script.into_bytes())),
        mindepth: opened.confirmations_required,
    })
}

/// Parameters of CLN's that would change what happens and that LDK has nothing for.
fn not_built(params: &FundChannel) -> Result<(), RpcError> {
    let leases = "LDK leases no liquidity";
    let given = [
        ("request_amt", params.request_amt.is_some(), leases),
        ("compact_lease", params.compact_lease.is_some(), leases),
        (
            "channel_type",
            params.channel_type.is_some(),
            "LDK chooses it by what both ends can do",
        ),
    ];
    match given.iter().find(|(_, given, _)| *given) {
        None => Ok(()),
        Some((name, _, why)) => Err(RpcError::invalid_params(format!(
            "{name}: not supported: {why}"
        ))),
    }
}

/// The bits of a channel's type with BOLT 9's names.
pub(super) fn channel_type(bits: &[u32]) -> ChannelType {
    let name = |bit: &u32| match bit & !1 {
        12 => "static_remotekey",
        20 => "anchor_outputs",
        22 => "anchors",
        46 => "scid_alias",
        50 => "zeroconf",
        _ => "unknown",
    };
    let kind = |bit: &u32| if bit.is_multiple_of(2) { "even" } else { "odd" };
    ChannelType {
        bits: bits.to_vec(),
        names: bits
            .iter()
            .map(|bit| format!("{}/{}", name(bit), kind(bit)))
            .collect(),
    }
}
