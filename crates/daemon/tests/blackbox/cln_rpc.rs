//! The cln-rpc crate, unmodified: a typed call of every request type of its that we have, over a
//! daemon's socket. What its types require is there if a call returns at all; the assertions are
//! about the values. Some types are deprecated there, as their methods are in Core Lightning.

#![allow(deprecated)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Debug;

use cln_rpc::model::requests::{
    CloseRequest, ConnectRequest, DecodeRequest, DelinvoiceRequest, DelpayRequest,
    DisconnectRequest, FeeratesRequest, FundchannelRequest, GetinfoRequest, GetrouteRequest,
    HelpRequest, InvoiceRequest, KeysendRequest, ListchannelsRequest, ListconfigsRequest,
    ListforwardsRequest, ListfundsRequest, ListinvoicesRequest, ListnodesRequest, ListpaysRequest,
    ListpeerchannelsRequest, ListpeersRequest, ListsendpaysRequest, NewaddrRequest, PayRequest,
    SendpayRequest, SetchannelRequest, StopRequest, WaitRequest, WaitanyinvoiceRequest,
    WaitinvoiceRequest, WaitsendpayRequest, WithdrawRequest, XkeysendRequest, XpayRequest,
};
use cln_rpc::{ClnRpc, RpcError, TypedRequest};
use sendpay_rpc::method::METHODS;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::{Chain, Node, PATIENCE, Pair, wait_for};

const AMOUNT_MSAT: u64 = 50_000;

/// Methods of ours that the crate has no request type for: ours alone, or not modelled there. And
/// `stop`, which has a test of its own.
const UNTYPED: [&str; 12] = [
    "bumpfee",
    "cancelpay",
    "check",
    "countsendpays",
    "followsendpays",
    "holdinvoice",
    "holdinvoicecancel",
    "holdinvoicesettle",
    "notifications",
    "paystatus",
    "settleimported",
    "stop",
];

/// One connection of the crate's client.
struct Typed {
    runtime: Runtime,
    rpc: RefCell<ClnRpc>,
    called: RefCell<BTreeSet<String>>,
}

impl Typed {
    fn of(node: &Node) -> Typed {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let rpc = runtime.block_on(ClnRpc::new(node.socket())).unwrap();
        Typed {
            runtime,
            rpc: RefCell::new(rpc),
            called: RefCell::default(),
        }
    }

    /// Makes a typed request of `params`, calls it, and writes the typed answer as JSON again.
    fn try_call<R>(&self, params: Value) -> Result<Value, RpcError>
    where
        R: TypedRequest + Serialize + DeserializeOwned + Debug,
        R::Response: Serialize + DeserializeOwned + Debug,
    {
        let request: R = serde_json::from_value(params).unwrap();
        self.called.borrow_mut().insert(request.method().to_owned());
        let mut rpc = self.rpc.borrow_mut();
        let call = async { tokio::time::timeout(PATIENCE, rpc.call_typed(&request)).await };
        let answer = self.runtime.block_on(call).expect("in time");
        answer.map(|response| serde_json::to_value(response).unwrap())
    }

    fn call<R>(&self, params: Value) -> Value
    where
        R: TypedRequest + Serialize + DeserializeOwned + Debug,
        R::Response: Serialize + DeserializeOwned + Debug,
    {
        self.try_call::<R>(params.clone())
            .unwrap_or_else(|error| panic!("{params}: {error:?}"))
    }
}

fn msat(amount: u64) -> Value {
    json!(format!("{amount}msat"))
}

