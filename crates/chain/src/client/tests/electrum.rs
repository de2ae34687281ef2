//! The client over Electrum servers: real ones above a real bitcoind, and one that lies between.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bitcoin::{Amount, BlockHash, Network, Transaction};
use lightning::chain::chaininterface::{ConfirmationTarget, FeeEstimator};
use lightning_block_sync::init::validate_best_block_header;
use lightning_block_sync::poll::ChainPoller;
use lightning_block_sync::{HeaderCache, SpvClient};

use super::between::{Between, Lie};
use super::electrs_process::{BITCOIND_OPTION, Electrs};
use super::follow::{Heard, Recorder, connected};
use super::process::Bitcoind;
use super::{PATIENCE, address, open_script, other_address, spend_coinbase};
use crate::client::{
    Auth, Best, BroadcastError, CallError, ChainClient, ChainConfig, Confirmed, ElectrumConfig,
    Found, TrustError,
};

/// A chain with an Electrum server above it.
struct Scene {
    dir: tempfile::TempDir,
    _bitcoind: Bitcoind,
    electrs: Electrs,
    core: ChainClient,
    door: (String, PathBuf),
}

impl Scene {
    async fn start() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let bitcoind = Bitcoind::start(&dir.path().join("bitcoind"), &[BITCOIND_OPTION]);
        let door = (bitcoind.rpc_address(), bitcoind.cookie_file());
        let electrs = Electrs::start(&dir.path().join("electrs"), &door.0, &door.1);
        let config = ChainConfig {
            rpc_address: door.0.clone(),
            auth: Auth::CookieFile(door.1.clone()),
            zmq: None,
            network: Network::Regtest,
        };
        let core = ChainClient::connect(config).await.unwrap();
        Scene {
            dir,
            _bitcoind: bitcoind,
            electrs,
            core,
            door,
        }
    }

    fn another(&self, name: &str) -> Electrs {
        Electrs::start(&self.dir.path().join(name), &self.door.0, &self.door.1)
    }

    fn url(&self) -> String {
        format!("tcp://{}", self.electrs.address())
    }

    async fn mine(&self, count: u32) -> Vec<BlockHash> {
        let made = self.core.generate_to_address(count, &address()).await;
        self.electrs.hurry();
        made.unwrap()
    }

    async fn height(&self) -> u32 {
        self.core.best_block().await.unwrap().height
    }

    /// Waits until the servers have the newest block.
    async fn caught_up(&self, client: &ChainClient) {
        let best = self.core.best_block().await.unwrap();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                // A server that has just begun is not there yet.
                let seen = client.best_block().await.ok();
                if seen == Some(best) {
                    return;
                }
                let known = seen.map_or(best.hash, |seen| seen.hash);
                drop(
                    client
                        .wait_for_block(known, Duration::from_millis(50))
                        .await,
                );
            }
        });
        waited.await.expect("the servers have the newest block");
    }

    /// Everything in blocks that pays anybody, as the client finds it.
    async fn found(&self, client: &ChainClient, found: &Found) -> Result<Vec<Confirmed>, String> {
        let scripts = [address().script_pubkey(), other_address().script_pubkey()];
        let electrum = client.electrum().unwrap();
        let confirmed = electrum.confirmed(&scripts, self.height().await, found);
        confirmed.await.map_err(|error| error.to_string())
    }
}

pub(super) fn config(servers: &[&str], certificates: Option<&Path>) -> ElectrumConfig {
    ElectrumConfig {
        servers: servers.iter().map(|url| url.parse().unwrap()).collect(),
        certificates: certificates.map(Path::to_owned),
        proxy: None,
        network: Network::Regtest,
    }
}

