//! What the methods answer, over HTTP.

use bitcoin::consensus::encode::serialize_hex;
use serde_json::{Value, json};

use super::http::{Served, address};
use super::{Draft, FEE, Funds, Key};

/// Pays a coin back to the key, less the fee.
fn payment(funds: &Funds) -> bitcoin::Transaction {
    let key = Key::new(1);
    let output = bitcoin::TxOut {
        value: funds.output.value - FEE,
        script_pubkey: key.p2wpkh(),
    };
    key.sign(&Draft {
        version: 2,
        lock_time: 0,
        inputs: vec![(funds.clone(), bitcoin::Sequence::MAX)],
        outputs: vec![output],
    })
}

#[tokio::test]
async fn a_payment_goes_from_the_mempool_into_a_block() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    let made = served.generate(101).await;
    assert_eq!(made.len(), 101);
    let payment = payment(&served.coinbase(1).await);
    let (txid, hex) = (payment.compute_txid(), serialize_hex(&payment));

    let trial = served
        .call("testmempoolaccept", json!([[hex]]))
        .await
        .unwrap();
    assert_eq!(trial[0]["allowed"], json!(true));
    assert_eq!(
        served.call("sendrawtransaction", json!([hex])).await,
        Ok(json!(txid))
    );
    assert_eq!(
        served.call("sendrawtransaction", json!([hex])).await,
        Ok(json!(txid)),
        "again"
    );
    assert_eq!(
        served.call("getrawmempool", json!([])).await,
        Ok(json!([txid]))
    );
    let entry = served.call("getmempoolentry", json!([txid])).await.unwrap();
    assert_eq!(entry["fees"]["base"], json!(0.00001));
    assert_eq!(
        entry,
        served.call("getrawmempool", json!([true])).await.unwrap()[txid.to_string()]
    );
    let info = served.call("getmempoolinfo", json!([])).await.unwrap();
    assert_eq!(
        (&info["size"], &info["bytes"]),
        (&json!(1), &entry["vsize"])
    );
    let spent = json!([payment.input[0].previous_output.txid, 0]);
    assert_eq!(
        served.call("gettxout", spent.clone()).await,
        Ok(Value::Null)
    );
    let unspent = served.call("gettxout", json!([txid, 0])).await.unwrap();
    assert_eq!(
        (&unspent["confirmations"], &unspent["value"]),
        (&json!(0), &json!(49.99999))
    );

    let block = served.generate(1).await.remove(0);
    assert_eq!(served.call("getrawmempool", json!([])).await, Ok(json!([])));
    assert_eq!(
        served.call("getrawtransaction", json!([txid])).await,
        Ok(json!(hex))
    );
    let verbose = served
        .call("getrawtransaction", json!([txid, true]))
        .await
        .unwrap();
    assert_eq!(
        (&verbose["blockhash"], &verbose["confirmations"]),
        (&block, &json!(1))
    );
    let full = served.call("getblock", json!([block, 2])).await.unwrap();
    assert_eq!(full["tx"][1]["txid"], json!(txid));
    assert_eq!(
        full["tx"][1]["vout"][0]["scriptPubKey"]["address"],
        address()
    );
    let unspent = served
        .call("gettxout", json!([txid, 0, false]))
        .await
        .unwrap();
    assert_eq!(
        (&unspent["confirmations"], &unspent["coinbase"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(
        served.call("sendrawtransaction", json!([hex])).await,
        Err((-27, "Transaction outputs already in utxo set".into()))
    );
}

#[tokio::test]
async fn refused_transactions_have_bitcoinds_codes() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    served.generate(101).await;
    let funds = served.coinbase(1).await;
    let good = payment(&funds);
    let send = |transaction: bitcoin::Transaction| {
        let hex = serialize_hex(&transaction);
        let served = &served;
        async move { served.call("sendrawtransaction", json!([hex])).await }
    };
    let young = payment(&served.coinbase(2).await);
    let premature = "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 100";
    // Depth 100 is ripe: with 101 blocks the second coinbase has depth 100 in the next.
    assert!(send(young).await.is_ok(), "{premature}");
    let mut missing = good.clone();
    missing.input[0].previous_output.vout = 9;
    assert_eq!(
        send(missing).await,
        Err((-25, "bad-txns-inputs-missingorspent".into()))
    );
    let mut forged = good.clone();
    forged.output[0].value -= FEE;
    let (code, text) = send(forged).await.unwrap_err();
    assert_eq!(code, -26);
    assert!(
        text.starts_with("mandatory-script-verify-flag-failed ("),
        "{text}"
    );
    let mut generous = good.clone();
    generous.output[0].value = bitcoin::Amount::from_sat(1_000_000);
    let key = Key::new(1);
    let generous = key.sign(&Draft {
        version: 2,
        lock_time: 0,
        inputs: vec![(funds, bitcoin::Sequence::MAX)],
        outputs: generous.output,
    });
    let hex = serialize_hex(&generous);
    assert_eq!(
        send(generous).await.unwrap_err().0,
        -25,
        "50 bitcoin of fees are a mistake"
    );
    assert!(
        served
            .call("sendrawtransaction", json!([hex, 0]))
            .await
            .is_ok(),
        "unless meant"
    );
}

#[tokio::test]
async fn headers_have_what_a_light_client_reads() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    let made = served.generate(3).await;
    let header = served
        .call("getblockheader", json!([made[1]]))
        .await
        .unwrap();
    assert_eq!(header["previousblockhash"], made[0]);
    assert_eq!(header["nextblockhash"], made[2]);
    assert_eq!(
        (&header["height"], &header["confirmations"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        (&header["bits"], &header["versionHex"]),
        (&json!("207fffff"), &json!("20000000"))
    );
    // Genesis and two blocks, each with a work of 2.
    assert_eq!(header["chainwork"], json!(format!("{:064x}", 6)));
    let raw = served
        .call("getblockheader", json!([made[1], false]))
        .await
        .unwrap();
    assert_eq!(raw.as_str().unwrap().len(), 160);
    served
        .call("invalidateblock", json!([made[2]]))
        .await
        .unwrap();
    let header = served
        .call("getblockheader", json!({ "blockhash": made[2] }))
        .await
        .unwrap();
    assert_eq!(header["confirmations"], json!(-1));
    assert!(header.get("nextblockhash").is_none());
    served
        .call("reconsiderblock", json!([made[2]]))
        .await
        .unwrap();
    let info = served.call("getblockchaininfo", json!([])).await.unwrap();
    assert_eq!(
        (&info["chain"], &info["blocks"]),
        (&json!("regtest"), &json!(3))
    );
    assert_eq!(info["bestblockhash"], made[2]);
    let genesis = served.call("getblockhash", json!([0])).await.unwrap();
    let header = served
        .call("getblockheader", json!([genesis]))
        .await
        .unwrap();
    assert!(header.get("previousblockhash").is_none());
}

#[tokio::test]
async fn packages_and_blocks_are_taken_over_rpc() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    served.generate(101).await;
    let parent = payment(&served.coinbase(1).await);
    let child = payment(&super::funds_of(&parent, 0));
    let package = json!([[serialize_hex(&parent), serialize_hex(&child)]]);
    let answer = served.call("submitpackage", package.clone()).await.unwrap();
    assert_eq!(answer["package_msg"], json!("success"));
    assert_eq!(
        answer["tx-results"][child.compute_wtxid().to_string()]["fees"]["base"],
        json!(0.00001)
    );
    let again = served.call("submitpackage", package).await.unwrap();
    assert_eq!(again, answer, "sent twice is sent");
    let unrelated = json!([[serialize_hex(&child), serialize_hex(&parent)]]);
    assert_eq!(
        served.call("submitpackage", unrelated).await.unwrap_err().0,
        -25
    );

    // A block made to order, not connected; then handed in.
    let order = json!([
        address(),
        [parent.compute_txid(), serialize_hex(&child)],
        false
    ]);
    let made = served.call("generateblock", order).await.unwrap();
    assert_eq!(
        served.call("getblockcount", json!([])).await,
        Ok(json!(101))
    );
    assert_eq!(
        served.call("submitblock", json!([made["hex"]])).await,
        Ok(Value::Null)
    );
    assert_eq!(
        served.call("submitblock", json!([made["hex"]])).await,
        Ok(json!("duplicate"))
    );
    assert_eq!(
        served.call("getbestblockhash", json!([])).await.as_ref(),
        Ok(&made["hash"])
    );
    assert_eq!(served.call("getrawmempool", json!([])).await, Ok(json!([])));
    // In the chain now: the same order cannot be met again.
    let order = json!([address(), [serialize_hex(&parent)]]);
    let (code, message) = served.call("generateblock", order).await.unwrap_err();
    assert_eq!(code, -25);
    assert!(
        message.starts_with("TestBlockValidity failed: bad-txns-"),
        "{message}"
    );
}

#[tokio::test]
async fn help_lists_every_method_and_a_small_number_of_tries_makes_few_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path()).await;
    let help = served.call("help", json!([])).await.unwrap();
    let lines: Vec<&str> = help.as_str().unwrap().lines().collect();
    assert!(lines.contains(&"waitfornewblock ( timeout current_tip )"));
    for line in &lines {
        let name = line.split(' ').next().unwrap();
        assert_eq!(served.call("help", json!([name])).await, Ok(json!(line)));
    }
    let made = served
        .call("generatetoaddress", json!([100, address(), 10]))
        .await
        .unwrap();
    assert!(made.as_array().unwrap().len() <= 10);
    let estimate = served.call("estimatesmartfee", json!([6])).await.unwrap();
    assert_eq!(estimate, json!({ "feerate": 0.00001, "blocks": 6 }));
    assert!(served.call("uptime", json!([])).await.unwrap().is_u64());
    assert_eq!(
        served.call("getnetworkinfo", json!([])).await.unwrap()["version"],
        json!(300_000)
    );
}
