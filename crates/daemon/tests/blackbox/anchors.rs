//! Channels with anchors whose close meets a mempool that has grown dearer: their fees are raised by coins
//! of the wallet until all is where it belongs, to the satoshi.

pub mod dear;

use bitcoin::{OutPoint, Transaction, Txid};
use serde_json::{Value, json};

use crate::harness::{Backend, Node, wait_for, with_every_backend};
use dear::{Account, Dear, funds_sat, outputs, reserved, sat};

/// Ten satoshi for a virtual byte, and thirty: more than a commitment transaction has.
const DEAR: u64 = 10_000;
const DEARER: u64 = 30_000;

/// Of nobody here.
const ELSEWHERE: &str = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";

with_every_backend! {
    a_forced_close_that_the_mempool_has_grown_too_dear_for_is_raised_with_its_htlc_and_loses_only_fees,
    it_is_raised_by_p2tr_coins_alone_too,
    what_was_raised_before_a_crash_is_raised_further_after_it_with_the_same_coins,
    a_close_without_coins_warns_and_goes_on_by_itself_when_one_comes,
    a_sweep_that_waits_while_fees_rise_is_sent_again_at_the_new_rate,
}

fn a_forced_close_that_the_mempool_has_grown_too_dear_for_is_raised_with_its_htlc_and_loses_only_fees(
    backend: Backend,
) {
    let raised = close_dear(Dear::on(backend, &[]));
    assert!(raised.iter().all(|coin| coin.len() == 2), "p2wpkh");
}

fn it_is_raised_by_p2tr_coins_alone_too(backend: Backend) {
    let dear = Dear::on(backend, &[]);
    let own = dear.pair.alice.call("newaddr", json!(["p2tr"]))["p2tr"].clone();
    let all = json!({"destination": own, "satoshi": "all", "feerate": "5000perkb"});
    dear.pair.alice.call("withdraw", all);
    dear.mine(1);
    let [coin] = &outputs(&dear.pair.alice)[..] else {
        panic!("one coin")
    };
    assert_eq!(
        (&coin["address"], &coin["status"]),
        (&own, &json!("confirmed"))
    );
    let raised = close_dear(dear);
    // One signature and nothing else.
    assert!(raised.iter().all(|coin| coin.len() == 1), "p2tr");
}

/// A close with an HTLC in a mempool that has grown too dear for it; the witnesses of the coin that paid for
/// the commitment transaction.
fn close_dear(mut dear: Dear) -> Vec<bitcoin::Witness> {
    let listed = dear.pair.alice.call("listpeerchannels", json!({}));
    let kind = json!({"bits": [12, 22], "names": ["static_remotekey/even", "anchors/even"]});
    assert_eq!(listed["channels"][0]["channel_type"], kind);
    let before = funds_sat(&dear.pair.alice);
    let hash = dear.leave_htlc(2_000_000_000);
    dear.press(DEAR);
    let from_height = dear.pair.chain.height();
    let commitment = dear.force_close();
    let txid = commitment.compute_txid();
    // By itself it is not let in.
    dear.wait_for_rate(txid, DEAR);
    let entry = dear.waiting(txid).unwrap();
    let alone = sat(&entry["fees"]["base"]) * 1_000 / entry["vsize"].as_u64().unwrap();
    assert!(alone < DEAR, "{alone}");
    // The coin that pays for it is nobody else's now.
    let coins = reserved(&dear.pair.alice);
    let child = dear.child_of(txid);
    let spent: Vec<OutPoint> = child
        .input
        .iter()
        .map(|input| input.previous_output)
        .collect();
    assert!(
        !coins.is_empty() && coins.iter().all(|coin| spent.contains(coin)),
        "{coins:?}"
    );
    let named =
        json!({"destination": ELSEWHERE, "satoshi": "all", "utxos": [coins[0].to_string()]});
    let error = dear.pair.alice.refused("withdraw", named);
    assert_eq!(
        (error.code, error.message.contains("already reserved")),
        (-32602, true)
    );
    dear.mine(1);
    assert_eq!(dear.waiting(txid), None);

    // The HTLC's refund comes at its height, and has a fee only by a coin.
    let known = [child.compute_txid()];
    let refund = wait_for("the HTLC's refund", || {
        dear.pass();
        dear.spender_of(txid, &known)
    });
    dear.wait_for_rate(refund.compute_txid(), DEAR);
    assert!(refund.input.len() > 1, "nothing of the wallet in it");
    dear.mine(6);
    let record = wait_for("the end of the payment", || {
        let record = dear.pair.alice.payments()[0].clone();
        (record["status"] == "failed").then_some(record)
    });
    assert_eq!(record["payment_hash"], hash);

    // What waited for bob's objections, 144 blocks, and the refund after that.
    for _ in 0..12 {
        dear.mine(12);
    }
    wait_for("all outputs in the wallet", || {
        dear.mine(12);
        let account = Account::of(&dear, txid, from_height);
        (account.elsewhere == [330]).then_some(())
    });
    let account = Account::of(&dear, txid, from_height);
    assert_eq!(
        funds_sat(&dear.pair.alice),
        before + 10_000_000 - account.fees - 330
    );
    // Nothing is set aside when all is done.
    dear.mine(6);
    wait_for("coins to be free", || {
        reserved(&dear.pair.alice).is_empty().then_some(())
    });
    let inputs = child.input.into_iter();
    let of_wallet = inputs.filter(|input| input.previous_output.txid != txid);
    of_wallet.map(|input| input.witness).collect()
}

