//! Who is let in, who is refused, and a server that restarts.

use bitcoin::Network;
use lightning_block_sync::BlockSource;

use super::{Backend, address};
use crate::client::{Auth, CallError, ChainClient, ChainConfig, ConnectError};

pub(super) async fn the_wrong_network_and_the_wrong_door_are_told_apart<B: Backend>() {
    let directory = tempfile::tempdir().unwrap();
    let chain = B::start(directory.path()).await;
    let mut other = chain.config();
    other.network = Network::Signet;
    let error = ChainClient::connect(other).await.err().unwrap();
    assert!(
        matches!(error, ConnectError::WrongNetwork { .. }),
        "{error}"
    );
    assert!(
        error.to_string().ends_with("is regtest, not signet"),
        "{error}"
    );

    let mut other = chain.config();
    other.auth = Auth::UserPass("user".into(), "secret".into());
    assert!(!format!("{other:?}").contains("secret"));
    let error = ChainClient::connect(other).await.err().unwrap();
    assert!(
        matches!(error, ConnectError::Call(CallError::Unauthorized { .. })),
        "{error}"
    );

    let mut other = chain.config();
    other.auth = Auth::CookieFile(directory.path().join("nowhere"));
    let error = ChainClient::connect(other).await.err().unwrap();
    assert!(
        matches!(error, ConnectError::Call(CallError::Cookie { .. })),
        "{error}"
    );

    let config = chain.config();
    let cookie = std::fs::read_to_string(chain.cookie_file()).unwrap();
    let (user, password) = cookie.split_once(':').unwrap();
    let auth = Auth::UserPass(user.into(), password.into());
    ChainClient::connect(ChainConfig {
        auth: auth.clone(),
        ..config.clone()
    })
    .await
    .unwrap();
    chain.stop().await;
    let error = ChainClient::connect(ChainConfig { auth, ..config })
        .await
        .err()
        .unwrap();
    assert!(
        matches!(error, ConnectError::Call(CallError::Unreachable { .. })),
        "{error}"
    );
}

pub(super) async fn a_restart_of_the_server_with_a_new_cookie_is_survived<B: Backend>() {
    let directory = tempfile::tempdir().unwrap();
    let chain = B::start(directory.path()).await;
    let client = ChainClient::connect(chain.config()).await.unwrap();
    let hashes = client.generate_to_address(1, &address()).await.unwrap();
    chain.stop().await;
    let error = client.best_block().await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    let _again = B::start(directory.path()).await;
    assert_eq!(client.best_block().await.unwrap().hash, hashes[0]);
    assert_eq!(client.get_best_block().await.unwrap(), (hashes[0], Some(1)));
}