/// Two nodes that the crate connects, funds and joins by a channel.
fn opened(typed: &Typed, alice: &Node, bob: &Node, chain: &Chain) -> String {
    let info = typed.call::<GetinfoRequest>(json!({}));
    assert_eq!(info["id"], alice.id);
    assert_eq!(info["network"], "regtest");
    assert_eq!(info["num_active_channels"], 0);
    assert_eq!(info["fees_collected_msat"], msat(0));
    let address = typed.call::<NewaddrRequest>(json!({"addresstype": "bech32"}));
    chain.mine_to(1, address["bech32"].as_str().unwrap());
    chain.mine(100);
    alice.wait_for_height(chain.height());
    let connected = typed.call::<ConnectRequest>(json!({
        "id": bob.id, "host": "127.0.0.1", "port": bob.address.port(),
    }));
    assert_eq!(connected["id"], bob.id);
    assert_eq!(connected["direction"], "out");
    let funded = typed.call::<FundchannelRequest>(json!({
        "id": bob.id, "amount": "1000000000msat", "announce": true,
    }));
    chain.mine(6);
    for node in [alice, bob] {
        node.wait_for_height(chain.height());
    }
    wait_for("a usable channel", || {
        bob.usable_channel(&funded["channel_id"])?;
        let wanted = json!({"channel_id": funded["channel_id"]});
        let listed = typed.call::<ListpeerchannelsRequest>(wanted);
        let channel = &listed["channels"][0];
        assert_eq!(channel["funding_txid"], funded["txid"]);
        assert_eq!(channel["total_msat"], msat(1_000_000_000));
        let usable = channel["state"] == "CHANNELD_NORMAL" && channel["reestablished"] == true;
        usable.then(|| channel["short_channel_id"].as_str().unwrap().to_owned())
    })
}

/// What there is of channels, peers, coins, rates and settings.
fn look(typed: &Typed, bob: &Node, channel: &str) {
    let funds = typed.call::<ListfundsRequest>(json!({}));
    assert_eq!(funds["channels"][0]["short_channel_id"], channel);
    assert_eq!(funds["channels"][0]["our_amount_msat"], msat(1_000_000_000));
    assert_eq!(funds["outputs"][0]["status"], "confirmed");
    let help = typed.call::<HelpRequest>(json!({"command": "getinfo"}));
    assert_eq!(help["help"][0]["command"], "getinfo ");
    let all = typed.call::<HelpRequest>(json!({}));
    assert_eq!(all["help"].as_array().unwrap().len(), METHODS.len());
    let peers = typed.call::<ListpeersRequest>(json!({"id": bob.id}));
    assert_eq!(peers["peers"][0]["num_channels"], 1);
    let channels = wait_for("the channel to be told of", || {
        let listed = typed.call::<ListchannelsRequest>(json!({"short_channel_id": channel}));
        let channels = listed["channels"].as_array()?.clone();
        (!channels.is_empty()).then_some(channels)
    });
    assert_eq!(channels[0]["amount_msat"], msat(1_000_000_000));
    let nodes = typed.call::<ListnodesRequest>(json!({"id": bob.id}));
    assert_eq!(nodes["nodes"][0]["nodeid"], bob.id);
    let rates = typed.call::<FeeratesRequest>(json!({"style": "perkb"}));
    assert!(rates["perkb"]["max_acceptable"].as_u64() > rates["perkb"]["floor"].as_u64());
    let configs = typed.call::<ListconfigsRequest>(json!({"config": "network"}));
    assert_eq!(configs["configs"]["network"]["value_str"], "regtest");
    let forwards = typed.call::<ListforwardsRequest>(json!({"status": "settled"}));
    assert_eq!(forwards, json!({"forwards": []}));
    let set = typed.call::<SetchannelRequest>(json!({
        "id": channel, "feebase": "3000msat", "feeppm": 20,
    }));
    assert_eq!(set["channels"][0]["fee_base_msat"], msat(3_000));
    assert_eq!(set["channels"][0]["fee_proportional_millionths"], 20);
}

/// An invoice of bob's, by the crate.
fn invoiced(bob: &Typed, label: &str) -> Value {
    let invoice = bob.call::<InvoiceRequest>(json!({
        "amount_msat": msat(AMOUNT_MSAT), "label": label, "description": "typed",
    }));
    let listed = bob.call::<ListinvoicesRequest>(json!({"label": label}));
    let listed = &listed["invoices"][0];
    assert_eq!(listed["payment_hash"], invoice["payment_hash"]);
    assert_eq!(listed["amount_msat"], msat(AMOUNT_MSAT));
    assert_eq!(listed["expires_at"], invoice["expires_at"]);
    assert_eq!(listed["status"], "unpaid");
    invoice
}