fn what_was_raised_before_a_crash_is_raised_further_after_it_with_the_same_coins(backend: Backend) {
    let mut dear = Dear::on(backend, &[]);
    let carol = Node::start(dear.pair.dir.path(), "carol", &dear.pair.chain, &[]);
    carol.fund(&dear.pair.chain);
    dear.pair.alice.wait_for_height(dear.pair.chain.height());
    dear.leave_htlc(2_000_000_000);
    dear.press(DEAR);
    let txid = dear.force_close().compute_txid();
    dear.wait_for_rate(txid, DEAR);
    let coins = reserved(&dear.pair.alice);
    let first = dear.child_of(txid);
    let address = dear.pair.alice.call("newaddr", json!(["bech32"]))["bech32"].clone();
    dear.pair.alice.kill();
    // A coin that would be taken first if nothing were known of the other one.
    let params = json!({"destination": address, "satoshi": 1_000_000, "feerate": "20000perkb"});
    let sent = carol.call("withdraw", params);
    dear.pair.chain.mine_only(&[sent["tx"].as_str().unwrap()]);
    dear.press(DEARER);
    dear.pair.alice.resume();
    dear.pair.alice.wait_for_height(dear.pair.chain.height());
    assert_eq!(reserved(&dear.pair.alice), coins);
    dear.wait_for_rate(txid, DEARER);
    let second = dear.child_of(txid);
    assert_ne!(first.compute_txid(), second.compute_txid());
    let spent = |transaction: &Transaction| {
        let inputs = transaction.input.iter();
        let mut spent: Vec<OutPoint> = inputs.map(|input| input.previous_output).collect();
        spent.sort();
        spent
    };
    assert_eq!(spent(&first), spent(&second));
    // In the middle of it again, with what is in a block.
    dear.mine(1);
    dear.pair.alice.kill();
    dear.pair.alice.resume();
    dear.pair.alice.wait_for_height(dear.pair.chain.height());
    // Spent, and what it left over came back, beside what carol sent.
    let outputs = outputs(&dear.pair.alice);
    let named =
        |output: &Value| format!("{}:{}", output["txid"].as_str().unwrap(), output["output"]);
    assert!(
        !outputs
            .iter()
            .any(|output| named(output) == coins[0].to_string())
    );
    let change = outputs.iter().find(|output| output["txid"] != sent["txid"]);
    assert_eq!(change.expect("change")["status"], "confirmed");
}

fn a_close_without_coins_warns_and_goes_on_by_itself_when_one_comes(backend: Backend) {
    let mut dear = Dear::on(backend, &["min_emergency_msat=0"]);
    let carol = Node::start(dear.pair.dir.path(), "carol", &dear.pair.chain, &[]);
    carol.fund(&dear.pair.chain);
    dear.pair.alice.wait_for_height(dear.pair.chain.height());
    dear.pair.alice.call("withdraw", json!([ELSEWHERE, "all"]));
    dear.mine(1);
    assert_eq!(outputs(&dear.pair.alice), Vec::<Value>::new());
    dear.leave_htlc(2_000_000_000);
    dear.press(DEAR);
    let txid = dear.force_close().compute_txid();
    let warning = || {
        let info = dear.pair.alice.call("getinfo", json!({}));
        info["warning_fee_bump"].as_str().map(ToOwned::to_owned)
    };
    let text = wait_for("a warning", || {
        dear.pass();
        warning()
    });
    assert!(
        text.contains("send coins to an address of newaddr: commitment transaction"),
        "{text}"
    );
    assert!(dear.pair.alice.log().contains("no coins to raise the fee"));
    assert_eq!(dear.waiting(txid), None);

    let address = dear.pair.alice.call("newaddr", json!(["bech32"]))["bech32"].clone();
    carol.wait_for_height(dear.pair.chain.height());
    let params = json!({"destination": address, "satoshi": 100_000, "feerate": "20000perkb"});
    carol.call("withdraw", params);
    dear.mine(1);
    dear.wait_for_rate(txid, DEAR);
    wait_for("no warning", || warning().is_none().then_some(()));
    dear.mine(1);
    assert_eq!(dear.waiting(txid), None);
}

fn a_sweep_that_waits_while_fees_rise_is_sent_again_at_the_new_rate(backend: Backend) {
    let mut dear = Dear::on(backend, &[]);
    dear.pair.bob.kill();
    let commitment = dear.force_close();
    let txid = commitment.compute_txid();
    wait_for("the commitment", || dear.waiting(txid));
    let child = dear.spender_of(txid, &[]).map(|child| child.compute_txid());
    let known: Vec<Txid> = child.into_iter().collect();
    dear.mine(1);
    let sweep = wait_for("a sweep", || {
        dear.pass();
        dear.spender_of(txid, &known)
    });
    let cheap = dear.package_rate(sweep.compute_txid()).unwrap();
    assert!(cheap < DEAR, "{cheap}");
    dear.press(DEAR);
    let again = wait_for("the sweep at the new rate", || {
        dear.pass();
        let again = dear.spender_of(txid, &known)?;
        let rate = dear.package_rate(again.compute_txid())?;
        (rate >= DEAR).then_some(again)
    });
    assert_ne!(again.compute_txid(), sweep.compute_txid());
    dear.mine(1);
    let found = outputs(&dear.pair.alice);
    let swept = found
        .iter()
        .find(|output| output["txid"] == json!(again.compute_txid()));
    assert_eq!(swept.expect("the money")["status"], "confirmed");
}
