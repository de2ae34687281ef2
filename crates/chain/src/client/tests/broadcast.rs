//! Transactions on their way out: taken, refused, sent again.

use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, Transaction};
use lightning::chain::chaininterface::{BroadcasterInterface, TransactionType};
use lightning_block_sync::gossip::UtxoSource;

use super::refusing::refusing_bitcoind;
use super::{Backend, PATIENCE, address, spend, spend_coinbase, spend_first};
use crate::client::broadcast::parents_first;
use crate::client::{BroadcastError, Broadcaster, ChainClient};

/// It may have the transaction from before it was started again.
#[tokio::test]
async fn a_bitcoind_that_starts_refuses_no_transaction() {
    let client = ChainClient::connect(refusing_bitcoind().await)
        .await
        .unwrap();
    let transaction = Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: Vec::new(),
        output: Vec::new(),
    };
    let sent = client.broadcast(&transaction).await;
    let unavailable = matches!(sent, Err(BroadcastError::Unavailable(_)));
    assert!(unavailable, "{sent:?}");
}

pub(super) async fn broadcasts_succeed_refuse_and_know_what_was_sent<B: Backend>() {
    let directory = tempfile::tempdir().unwrap();
    let chain = B::start(directory.path()).await;
    let client = ChainClient::connect(chain.config()).await.unwrap();
    let blocks = client.generate_to_address(102, &address()).await.unwrap();
    let payment = spend_coinbase(&client, blocks[0], 1_000).await;
    client.broadcast(&payment).await.unwrap();
    client.broadcast(&payment).await.unwrap();
    let outpoint = OutPoint {
        txid: payment.compute_txid(),
        vout: 0,
    };
    assert!(
        !client.is_output_unspent(outpoint).await.unwrap(),
        "not in a block yet"
    );
    client.generate_to_address(1, &address()).await.unwrap();
    client.broadcast(&payment).await.unwrap();
    assert!(client.is_output_unspent(outpoint).await.unwrap());

    let free = spend_coinbase(&client, blocks[1], 0).await;
    match client.broadcast(&free).await {
        Err(BroadcastError::Refused {
            txid,
            code: -26,
            message,
        }) => {
            assert_eq!(txid, free.compute_txid());
            assert!(
                message.starts_with("min relay fee not met, 0 < "),
                "{message}"
            );
        }
        other => panic!("{other:?}"),
    }
    // With a child that pays for it, in whatever order.
    let child = spend_first(&free, 2_000);
    client
        .broadcast_package(&[child.clone(), free.clone()])
        .await
        .unwrap();
    client.generate_to_address(1, &address()).await.unwrap();
    let outpoint = OutPoint {
        txid: child.compute_txid(),
        vout: 0,
    };
    assert!(client.is_output_unspent(outpoint).await.unwrap());
    client.broadcast_package(&[child]).await.unwrap();
}

/// Waits until an output is in a block, making blocks.
async fn mine_until_unspent(client: &ChainClient, transaction: &Transaction) {
    let outpoint = OutPoint {
        txid: transaction.compute_txid(),
        vout: 0,
    };
    let mined = async {
        while !client.is_output_unspent(outpoint).await.unwrap() {
            client.generate_to_address(1, &address()).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, mined).await.unwrap();
}

pub(super) async fn ldks_broadcaster_sends_from_any_thread_and_again_at_the_next_block<
    B: Backend,
>() {
    let directory = tempfile::tempdir().unwrap();
    let chain = B::start(directory.path()).await;
    let client = ChainClient::connect(chain.config()).await.unwrap();
    let blocks = client.generate_to_address(101, &address()).await.unwrap();
    let parent = spend_coinbase(&client, blocks[0], 1_000).await;
    let child = spend_first(&parent, 1_000);
    let orphan = spend_first(&child, 1_000);
    let broadcaster = Broadcaster::start(client.clone());

    // From a thread that knows no runtime, as LDK does.
    let from_ldk = broadcaster.clone();
    let first = orphan.clone();
    std::thread::spawn(move || {
        let kind = TransactionType::Sweep { channels: vec![] };
        from_ldk.broadcast_transactions(&[(&first, kind)]);
        from_ldk.broadcast_transactions(&[]);
    })
    .join()
    .unwrap();
    // It has no inputs yet and is refused; a package in the wrong order is not.
    let kind = || TransactionType::Sweep { channels: vec![] };
    broadcaster.broadcast_transactions(&[(&child, kind()), (&parent, kind())]);
    mine_until_unspent(&client, &orphan).await;
}

pub(super) async fn a_transaction_waits_for_a_server_that_is_down<B: Backend>() {
    let directory = tempfile::tempdir().unwrap();
    let chain = B::start(directory.path()).await;
    let client = ChainClient::connect(chain.config()).await.unwrap();
    let blocks = client.generate_to_address(101, &address()).await.unwrap();
    let payment = spend_coinbase(&client, blocks[0], 1_000).await;
    let broadcaster = Broadcaster::start(client.clone());
    chain.stop().await;
    assert!(broadcaster.enqueue(vec![payment.clone()]));
    let _again = B::start(directory.path()).await;
    mine_until_unspent(&client, &payment).await;
}

#[test]
fn parents_go_first_whatever_the_order() {
    let root = OutPoint {
        txid: bitcoin::Txid::all_zeros(),
        vout: 0,
    };
    let parent = spend(root, Amount::ONE_BTC, 1);
    let child = spend_first(&parent, 1);
    let grandchild = spend_first(&child, 1);
    let expected = [&parent, &child, &grandchild].map(Transaction::compute_txid);
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let family = [&parent, &child, &grandchild];
        let shuffled: Vec<Transaction> = order.iter().map(|index| family[*index].clone()).collect();
        let sorted: Vec<_> = parents_first(&shuffled)
            .into_iter()
            .map(Transaction::compute_txid)
            .collect();
        assert_eq!(sorted, expected, "{order:?}");
    }
}
