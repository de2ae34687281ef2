//! What on-chain methods share: addresses, outputs and fee rates as requests name them.

use bitcoin::address::NetworkUnchecked;
use bitcoin::hashes::Hash;
use bitcoin::{Address, FeeRate, OutPoint, ScriptBuf, Txid};
use sendpay_rpc::value::{Feerate, FeerateName, Hash32, Outpoint, PlainText};
use sendpay_rpc::{Code, RpcError};

use crate::daemon::Daemon;

/// CLN's targets for its words, in blocks.
const SLOW: u32 = 100;
const NORMAL: u32 = 12;
const URGENT: u32 = 6;

/// The script of the address in this parameter; CLN's words for one that is none.
pub(super) fn address(
    daemon: &Daemon,
    parameter: &str,
    text: &PlainText,
) -> Result<ScriptBuf, RpcError> {
    let address: Address<NetworkUnchecked> = text.as_str().parse().map_err(|_| {
        let text =
            format!("Could not parse destination address, {parameter} should be a valid address");
        RpcError::new(Code::Lightningd, text)
    })?;
    let address = address.require_network(daemon.network()).map_err(|_| {
        let network = daemon.network_name();
        let text = format!("Destination address is not on network {network}");
        RpcError::new(Code::Lightningd, text)
    })?;
    Ok(address.script_pubkey())
}

/// The id of a transaction; they are shown in the reverse of their bytes.
pub(super) fn txid(shown: Hash32) -> Txid {
    let mut bytes = shown.to_bytes();
    bytes.reverse();
    Txid::from_byte_array(bytes)
}

/// An output.
pub(super) fn outpoint(outpoint: &Outpoint) -> OutPoint {
    OutPoint {
        txid: txid(outpoint.txid),
        vout: outpoint.output,
    }
}

/// What a rate comes to now.
pub(super) fn feerate(daemon: &Daemon, rate: Feerate) -> FeeRate {
    FeeRate::from_sat_per_kwu(u64::from(sat_per_kw(daemon, rate)))
}

fn sat_per_kw(daemon: &Daemon, rate: Feerate) -> u32 {
    let fees = daemon.node().fees();
    match rate {
        Feerate::PerKw(rate) => rate,
        Feerate::Blocks(blocks) => fees.within_blocks_sat_per_kw(blocks),
        Feerate::Named(name) => match name {
            FeerateName::Opening => fees.on_chain_payment_sat_per_kw(),
            FeerateName::MutualClose => fees.mutual_close_sat_per_kw(),
            FeerateName::UnilateralClose => fees.commitment_sat_per_kw(),
            FeerateName::UnilateralAnchorClose => fees.anchor_commitment_sat_per_kw(),
            FeerateName::Penalty => fees.urgent_sat_per_kw(),
            FeerateName::Slow => fees.within_blocks_sat_per_kw(SLOW),
            FeerateName::Normal => fees.within_blocks_sat_per_kw(NORMAL),
            FeerateName::Urgent => fees.within_blocks_sat_per_kw(URGENT),
            FeerateName::Minimum => fees.floor_sat_per_kw(),
        },
    }
}
