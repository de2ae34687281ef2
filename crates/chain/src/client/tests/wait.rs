//! Waits by ZMQ and by RPC together, over a server that takes its time.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::{Json, Router};
use lightning_block_sync::rpc::RpcClient;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Auth, Backend, ChainClient, ChainConfig};
use crate::client::connection::read_credentials;
use crate::regtest::Regtest;

/// How long the server takes for its best block: longer than the pause between two looks.
const SLOW: Duration = Duration::from_millis(300);

/// How long is waited: some rounds of slow answers.
const WAIT: Duration = Duration::from_secs(3);

/// Tells of the same block again and again, as a publisher of bitcoind's does at each one.
async fn publish(mut stream: TcpStream) -> std::io::Result<()> {
    let mut greeting = [0; 64];
    stream.read_exact(&mut greeting).await?;
    stream.write_all(&greeting).await?;
    stream.read_exact(&mut [0; 27]).await?;
    let ready = b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03PUB";
    stream.write_all(ready).await?;
    stream.read_exact(&mut [0; 12]).await?;
    let message = [
        &b"\x01\x09hashblock\x01\x20"[..],
        &[7; 32],
        b"\0\x04\0\0\0\0",
    ]
    .concat();
    loop {
        stream.write_all(&message).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The server, but slow where it is asked for its best block, and never waiting for one.
async fn answer(server: &RpcClient, body: Bytes) -> Json<Value> {
    let mut request: Value = serde_json::from_slice(&body).unwrap();
    let method = request["method"].as_str().unwrap().to_owned();
    match method.as_str() {
        "getblockchaininfo" => tokio::time::sleep(SLOW).await,
        "waitfornewblock" => request["params"][0] = json!(1),
        _ => {}
    }
    let params = request["params"].as_array().unwrap();
    let result: Value = server.call_method(&method, params).await.unwrap();
    Json(json!({"result": result, "error": null, "id": request["id"]}))
}

#[tokio::test]
async fn a_look_that_zmq_is_the_reason_of_does_not_wait_for_one_that_stands_still() {
    let directory = tempfile::tempdir().unwrap();
    let chain = <Regtest as Backend>::start(directory.path()).await;
    let credentials = read_credentials(&Auth::CookieFile(chain.cookie_file())).unwrap();
    let publisher = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let told_at = publisher.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = publisher.accept().await.unwrap();
            // Who goes away ends it.
            tokio::spawn(async move { drop(publish(stream).await) });
        }
    });
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rpc_address = door.local_addr().unwrap().to_string();
    let server = format!("http://{}", chain.rpc_address());
    let router = Router::new().fallback(move |body: Bytes| {
        // One for each request: the shared one answers in order.
        let server = RpcClient::new(&credentials, server.clone());
        async move { answer(&server, body).await }
    });
    tokio::spawn(async move { axum::serve(door, router).await.unwrap() });

    let client = ChainClient::connect(ChainConfig {
        rpc_address,
        zmq: Some(format!("tcp://{told_at}").parse().unwrap()),
        ..chain.config()
    })
    .await
    .unwrap();
    let known = client.best_block().await.unwrap();
    let begun = Instant::now();
    let waited = client.wait_for_block(known.hash, WAIT).await.unwrap();
    assert_eq!(waited, known);
    assert!(begun.elapsed() >= WAIT);
}