async fn connect(servers: &[&str]) -> ChainClient {
    let client = ChainClient::of_electrum(config(servers, None)).unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    // It is indexing.
    while let Err(error) = client.best_block().await {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client
}

/// The best block, if what the servers prove to be is believed.
async fn best(config: ElectrumConfig) -> Result<Best, String> {
    let client = ChainClient::of_electrum(config).unwrap();
    client.best_block().await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_light_client_follows_the_chain_through_a_reorganisation() {
    let scene = Scene::start().await;
    let mut hashes = scene.mine(5).await;
    let client = connect(&[&scene.url()]).await;
    scene.caught_up(&client).await;
    let recorder = Recorder::default();
    let source = client.block_source();
    let tip = validate_best_block_header(source.clone()).await.unwrap();
    assert_eq!(tip.height, 5);
    let poller = ChainPoller::new(source, Network::Regtest);
    let mut spv = SpvClient::new(tip, poller, HeaderCache::new(), &recorder);
    let more = scene.mine(3).await;
    scene.caught_up(&client).await;
    spv.poll_best_tip().await.unwrap();
    assert_eq!(recorder.take(), connected(6, &more));
    assert_eq!(client.block_hash(2).await.unwrap(), Some(hashes[1]));
    assert_eq!(client.block_hash(9).await.unwrap(), None);

    // The last five give way to six.
    scene.core.invalidate_block(hashes[3]).await.unwrap();
    hashes.truncate(3);
    let other = other_address();
    let new = scene.core.generate_to_address(6, &other).await.unwrap();
    scene.caught_up(&client).await;
    spv.poll_best_tip().await.unwrap();
    let mut expected = vec![Heard::DisconnectedTo(3, hashes[2])];
    expected.extend(connected(4, &new));
    assert_eq!(recorder.take(), expected);
    assert_eq!(client.block_hash(4).await.unwrap(), Some(new[0]));

    // What only bitcoind can do is refused by name.
    let refused = client.generate_to_address(1, &other).await.unwrap_err();
    assert!(refused.to_string().contains("Electrum"), "{refused}");
}

#[tokio::test]
async fn what_a_script_was_paid_is_found_in_its_block_once_and_again_in_another() {
    let scene = Scene::start().await;
    let hashes = scene.mine(102).await;
    let client = connect(&[&scene.url()]).await;
    let payment = spend_coinbase(&scene.core, hashes[0], 1_000).await;
    client.broadcast(&payment).await.unwrap();
    // It waits: sent once more, it is where it should be.
    client.broadcast(&payment).await.unwrap();
    let block = scene.mine(1).await[0];
    scene.caught_up(&client).await;

    let mut found = Found::new();
    let all = scene.found(&client, &found).await.unwrap();
    assert_eq!(all.len(), 104);
    let heights: Vec<u32> = all.iter().map(|one| one.height).collect();
    assert!(heights.is_sorted(), "{heights:?}");
    let last = all.last().unwrap();
    assert_eq!(last.transaction, payment);
    assert_eq!((last.height, last.position), (103, 1));
    assert_eq!(last.header.block_hash(), block);
    for one in &all {
        let place = (one.height, one.header.block_hash());
        found.insert(one.transaction.compute_txid(), place);
    }
    assert!(scene.found(&client, &found).await.unwrap().is_empty());

    // Its block gives way, and the next one has it.
    scene.core.invalidate_block(block).await.unwrap();
    let other = other_address();
    scene.core.generate_to_address(2, &other).await.unwrap();
    scene.caught_up(&client).await;
    let again = scene.found(&client, &found).await.unwrap();
    let payments: Vec<&Transaction> = again.iter().map(|one| &one.transaction).collect();
    assert!(payments.contains(&&payment));
    assert!(again.iter().all(|one| one.header.block_hash() != block));

    let double = spend_coinbase(&scene.core, hashes[0], 2_000).await;
    let refused = client.broadcast(&double).await;
    assert!(
        matches!(refused, Err(BroadcastError::Refused { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_median_time_is_bitcoinds() {
    let scene = Scene::start().await;
    scene.mine(20).await;
    let client = connect(&[&scene.url()]).await;
    scene.caught_up(&client).await;
    let state = client.state().await.unwrap();
    assert_eq!(
        state.median_time,
        scene.core.state().await.unwrap().median_time
    );
    assert_eq!(state.best.height, 20);
}

#[tokio::test]
async fn a_wait_ends_when_the_server_tells_of_a_block() {
    let scene = Scene::start().await;
    scene.mine(1).await;
    let client = connect(&[&scene.url()]).await;
    scene.caught_up(&client).await;
    let known = client.best_block().await.unwrap();
    let waiting = client.wait_for_block(known.hash, PATIENCE);
    let mined = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        scene.mine(1).await
    };
    let (best, mined) = tokio::join!(waiting, mined);
    assert_eq!(best.unwrap().hash, mined[0]);
}

#[tokio::test]
async fn a_certificate_is_believed_if_it_is_named_and_not_otherwise() {
    let scene = Scene::start().await;
    scene.mine(3).await;
    connect(&[&scene.url()]).await;
    let between = Between::start_tls(scene.electrs.address(), scene.dir.path());
    let url = between.url();

    let named = config(&[&url], Some(between.certificate()));
    assert_eq!(best(named).await.unwrap().height, 3);

    let text = best(config(&[&url], None)).await.unwrap_err();
    assert!(text.contains("certificate"), "{text}");

    // Another one for the same name.
    let other_dir = tempfile::tempdir().unwrap();
    let other = Between::start_tls(scene.electrs.address(), other_dir.path());
    let wrong = config(&[&url], Some(other.certificate()));
    let text = best(wrong).await.unwrap_err();
    assert!(text.contains("certificate"), "{text}");

    let nothing = scene.dir.path().join("empty.pem");
    std::fs::write(&nothing, "").unwrap();
    for file in [nothing, scene.dir.path().join("none.pem")] {
        let unread = ChainClient::of_electrum(config(&[&url], Some(&file)));
        assert!(matches!(unread.err(), Some(TrustError::File { .. })));
    }
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_ends_or_falls_silent() {
    let mut scene = Scene::start().await;
    scene.mine(3).await;
    let mut second = scene.another("second");
    let silent = Between::start(second.address());
    let urls = [scene.url(), silent.url()];
    let client = connect(&[&urls[0], &urls[1]]).await;
    scene.caught_up(&client).await;
    scene.electrs.kill();
    scene.core.generate_to_address(1, &address()).await.unwrap();
    scene.caught_up(&client).await;
    let troubles = client.electrum().unwrap().troubles();
    assert!(
        troubles.iter().any(|text| text.contains(&urls[0])),
        "{troubles:?}"
    );

    // The first is back, and the second answers no more.
    scene.electrs.resume();
    silent.tell(Lie::Silence);
    scene.core.generate_to_address(1, &address()).await.unwrap();
    scene.caught_up(&client).await;
    second.kill();
    scene.found(&client, &Found::new()).await.unwrap();
    let troubles = client.electrum().unwrap().troubles();
    assert!(
        troubles.iter().all(|text| !text.contains(&urls[0])),
        "{troubles:?}"
    );

    scene.electrs.kill();
    let error = client.best_block().await.unwrap_err();
    assert!(matches!(error, CallError::Electrum(_)), "{error}");
    let payment = spend_coinbase(
        &scene.core,
        scene.core.block_hash(1).await.unwrap().unwrap(),
        1,
    );
    let unsent = client.broadcast(&payment.await).await;
    assert!(
        matches!(unsent, Err(BroadcastError::Unavailable(_))),
        "{unsent:?}"
    );
}

#[tokio::test]
async fn nothing_is_believed_of_a_liar_and_the_next_server_is_asked() {
    let scene = Scene::start().await;
    scene.mine(10).await;
    let honest_url = scene.url();
    let honest = connect(&[&honest_url]).await;
    scene.caught_up(&honest).await;
    let expected = honest.best_block().await.unwrap();
    let truth = scene.found(&honest, &Found::new()).await.unwrap().len();
    for (lie, told) in [
        (Lie::TipWithoutWork, "without the work"),
        (Lie::HigherTip, "makes no sense"),
        (Lie::OtherHeaders, "not linked"),
        (Lie::OtherTransaction, "another transaction for"),
        (Lie::FalseProof, "is none"),
        (Lie::OtherPlace, "is none"),
        (Lie::TooOften, "excessive resource usage"),
        (Lie::NoJson, "no JSON"),
        (Lie::EndlessLine, "a line of more than"),
        (Lie::OtherNetwork, "first block"),
    ] {
        let between = Between::start(scene.electrs.address());
        between.tell(lie.clone());
        let url = between.url();
        let alone = async {
            let client = ChainClient::of_electrum(config(&[&url], None)).unwrap();
            let best = client
                .best_block()
                .await
                .map_err(|error| error.to_string())?;
            scene.found(&client, &Found::new()).await?;
            Ok::<_, String>(best)
        };
        let text = alone.await.expect_err(&format!("{lie:?} is not believed"));
        assert!(text.contains(told), "{lie:?}: {text}");

        let client = connect(&[&url, &honest_url]).await;
        assert_eq!(client.best_block().await.unwrap(), expected, "{lie:?}");
        let found = scene.found(&client, &Found::new()).await.unwrap();
        assert_eq!(found.len(), truth, "{lie:?}");
        assert!(
            found
                .iter()
                .all(|one| one.transaction.output[0].value > Amount::ZERO)
        );
        let scripts = [open_script().to_p2wsh(), other_address().script_pubkey()];
        let pays = |one: &Confirmed| scripts.contains(&one.transaction.output[0].script_pubkey);
        assert!(found.iter().all(pays));
    }
}

#[tokio::test]
async fn a_server_that_wants_a_fortune_for_fees_is_not_believed() {
    let scene = Scene::start().await;
    scene.mine(1).await;
    connect(&[&scene.url()]).await;
    let between = Between::start(scene.electrs.address());
    between.tell(Lie::Dear(1.0));
    let client = connect(&[&between.url()]).await;
    client.refresh_fees().await.unwrap();
    let fees = client.fees();
    let sweep = fees.get_est_sat_per_1000_weight(ConfirmationTarget::UrgentOnChainSweep);
    assert_eq!(sweep, 250_000);
    assert_eq!(fees.floor_sat_per_kw(), 250_000);

    // Where nothing can be estimated, as on regtest, the fallbacks stay.
    let honest = connect(&[&scene.url()]).await;
    honest.refresh_fees().await.unwrap();
    let fees = honest.fees();
    let sweep = fees.get_est_sat_per_1000_weight(ConfirmationTarget::UrgentOnChainSweep);
    assert_eq!(sweep, 5_000);
}

#[tokio::test]
async fn the_height_of_the_first_block_that_is_seen_is_proven() {
    let scene = Scene::start().await;
    scene.mine(170).await;
    let honest = connect(&[&scene.url()]).await;
    scene.caught_up(&honest).await;
    let between = Between::start(scene.electrs.address());
    between.tell(Lie::AllHigher);
    let text = best(config(&[&between.url()], None)).await.unwrap_err();
    assert!(text.contains("is not at 173"), "{text}");
    // Who knows where it is, is not deceived later.
    between.tell(Lie::Honest);
    let client = connect(&[&between.url()]).await;
    assert_eq!(client.best_block().await.unwrap().height, 170);
    between.tell(Lie::AllHigher);
    let error = client.best_block().await.unwrap_err();
    assert!(error.to_string().contains("is not at 173"), "{error}");
}
