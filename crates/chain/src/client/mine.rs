//! Makes and unmakes blocks: for regtest only, where blocks come on request.

use std::time::Duration;

use bitcoin::{Address, BlockHash};
use serde_json::{Value, json};

use super::ChainClient;
use super::connection::CallError;

impl ChainClient {
    /// Makes blocks that pay an address; their hashes.
    ///
    /// # Errors
    ///
    /// The chain could not be asked (it may have made them all the same), or refused.
    pub async fn generate_to_address(
        &self,
        count: u32,
        address: &Address,
    ) -> Result<Vec<BlockHash>, CallError> {
        let method = "generatetoaddress";
        let params = [json!(count), json!(address.to_string())];
        // On a connection of its own and without a second try, which might make them twice.
        let hashes: Value = self
            .bitcoind(method)?
            .connection
            .call_alone(method, &params, Duration::ZERO)
            .await?;
        serde_json::from_value(hashes)
            .map_err(|error| CallError::malformed(method, error.to_string()))
    }

    /// Takes a block and all after it off the best chain.
    ///
    /// # Errors
    ///
    /// The chain could not be asked, or does not know the block.
    pub async fn invalidate_block(&self, hash: BlockHash) -> Result<(), CallError> {
        self.call("invalidateblock", &[json!(hash)])
            .await
            .map(|_| ())
    }

    /// Takes [`ChainClient::invalidate_block`] back.
    ///
    /// # Errors
    ///
    /// The chain could not be asked, or does not know the block.
    pub async fn reconsider_block(&self, hash: BlockHash) -> Result<(), CallError> {
        self.call("reconsiderblock", &[json!(hash)])
            .await
            .map(|_| ())
    }
}