/// A payment by its route, as often as this crate can ask for it.
fn sent_by_route(typed: &Typed, bob: &Node, invoice: &Value) -> Value {
    let decoded = typed.call::<DecodeRequest>(json!({"string": invoice["bolt11"]}));
    assert_eq!(decoded["payee"], bob.id);
    assert_eq!(decoded["amount_msat"], msat(AMOUNT_MSAT));
    let hash = json!({"payment_hash": invoice["payment_hash"]});
    let route = typed.call::<GetrouteRequest>(json!({
        "id": bob.id, "amount_msat": msat(AMOUNT_MSAT), "riskfactor": 1, "cltv": 42,
    }));
    assert_eq!(route["route"][0]["amount_msat"], msat(AMOUNT_MSAT));
    let sent = typed.call::<SendpayRequest>(json!({
        "route": route["route"], "payment_hash": invoice["payment_hash"],
        "payment_secret": invoice["payment_secret"], "bolt11": invoice["bolt11"], "label": "mine",
    }));
    assert_eq!(sent["status"], "pending");
    let waited = typed.call::<WaitsendpayRequest>(hash.clone());
    assert_eq!(waited["status"], "complete");
    assert_eq!(waited["amount_sent_msat"], msat(AMOUNT_MSAT));
    assert_eq!(waited["label"], "mine");
    let listed = typed.call::<ListsendpaysRequest>(hash);
    assert_eq!(listed["payments"].as_array().unwrap().len(), 1);
    for (name, value) in waited.as_object().unwrap() {
        // A time is a fraction in one type and an integer in the other.
        let other = &listed["payments"][0][name];
        let same = other == value || (other.is_number() && other.as_f64() == value.as_f64());
        assert!(same, "{name}: {other} {value}");
    }
    let by_place = json!({"index": "created", "start": sent["created_index"], "limit": 1});
    let mut again = typed.call::<ListsendpaysRequest>(by_place);
    assert_eq!(again["payments"], listed["payments"]);
    again["payments"][0].take()
}

fn paid(typed: &Typed, invoice: &Value) {
    let params = json!({"bolt11": invoice["bolt11"]});
    let paid = typed.call::<PayRequest>(params.clone());
    assert_eq!(paid["status"], "complete");
    assert_eq!(paid["parts"], 1);
    assert_eq!(paid["amount_msat"], msat(AMOUNT_MSAT));
    assert_eq!(paid["amount_sent_msat"], msat(AMOUNT_MSAT));
    assert_eq!(paid["payment_hash"], invoice["payment_hash"]);
    assert_eq!(typed.call::<PayRequest>(params.clone()), paid);
    let pays = typed.call::<ListpaysRequest>(params);
    assert_eq!(pays["pays"][0]["status"], "complete");
    assert_eq!(pays["pays"][0]["preimage"], paid["payment_preimage"]);
    let complete = typed.call::<ListpaysRequest>(json!({"status": "complete"}));
    assert_eq!(complete["pays"].as_array().unwrap().len(), 2);
}

fn waited(typed: &Typed) {
    let told = typed.call::<WaitRequest>(json!({
        "subsystem": "sendpays", "indexname": "created", "nextvalue": 2,
    }));
    assert_eq!(told["created"], 2);
    assert_eq!(told["subsystem"], "sendpays");
}

fn refused(typed: &Typed, record: &Value) {
    let hash = "11".repeat(32);
    let error = typed
        .try_call::<WaitsendpayRequest>(json!({"payment_hash": hash}))
        .unwrap_err();
    assert_eq!(error.code, Some(208));
    let deleted = typed.call::<DelpayRequest>(json!({
        "payment_hash": record["payment_hash"], "status": "complete",
    }));
    assert_eq!(deleted["payments"][0]["id"], record["id"]);
    let error = typed
        .try_call::<DelpayRequest>(json!({
            "payment_hash": record["payment_hash"], "status": "complete",
        }))
        .unwrap_err();
    assert_eq!(error.code, Some(208));
    assert!(error.message.starts_with("Unknown payment"), "{error:?}");
}

