//! `newaddr`.

use std::sync::Arc;

use sendpay_rpc::RpcError;
use sendpay_rpc::method::newaddr::{NewAddr, NewAddrResult};
use sendpay_rpc::value::AddressType;

use crate::daemon::Daemon;
use crate::error;

pub(super) async fn run(daemon: &Arc<Daemon>, params: NewAddr) -> Result<NewAddrResult, RpcError> {
    if params.addresstype != AddressType::Bech32 {
        let text = "addresstype: this wallet makes 'bech32' addresses only, so far";
        return Err(RpcError::invalid_params(text));
    }
    let address = daemon
        .node()
        .new_address()
        .await
        .map_err(|cause| error::fund(&cause))?;
    Ok(NewAddrResult {
        bech32: Some(address.to_string()),
        p2tr: None,
    })
}
