//! An embedded chain in the test's own process, and what a test makes it do.

use std::path::Path;

use sendpay_chain::client::{Auth, ChainClient, ChainConfig};
use sendpay_chain::regtest::Regtest;
use tokio::runtime::Runtime;

/// A key of nobody: blocks that no node should be paid by.
const NOBODY: &str = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";

/// The chain of one test, in the test's own process.
pub struct Chain {
    runtime: Runtime,
    regtest: Option<Regtest>,
    client: ChainClient,
}

impl Chain {
    pub fn start(dir: &Path) -> Chain {
        let runtime = Runtime::new().unwrap();
        let (regtest, client) = runtime.block_on(serve(&dir.join("chain")));
        Chain {
            runtime,
            regtest: Some(regtest),
            client,
        }
    }

    /// Ends the chain's server, as if bitcoind were down. It comes back at the same port.
    pub fn stop(&mut self) {
        let regtest = self.regtest.take().unwrap();
        self.runtime.block_on(regtest.stop());
    }

    /// Starts it again. `dir` is the one it was started in.
    pub fn resume(&mut self, dir: &Path) {
        let (regtest, client) = self.runtime.block_on(serve(&dir.join("chain")));
        self.regtest = Some(regtest);
        self.client = client;
    }

    pub fn settings(&self) -> Vec<String> {
        let regtest = self.regtest.as_ref().unwrap();
        vec![
            format!("chain.rpc_address={}", regtest.rpc_address()),
            format!("chain.cookie_file={}", regtest.cookie_file().display()),
        ]
    }

    pub fn height(&self) -> u32 {
        self.runtime
            .block_on(self.client.best_block())
            .unwrap()
            .height
    }

    /// Mines to an address.
    pub fn mine_to(&self, count: u32, address: &str) {
        let address = address
            .parse::<bitcoin::Address<_>>()
            .unwrap()
            .assume_checked();
        self.runtime
            .block_on(self.client.generate_to_address(count, &address))
            .unwrap();
    }

    /// Mines blocks that pay nobody in the test.
    pub fn mine(&self, count: u32) {
        self.mine_to(count, NOBODY);
    }

    /// Takes the newest blocks away and mines others, one more, in their place.
    pub fn reorganise(&self, depth: u32) {
        let best = self.runtime.block_on(self.client.best_block()).unwrap();
        let mut hash = best.hash;
        for _ in 1..depth {
            let block = self.runtime.block_on(async {
                use lightning_block_sync::BlockSource;
                self.client
                    .block_source()
                    .get_header(&hash, None)
                    .await
                    .unwrap()
            });
            hash = block.header.prev_blockhash;
        }
        self.runtime
            .block_on(self.client.invalidate_block(hash))
            .unwrap();
        self.mine(depth + 1);
    }
}

async fn serve(dir: &Path) -> (Regtest, ChainClient) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let regtest = Regtest::start(dir, listen).await.unwrap();
    let config = ChainConfig {
        rpc_address: regtest.rpc_address().to_string(),
        auth: Auth::CookieFile(regtest.cookie_file()),
        network: bitcoin::Network::Regtest,
    };
    let client = ChainClient::connect(config).await.unwrap();
    (regtest, client)
}

impl Drop for Chain {
    fn drop(&mut self) {
        if let Some(regtest) = self.regtest.take() {
            self.runtime.block_on(regtest.stop());
        }
    }
}
