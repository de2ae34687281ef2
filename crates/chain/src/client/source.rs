//! The client as a source of blocks and unspent outputs for `lightning-block-sync`.

use bitcoin::{BlockHash, OutPoint};
use lightning_block_sync::gossip::UtxoSource;
use lightning_block_sync::{
    BlockData, BlockHeaderData, BlockSource, BlockSourceError, BlockSourceResult,
};
use serde_json::{Value, json};

use super::{CallError, ChainClient};

impl From<CallError> for BlockSourceError {
    /// What makes no sense will make none the next time; all else may be asked again.
    fn from(error: CallError) -> Self {
        match error {
            CallError::Malformed { .. } => BlockSourceError::persistent(error),
            _ => BlockSourceError::transient(error),
        }
    }
}

impl BlockSource for ChainClient {
    async fn get_header<'a>(
        &'a self,
        header_hash: &'a BlockHash,
        height_hint: Option<u32>,
    ) -> BlockSourceResult<BlockHeaderData> {
        let method = "getblockheader";
        if let Some(electrum) = self.electrum() {
            let found = electrum.header(header_hash, height_hint).await;
            return found
                .map_err(CallError::from)?
                .ok_or_else(|| BlockSourceError::transient("the servers do not have this block"));
        }
        let connection = &self.bitcoind(method)?.connection;
        Ok(connection.call(method, &[json!(header_hash)]).await?)
    }

    async fn get_block<'a>(&'a self, header_hash: &'a BlockHash) -> BlockSourceResult<BlockData> {
        let method = "getblock";
        if self.electrum().is_some() {
            // Its transactions are found by who watches for them, before.
            let data = self.get_header(header_hash, None).await?;
            return Ok(BlockData::HeaderOnly(data.header));
        }
        let params = [json!(header_hash), json!(0)];
        let connection = &self.bitcoind(method)?.connection;
        Ok(BlockData::FullBlock(
            connection.call(method, &params).await?,
        ))
    }

    async fn get_best_block(&self) -> BlockSourceResult<(BlockHash, Option<u32>)> {
        let method = "getblockchaininfo";
        if let Some(electrum) = self.electrum() {
            // The one for which transactions were looked up, and none that came since.
            let tip = electrum.last_best().await.map_err(CallError::from)?;
            return Ok((tip.header.block_hash(), Some(tip.height)));
        }
        Ok(self.bitcoind(method)?.connection.call(method, &[]).await?)
    }
}

impl UtxoSource for ChainClient {
    async fn get_block_hash_by_height(&self, block_height: u32) -> BlockSourceResult<BlockHash> {
        let method = "getblockhash";
        let connection = &self.bitcoind(method)?.connection;
        Ok(connection.call(method, &[json!(block_height)]).await?)
    }

    async fn is_output_unspent(&self, outpoint: OutPoint) -> BlockSourceResult<bool> {
        let params = [json!(outpoint.txid), json!(outpoint.vout), json!(false)];
        let output: Value = self.call("gettxout", &params).await?;
        Ok(!output.is_null())
    }
}
