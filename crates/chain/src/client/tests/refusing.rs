//! A bitcoind that refuses: it has no estimator (`blocksonly=1`), its mempool takes no less than 40 sat for
//! each virtual byte, and it takes no transaction, as one that has just begun to start again.

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::{Auth, ChainConfig};

pub(super) async fn refusing_bitcoind() -> ChainConfig {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rpc_address = door.local_addr().unwrap().to_string();
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(door, router).await.unwrap() });
    ChainConfig {
        rpc_address,
        auth: Auth::UserPass("user".to_owned(), "password".to_owned()),
        zmq: None,
        network: bitcoin::Network::Regtest,
    }
}

async fn answer(body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap();
    let refused = |code: i64, message: &str| {
        let error = json!({"code": code, "message": message});
        let answer = json!({"result": null, "error": error, "id": request["id"]});
        (StatusCode::INTERNAL_SERVER_ERROR, Json(answer)).into_response()
    };
    let result = match request["method"].as_str().unwrap() {
        "getblockchaininfo" => json!({"chain": "regtest"}),
        "getnetworkinfo" => json!({"version": 300_000}),
        "getmempoolinfo" => json!({"mempoolminfee": 0.000_4}),
        "sendrawtransaction" => return refused(-28, "Loading block index\u{2026}"),
        _ => return refused(-32603, "Fee estimation disabled"),
    };
    Json(json!({"result": result, "error": null, "id": request["id"]})).into_response()
}
