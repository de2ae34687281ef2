//! Blocks as they come and go: followed, slept through, waited for.

use std::sync::Mutex;
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Network};
use lightning::chain::transaction::TransactionData;
use lightning::chain::{BlockLocator, Listen};
use lightning_block_sync::init::{synchronize_listeners, validate_best_block_header};
use lightning_block_sync::poll::ChainPoller;
use lightning_block_sync::{HeaderCache, SpvClient};

use super::{Backend, PATIENCE, address, other_address};
use crate::client::ChainClient;

/// Writes down what it hears.
#[derive(Default)]
pub(super) struct Recorder(Mutex<Vec<Heard>>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Connected(u32, BlockHash),
    DisconnectedTo(u32, BlockHash),
}

impl Recorder {
    pub(super) fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Listen for Recorder {
    fn filtered_block_connected(&self, header: &Header, _: &TransactionData<'_>, height: u32) {
        self.0
            .lock()
            .unwrap()
            .push(Heard::Connected(height, header.block_hash()));
    }

    fn blocks_disconnected(&self, fork: BlockLocator) {
        self.0
            .lock()
            .unwrap()
            .push(Heard::DisconnectedTo(fork.height, fork.block_hash));
    }
}

/// The blocks of a best chain from a height on, as they would be heard.
pub(super) fn connected(first: u32, hashes: &[BlockHash]) -> Vec<Heard> {
    (first..)
        .zip(hashes)
        .map(|(height, hash)| Heard::Connected(height, *hash))
        .collect()
}

pub(super) async fn a_light_client_follows_the_chain_through_a_reorganisation<B: Backend>() {
    let directory = tempfile::tempdir().unwrap();
    let chain = B::start(directory.path()).await;
    let client = ChainClient::connect(chain.config()).await.unwrap();
    let recorder = Recorder::default();
    let source = client.block_source();
    let tip = validate_best_block_header(source.clone()).await.unwrap();
    let poller = ChainPoller::new(source, Network::Regtest);
    let mut spv = SpvClient::new(tip, poller, HeaderCache::new(), &recorder);

    let mut hashes = client.generate_to_address(5, &address()).await.unwrap();
    spv.poll_best_tip().await.unwrap();
    assert_eq!(recorder.take(), connected(1, &hashes));

    // The last three give way to four.
    client.invalidate_block(hashes[2]).await.unwrap();
    hashes.truncate(2);
    let other = other_address();
    let new = client.generate_to_address(4, &other).await.unwrap();
    spv.poll_best_tip().await.unwrap();
    let mut expected = vec![Heard::DisconnectedTo(2, hashes[1])];
    expected.extend(connected(3, &new));
    assert_eq!(recorder.take(), expected);
    spv.poll_best_tip().await.unwrap();
    assert_eq!(recorder.take(), []);
}

pub(super) async fn a_listener_that_slept_through_a_reorganisation_is_brought_up_to_date<
    B: Backend,
>() {
    let directory = tempfile::tempdir().unwrap();
    let chain = B::start(directory.path()).await;
    let client = ChainClient::connect(chain.config()).await.unwrap();
    let old = client.generate_to_address(4, &address()).await.unwrap();
    client.invalidate_block(old[1]).await.unwrap();
    let other = other_address();
    let new = client.generate_to_address(5, &other).await.unwrap();

    let recorder = Recorder::default();
    let left_at = BlockLocator::new(old[3], 4);
    let listeners = vec![(left_at, &recorder as &dyn Listen)];
    let (_, tip) = synchronize_listeners(client.block_source(), Network::Regtest, listeners)
        .await
        .unwrap();
    assert_eq!((tip.header.block_hash(), tip.height), (new[4], 6));
    let mut expected = vec![Heard::DisconnectedTo(1, old[0])];
    expected.extend(connected(2, &new));
    assert_eq!(recorder.take(), expected);
}

pub(super) async fn a_wait_returns_with_the_block_and_not_before<B: Backend>() {
    let directory = tempfile::tempdir().unwrap();
    let chain = B::start(directory.path()).await;
    let client = ChainClient::connect(chain.config()).await.unwrap();
    let known = client.best_block().await.unwrap();
    assert_eq!(
        client
            .wait_for_block(known.hash, Duration::from_millis(5))
            .await
            .unwrap(),
        known
    );
    let address = address();
    let (waited, made) = tokio::join!(
        client.wait_for_block(known.hash, PATIENCE),
        client.generate_to_address(1, &address)
    );
    assert_eq!(waited.unwrap().hash, made.unwrap()[0]);
    let unknown = BlockHash::all_zeros();
    assert_eq!(
        client
            .wait_for_block(unknown, PATIENCE)
            .await
            .unwrap()
            .height,
        1
    );
}
