//! `getinfo`.

use std::sync::Arc;

use sendpay_backup::RECOVERED;
use sendpay_ledger::Warning;
use sendpay_node::{AnnouncedAddress, DeepReorganisation, RecoveryView, Short};
use sendpay_rpc::RpcError;
use sendpay_rpc::method::getinfo::{Address, GetInfo, GetInfoResult};
use sendpay_rpc::value::{Hash32, Msat};

use crate::convert::node_id;
use crate::daemon::Daemon;
use crate::error;

pub(super) async fn run(daemon: &Arc<Daemon>, _: GetInfo) -> Result<GetInfoResult, RpcError> {
    let node = daemon.node();
    let channels = node.channels();
    let count = |test: fn(&sendpay_node::Channel) -> bool| {
        u32::try_from(channels.iter().filter(|channel| test(channel)).count()).unwrap_or(u32::MAX)
    };
    let config = node.config();
    let [red, green, blue] = node.color();
    let warnings = node.ledger().warnings().map_err(error::read)?;
    let height = node.height();
    let unknown = node.ledger().imported_pending(RECOVERED);
    let unknown = unknown.map_err(error::read)?.len();
    let fees_collected_msat = node.ledger().forward_fees_msat().map_err(error::read)?;
    Ok(GetInfoResult {
        id: node_id(node.id()),
        alias: node.alias(),
        color: format!("{red:02x}{green:02x}{blue:02x}"),
        num_peers: u32::try_from(node.peers().len()).unwrap_or(u32::MAX),
        num_pending_channels: count(|channel| !channel.ready),
        num_active_channels: count(|channel| channel.ready && !channel.closing),
        num_inactive_channels: count(|channel| channel.ready && channel.closing),
        address: config.announce.iter().map(announced).collect(),
        binding: Some(node.listening().iter().map(address).collect()),
        version: concat!("sendpay-", env!("CARGO_PKG_VERSION")).to_owned(),
        blockheight: height,
        network: daemon.network_name().to_owned(),
        fees_collected_msat: Msat(fees_collected_msat),
        lightning_dir: daemon.network_dir().display().to_string(),
        our_features: None,
        warning_bitcoind_sync: daemon.chain_warning(),
        warning_lightningd_sync: blocks_missing(height, node.chain_view().best),
        warning_reorganisation: node.chain_view().deep.map(reorganisation),
        warning_fee_bump: short_of_coins(&node.short_of_coins()),
        warning_recovery: node.recovery().and_then(recovery),
        warning_unknown_payments: unknown_payments(unknown),
        warning_backup: daemon.backup_warning(),
        warning_late_preimage: late_preimages(&warnings),
    })
}

fn announced(announced: &AnnouncedAddress) -> Address {
    match announced {
        AnnouncedAddress::Ip(ip) => address(ip),
        AnnouncedAddress::Onion(name, port) => Address {
            kind: "torv3".to_owned(),
            address: name.clone(),
            port: *port,
        },
    }
}

fn address(address: &std::net::SocketAddr) -> Address {
    let kind = if address.is_ipv4() { "ipv4" } else { "ipv6" };
    Address {
        kind: kind.to_owned(),
        address: address.ip().to_string(),
        port: address.port(),
    }
}

/// CLN's words, and how far we are.
fn blocks_missing(height: u32, best: u32) -> Option<String> {
    (height < best).then(|| {
        format!("Still loading latest blocks from bitcoind: {height} of {best} have been read")
    })
}

fn reorganisation(deep: DeepReorganisation) -> String {
    format!(
        "{} blocks above height {} were taken back: payments that ended in them on chain may have \
         ended otherwise",
        deep.depth, deep.fork_height
    )
}

/// For which channels coins are lacking, and about how much.
fn short_of_coins(short: &[Short]) -> Option<String> {
    let lacking: Vec<String> = short.iter().map(lacking).collect();
    (!lacking.is_empty()).then(|| {
        format!(
            "fees cannot be raised, send coins to an address of newaddr: {}",
            lacking.join(", ")
        )
    })
}

fn lacking(short: &Short) -> String {
    let what = if short.of_htlcs {
        "HTLCs"
    } else {
        "commitment transaction"
    };
    format!(
        "{what} of channel {}: about {} sat for {}perkw, {} sat are there in blocks",
        Hash32::from_bytes(short.channel_id),
        short.needed.to_sat(),
        short.sat_per_kw,
        short.confirmed.to_sat()
    )
}

/// How far a recovery is, until it is done.
fn recovery(view: RecoveryView) -> Option<String> {
    let RecoveryView {
        open,
        closed,
        unswept_sat,
    } = view;
    (open > 0 || unswept_sat > 0).then(|| {
        format!(
            "{open} of {} lost channels are not closed by their peers; {unswept_sat}sat that closes \
             have paid are on their way into the wallet",
            open + closed
        )
    })
}

fn unknown_payments(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "{count} payments were pending when channel state was lost: this node cannot know how \
             they end. Once you do, tell by settleimported"
        )
    })
}

/// What breaks promise L4 is never silent.
fn late_preimages(warnings: &[Warning]) -> Option<String> {
    let hashes: Vec<String> = warnings
        .iter()
        .map(|Warning::LatePreimage { payment_hash, .. }| payment_hash.to_string())
        .collect();
    (!hashes.is_empty()).then(|| {
        format!(
            "recorded as failed and claimed all the same; not sent again: {}",
            hashes.join(", ")
        )
    })
}
