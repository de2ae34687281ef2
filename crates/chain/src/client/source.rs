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
        _height_hint: Option<u32>,
    ) -> BlockSourceResult<BlockHeaderData> {
        Ok(self
            .inner
            .connection
            .call("getblockheader", &[json!(header_hash)])
            .await?)
    }

    async fn get_block<'a>(&'a self, header_hash: &'a BlockHash) -> BlockSourceResult<BlockData> {
        let params = [json!(header_hash), json!(0)];
        Ok(BlockData::FullBlock(
            self.inner.connection.call("getblock", &params).await?,
        ))
    }

    async fn get_best_block(&self) -> BlockSourceResult<(BlockHash, Option<u32>)> {
        Ok(self.inner.connection.call("getblockchaininfo", &[]).await?)
    }
}

impl UtxoSource for ChainClient {
    async fn get_block_hash_by_height(&self, block_height: u32) -> BlockSourceResult<BlockHash> {
        Ok(self
            .inner
            .connection
            .call("getblockhash", &[json!(block_height)])
            .await?)
    }

    async fn is_output_unspent(&self, outpoint: OutPoint) -> BlockSourceResult<bool> {
        let params = [json!(outpoint.txid), json!(outpoint.vout), json!(false)];
        let output: Value = self.inner.connection.call("gettxout", &params).await?;
        Ok(!output.is_null())
    }
}
