//! `listfunds`.

use std::sync::Arc;

use sendpay_node::Coin;
use sendpay_rpc::RpcError;
use sendpay_rpc::method::listfunds::{FundsChannel, ListFunds, ListFundsResult, Output};
use sendpay_rpc::value::{Hash32, HexBytes, Msat, Scid};

use super::listpeerchannels::{peer_id, state, txid};
use crate::daemon::Daemon;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: ListFunds,
) -> Result<ListFundsResult, RpcError> {
    let node = daemon.node();
    let channels = node.channels().into_iter().chain(node.closed_channels());
    let channels = channels.filter_map(|channel| {
        let funding = channel.funding?;
        Some(FundsChannel {
            peer_id: peer_id(&channel),
            connected: channel.connected,
            state: state(&channel).to_owned(),
            channel_id: Hash32::from_bytes(channel.channel_id),
            short_channel_id: channel.short_channel_id.map(Scid),
            our_amount_msat: Msat(channel.to_us_msat),
            amount_msat: Msat(channel.total_msat),
            funding_txid: txid(funding.txid),
            funding_output: funding.vout,
        })
    });
    Ok(ListFundsResult {
        outputs: node.coins(params.spent).iter().map(output).collect(),
        channels: channels.collect(),
        emergency_msat: Msat(node.anchor_reserve().to_sat().saturating_mul(1_000)),
    })
}

fn output(coin: &Coin) -> Output {
    Output {
        txid: txid(coin.outpoint.txid),
        output: coin.outpoint.vout,
        amount_msat: Msat(coin.amount.to_sat() * 1_000),
        scriptpubkey: HexBytes(coin.script.to_bytes()),
        address: coin.address.as_ref().map(ToString::to_string),
        status: match (coin.spent, coin.height, coin.immature) {
            (true, _, _) => "spent",
            (false, None, _) => "unconfirmed",
            (false, Some(_), true) => "immature",
            (false, Some(_), false) => "confirmed",
        }
        .to_owned(),
        blockheight: coin.height,
        reserved: coin.reserved,
    }
}
