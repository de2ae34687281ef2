//! `close`.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::consensus::encode::serialize;
use sendpay_node::{Channel, ChannelStage, CloseChannel, CloseStep, Closing};
use sendpay_rpc::method::close::{Close, CloseResult};
use sendpay_rpc::value::{FeerateRange, Hash32, HexBytes, PlainText};
use sendpay_rpc::{Code, RpcError};

use super::listpeerchannels::txid;
use super::{find_channel, onchain};
use crate::daemon::Daemon;
use crate::error;
use crate::server::Notifier;
use crate::steps;

const CAN_CLOSE: [ChannelStage; 5] = [
    ChannelStage::Opening,
    ChannelStage::Normal,
    ChannelStage::ShuttingDown,
    ChannelStage::AgreeingOnFee,
    // LDK drops it in the same moment.
    ChannelStage::Closed,
];

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: Close,
    notifier: Option<Notifier>,
) -> Result<CloseResult, RpcError> {
    let channel = the_channel(daemon, &params)?;
    let destination = params.destination.as_ref();
    let destination = destination
        .map(|text| onchain::address(daemon, "destination", text))
        .transpose()?;
    params
        .fee_negotiation_step
        .as_ref()
        .map_or(Ok(()), check_step)?;
    if params.wrong_funding.is_some() {
        let text = "wrong_funding feature not negotiated";
        return Err(RpcError::invalid_params(text));
    }
    let range = params.feerange.as_ref();
    let feerate_min = range
        .map(|range| least_feerate(daemon, range, &channel))
        .transpose()?;
    let timeout = u64::from(params.unilateraltimeout);
    let close = CloseChannel {
        node_id: channel.node_id,
        channel_id: channel.channel_id,
        unilateral_after: (timeout > 0).then(|| Duration::from_secs(timeout)),
        destination,
        feerate_min,
        steps: None,
    };
    let words = |step: &CloseStep| steps::closing(*step, timeout);
    let closed = steps::tell(notifier, words, |steps| {
        let close = CloseChannel { steps, ..close };
        daemon.node().close_channel(close)
    });
    let closed = closed.await.map_err(|cause| error::close(&cause))?;
    let kind = match closed.closing {
        Closing::Mutual => "mutual",
        Closing::Unilateral => "unilateral",
        Closing::Unopened => "unopened",
    };
    let opened = closed.closing != Closing::Unopened;
    let txs: Vec<HexBytes> = closed
        .transactions
        .iter()
        .map(|transaction| HexBytes(serialize(transaction)))
        .collect();
    let txids: Vec<Hash32> = closed
        .transactions
        .iter()
        .map(|transaction| txid(transaction.compute_txid()))
        .collect();
    Ok(CloseResult {
        tx: txs.first().cloned(),
        txid: txids.first().copied(),
        txs: opened.then_some(txs),
        txids: opened.then_some(txids),
        kind: kind.to_owned(),
    })
}

fn the_channel(daemon: &Daemon, params: &Close) -> Result<Channel, RpcError> {
    let none = "Peer has no active channel";
    let mut found = find_channel::find(daemon, params.id, &CAN_CLOSE, none)?.into_iter();
    match (found.next(), found.next()) {
        (Some(channel), None) => Ok(channel),
        _ => {
            let text = "Peer has multiple channels: use channel_id or short_channel_id";
            Err(RpcError::new(Code::Lightningd, text))
        }
    }
}

/// CLN's checks.
fn check_step(text: &PlainText) -> Result<(), RpcError> {
    let text = text.as_str();
    let wrong = |why: &str| {
        let text = format!("Wrong value given for fee_negotiation_step: \"{text}\", {why}");
        Err(RpcError::invalid_params(text))
    };
    let digits = text.find(|letter: char| !letter.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    let number: u64 = match number {
        "" => 0,
        digits => digits.parse().unwrap_or(u64::MAX),
    };
    match (number, unit) {
        (0, _) => wrong("must be positive"),
        (101.., "%") => wrong("the percentage should be between 1 and 100"),
        (_, "" | "%") => Ok(()),
        _ => wrong("should be an integer or an integer followed by %"),
    }
}

/// The least of the range. If the channel is ours, we pay, and LDK may go as far as its own estimate.
fn least_feerate(
    daemon: &Daemon,
    range: &FeerateRange,
    channel: &Channel,
) -> Result<bitcoin::FeeRate, RpcError> {
    let min = onchain::feerate(daemon, range.min);
    let max = onchain::feerate(daemon, range.max);
    if max < min {
        let text = "feerange: the second should not be below the first";
        return Err(RpcError::invalid_params(text));
    }
    let own = u64::from(daemon.node().fees().commitment_sat_per_kw());
    if channel.opener_local && max.to_sat_per_kwu() < own {
        return Err(RpcError::invalid_params(format!(
            "feerange: a maximum below {own}perkw cannot be kept: LDK offers up to that and 1000 sat"
        )));
    }
    Ok(min)
}
