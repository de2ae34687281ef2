//! `newaddr`.

use std::sync::Arc;

use sendpay_node::AddressKind;
use sendpay_rpc::RpcError;
use sendpay_rpc::method::newaddr::{NewAddr, NewAddrResult};
use sendpay_rpc::value::AddressType;

use crate::daemon::Daemon;
use crate::error;

pub(super) async fn run(daemon: &Arc<Daemon>, params: NewAddr) -> Result<NewAddrResult, RpcError> {
    let (bech32, p2tr) = match params.addresstype {
        AddressType::Bech32 => (true, false),
        AddressType::P2tr => (false, true),
        AddressType::All => (true, true),
    };
    Ok(NewAddrResult {
        bech32: address(daemon, bech32, AddressKind::P2wpkh).await?,
        p2tr: address(daemon, p2tr, AddressKind::P2tr).await?,
    })
}

async fn address(
    daemon: &Arc<Daemon>,
    is_wanted: bool,
    kind: AddressKind,
) -> Result<Option<String>, RpcError> {
    if !is_wanted {
        return Ok(None);
    }
    let made = daemon.node().new_address(kind).await;
    let address = made.map_err(|cause| error::fund(&cause))?;
    Ok(Some(address.to_string()))
}
