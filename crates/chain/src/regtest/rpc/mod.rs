//! The part of bitcoind's JSON-RPC that a chain client uses, for the embedded chain.
//!
//! Names, parameters, results, error codes and HTTP statuses are those of Bitcoin Core 30; fields
//! that would have no meaning here (signet challenge, warnings of a network) are left out. One method is
//! our own: `setmempoolminfee`, as nobody fills this mempool. The methods are in one file for each
//! subject; this one lists them.

mod blocks;
mod control;
mod message;
mod mining;
mod params;
mod render;
pub(super) mod server;
mod transactions;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::chain::Chain;
use message::RpcError;
use params::Params;

/// What a method works on.
pub(super) struct Context<'a> {
    chain: &'a Chain,
    started: Instant,
}

impl Context<'_> {
    /// Our clock, seconds since 1970.
    fn now(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    /// Our clock as the header of a block has it.
    fn block_time(&self) -> u32 {
        u32::try_from(self.now()).unwrap_or(u32::MAX)
    }
}

type Run = fn(&Context<'_>, &Params) -> Result<Value, RpcError>;

/// A method: its name, its parameters in order, and what it does.
pub(super) struct Method {
    name: &'static str,
    parameters: &'static [&'static str],
    run: Run,
}

const fn method(name: &'static str, parameters: &'static [&'static str], run: Run) -> Method {
    Method {
        name,
        parameters,
        run,
    }
}

/// Every method that answers at once. `waitfornewblock` and `stop` are the server's own.
pub(super) const METHODS: &[Method] = &[
    method(
        "estimatesmartfee",
        &["conf_target", "estimate_mode"],
        mining::estimatesmartfee,
    ),
    method(
        "generateblock",
        &["output", "transactions", "submit"],
        mining::generateblock,
    ),
    method(
        "generatetoaddress",
        &["nblocks", "address", "maxtries"],
        mining::generatetoaddress,
    ),
    method("getbestblockhash", &[], blocks::getbestblockhash),
    method("getblock", &["blockhash", "verbosity"], blocks::getblock),
    method("getblockchaininfo", &[], blocks::getblockchaininfo),
    method("getblockcount", &[], blocks::getblockcount),
    method("getblockhash", &["height"], blocks::getblockhash),
    method(
        "getblockheader",
        &["blockhash", "verbose"],
        blocks::getblockheader,
    ),
    method("getmempoolentry", &["txid"], transactions::getmempoolentry),
    method("getmempoolinfo", &[], transactions::getmempoolinfo),
    method("getnetworkinfo", &[], control::getnetworkinfo),
    method("getrawmempool", &["verbose"], transactions::getrawmempool),
    method(
        "getrawtransaction",
        &["txid", "verbosity", "blockhash"],
        transactions::getrawtransaction,
    ),
    method(
        "gettxout",
        &["txid", "n", "include_mempool"],
        transactions::gettxout,
    ),
    method("help", &["command"], control::help),
    method("invalidateblock", &["blockhash"], blocks::invalidateblock),
    method("reconsiderblock", &["blockhash"], blocks::reconsiderblock),
    method(
        "sendrawtransaction",
        &["hexstring", "maxfeerate"],
        transactions::sendrawtransaction,
    ),
    method(
        "setmempoolminfee",
        &["feerate"],
        transactions::setmempoolminfee,
    ),
    method("submitblock", &["hexdata"], blocks::submitblock),
    method("submitpackage", &["package"], transactions::submitpackage),
    method(
        "testmempoolaccept",
        &["rawtxs", "maxfeerate"],
        transactions::testmempoolaccept,
    ),
    method("uptime", &[], control::uptime),
];

/// Waits for a new best block; see [`server`].
pub(super) const WAIT_FOR_NEW_BLOCK: &str = "waitfornewblock";

/// Its parameters: milliseconds to wait, 0 for ever; and the best block that the caller knows.
pub(super) const WAIT_PARAMETERS: &[&str] = &["timeout", "current_tip"];

/// Ends the server.
pub(super) const STOP: &str = "stop";

/// The method of a name.
pub(super) fn find(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// Names and parameters of all methods, as `help` shows them.
fn usages() -> Vec<(&'static str, String)> {
    let own = [
        (WAIT_FOR_NEW_BLOCK, WAIT_PARAMETERS),
        (STOP, &[] as &[&str]),
    ];
    let mut usages: Vec<_> = METHODS
        .iter()
        .map(|method| (method.name, method.parameters))
        .chain(own)
        .map(|(name, parameters)| (name, params::usage(name, parameters)))
        .collect();
    usages.sort_unstable();
    usages
}