/// The ways to pay and to be paid that have a type of their own in the crate.
fn newer(alice: &Typed, bob: &Typed, receiver: &Node) {
    let invoice = invoiced(bob, "xpay");
    let paid = alice.call::<XpayRequest>(json!({
        "invstring": invoice["bolt11"], "maxfee": msat(1_000), "retry_for": 30,
    }));
    assert_eq!(paid["amount_msat"], msat(AMOUNT_MSAT));
    assert_eq!(paid["amount_sent_msat"], msat(AMOUNT_MSAT));
    let parts = (&paid["successful_parts"], &paid["failed_parts"]);
    assert_eq!(parts, (&json!(1), &json!(0)));

    let params = json!({"destination": receiver.id, "amount_msat": msat(1_000)});
    let sent = alice.call::<KeysendRequest>(params.clone());
    assert_eq!(sent["status"], "complete");
    assert_eq!(sent["amount_msat"], msat(1_000));
    let sent = alice.call::<XkeysendRequest>(params);
    assert_eq!(sent["amount_msat"], msat(1_000));

    let paid = bob.call::<WaitinvoiceRequest>(json!({"label": "pay"}));
    assert_eq!(paid["status"], "paid");
    assert_eq!(paid["amount_received_msat"], msat(AMOUNT_MSAT));
    let first = bob.call::<WaitanyinvoiceRequest>(json!({"lastpay_index": 0}));
    assert_eq!(first["pay_index"], 1);
    let params = json!({"label": "pay", "status": "paid"});
    let deleted = bob.call::<DelinvoiceRequest>(params.clone());
    assert_eq!(deleted["payment_preimage"], paid["payment_preimage"]);
    let error = bob.try_call::<DelinvoiceRequest>(params).unwrap_err();
    assert_eq!(error.code, Some(905));
}

/// The end of the channel and of its money.
fn closed(typed: &Typed, alice: &Node, bob: &Node, chain: &Chain) {
    let closed = typed.call::<CloseRequest>(json!({"id": bob.id, "unilateraltimeout": 60}));
    assert_eq!(closed["type"], "mutual");
    chain.mine(1);
    alice.wait_for_height(chain.height());
    let disconnected = typed.call::<DisconnectRequest>(json!({"id": bob.id}));
    assert_eq!(disconnected, json!({}));
    let address = typed.call::<NewaddrRequest>(json!({"addresstype": "bech32"}));
    let sent = typed.call::<WithdrawRequest>(json!({
        "destination": address["bech32"], "satoshi": "100000000msat",
    }));
    assert_eq!(sent["txid"].as_str().unwrap().len(), 64);
}

fn every_type(settings: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let alice = Node::start(dir.path(), "alice", &chain, settings);
    let bob = Node::start(dir.path(), "bob", &chain, settings);
    // One connection for all calls, as the crate keeps it.
    let typed = Typed::of(&alice);
    let receiver = Typed::of(&bob);
    let channel = opened(&typed, &alice, &bob, &chain);
    look(&typed, &bob, &channel);
    let record = sent_by_route(&typed, &bob, &invoiced(&receiver, "sendpay"));
    paid(&typed, &invoiced(&receiver, "pay"));
    waited(&typed);
    refused(&typed, &record);
    newer(&typed, &receiver, &bob);
    closed(&typed, &alice, &bob, &chain);
    let called: BTreeSet<String> = &*typed.called.borrow() | &*receiver.called.borrow();
    for entry in METHODS {
        let known = called.contains(entry.name) || UNTYPED.contains(&entry.name);
        assert!(known, "{} is called by no typed request", entry.name);
    }
}

#[test]
fn every_request_type_of_cln_rpc_gets_an_answer_of_its_type() {
    every_type(&[]);
}

#[test]
fn every_request_type_of_cln_rpc_gets_an_answer_of_its_type_with_amounts_as_integers() {
    every_type(&["amounts=integer"]);
}

#[test]
fn cln_rpc_stops_a_node() {
    let mut pair = Pair::start();
    let stopped = Typed::of(&pair.alice).call::<StopRequest>(json!({}));
    assert_eq!(stopped["result"], "Shutdown complete");
    assert!(pair.alice.wait_for_end().success());
}
