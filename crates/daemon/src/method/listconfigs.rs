//! `listconfigs`.

use std::sync::Arc;

use sendpay_rpc::RpcError;
use sendpay_rpc::method::listconfigs::{ListConfigs, ListConfigsResult};

use crate::daemon::Daemon;

pub(super) async fn run(
    daemon: &Arc<Daemon>,
    params: ListConfigs,
) -> Result<ListConfigsResult, RpcError> {
    let mut configs = daemon.configs();
    if let Some(name) = params.config {
        configs.retain(|known, _| known == name.as_str());
        if configs.is_empty() {
            return Err(RpcError::bad_param("config", "Unknown config option"));
        }
    }
    Ok(ListConfigsResult { configs })
}
