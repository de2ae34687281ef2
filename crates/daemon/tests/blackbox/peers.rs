//! Peers, the terms of channels, and what gossip tells of the network.

use serde_json::{Value, json};

use crate::harness::{Chain, Line, Node, Pair, direction, wait_for};

fn peers(node: &Node) -> Vec<Value> {
    let listed = node.call("listpeers", json!({}));
    listed["peers"].as_array().unwrap().clone()
}

#[test]
fn a_peer_without_a_channel_is_listed_until_it_is_disconnected() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let alice = Node::start(dir.path(), "alice", &chain, &[]);
    let bob = Node::start(dir.path(), "bob", &chain, &[]);
    alice.connect(&bob);
    let [peer] = &peers(&alice)[..] else {
        panic!("one peer")
    };
    assert_eq!(
        (&peer["id"], &peer["connected"], &peer["num_channels"]),
        (&json!(bob.id), &json!(true), &json!(0))
    );
    assert_eq!(peer["netaddr"], json!([bob.address.to_string()]));
    assert!(!peer["features"].as_str().unwrap().is_empty());
    let by_id = |id: &str| alice.call("listpeers", json!({"id": id}))["peers"].clone();
    assert_eq!(by_id(&bob.id), json!([peer]));
    assert_eq!(by_id(&alice.id), json!([]));
    assert_eq!(alice.call("disconnect", json!([bob.id])), json!({}));
    assert_eq!(peers(&alice), Vec::<Value>::new());
    wait_for("bob to see it", || peers(&bob).is_empty().then_some(()));
    let error = alice.refused("disconnect", json!([bob.id]));
    assert_eq!(error.code, -32602);
    assert_eq!(error.message, format!("Unknown peer '{}'", bob.id));
}

#[test]
fn the_terms_of_a_channel_are_those_that_the_network_was_told() {
    let pair = Pair::start();
    let told = |source: &Node| {
        wait_for("terms in the gossip", || {
            let listed = pair
                .alice
                .call("listchannels", json!({"source": source.id}));
            listed["channels"].as_array()?.first().cloned()
        })
    };
    let (ours, theirs) = (told(&pair.alice), told(&pair.bob));
    let listed = pair.alice.call("listpeerchannels", json!({}));
    let updates = &listed["channels"][0]["updates"];
    for (told, update) in [(ours, &updates["local"]), (theirs, &updates["remote"])] {
        for (name, of_update) in [
            ("htlc_minimum_msat", "htlc_minimum_msat"),
            ("htlc_maximum_msat", "htlc_maximum_msat"),
            ("delay", "cltv_expiry_delta"),
            ("base_fee_millisatoshi", "fee_base_msat"),
            ("fee_per_millionth", "fee_proportional_millionths"),
        ] {
            assert_eq!(told[name], update[of_update], "{name}: {listed}");
        }
    }
}

#[test]
fn a_route_to_oneself_has_no_hops() {
    let pair = Pair::start();
    let asked = json!({"id": pair.alice.id, "amount_msat": 1, "riskfactor": 1});
    assert_eq!(pair.alice.call("getroute", asked), json!({"route": []}));
    let there = json!({
        "id": pair.bob.id, "amount_msat": 1, "riskfactor": 1, "fromid": pair.bob.id,
    });
    assert_eq!(pair.alice.call("getroute", there), json!({"route": []}));
}

#[test]
fn peers_are_not_told_that_data_is_kept_for_them() {
    let dir = tempfile::tempdir().unwrap();
    let chain = Chain::start(dir.path());
    let alice = Node::start(dir.path(), "alice", &chain, &[]);
    let bob = Node::start(dir.path(), "bob", &chain, &[]);
    alice.connect(&bob);
    let features = peers(&alice)[0]["features"].as_str().unwrap().to_owned();
    let offers = |bit: usize| {
        let digit = features.len() - 1 - bit / 4;
        let digit = u8::from_str_radix(&features[digit..=digit], 16).unwrap();
        digit >> (bit % 4) & 1 == 1
    };
    // BOLT 9: static_remotekey, which every node has, and provide_storage.
    assert!(offers(12) || offers(13), "{features}");
    assert!(!offers(42) && !offers(43), "{features}");
}

#[test]
fn a_peer_with_a_channel_is_disconnected_by_force_only_and_comes_back() {
    let mut pair = Pair::start();
    let error = pair.alice.refused("disconnect", json!([pair.bob.id]));
    let text = "Peer has (at least one) channel in state CHANNELD_NORMAL";
    assert_eq!((error.code, error.message.as_str()), (-1, text));
    let force = json!({"id": pair.bob.id, "force": true});
    pair.alice.call("disconnect", force.clone());
    wait_for("bob to be back", || {
        let peer = peers(&pair.alice).pop()?;
        (peer["connected"] == true).then_some(())
    });
    pair.bob.kill();
    wait_for("bob to be away", || {
        let peer = peers(&pair.alice).pop()?;
        (peer["connected"] == false).then(|| {
            assert_eq!(peer["num_channels"], 1);
            assert_eq!(peer["netaddr"], Value::Null);
            assert_eq!(peer["features"], Value::Null);
        })
    });
    let error = pair.alice.refused("disconnect", force);
    assert_eq!(
        (error.code, error.message.as_str()),
        (-1, "Peer not connected")
    );
}

#[test]
fn the_network_is_listed_with_the_terms_that_nodes_set() {
    let line = Line::with_far(5_000_000).known();
    let channels = |node: &Node, params: Value| -> Vec<Value> {
        let listed = node.call("listchannels", params);
        listed["channels"].as_array().unwrap().clone()
    };
    // Both channels, both directions, in order.
    let all = wait_for("all that gossip tells", || {
        let all = channels(&line.alice, json!({}));
        (all.len() == 4).then_some(all)
    });
    let names: Vec<(&Value, &Value)> = all
        .iter()
        .map(|channel| (&channel["short_channel_id"], &channel["direction"]))
        .collect();
    let expected = [
        (&line.near, 0),
        (&line.near, 1),
        (&line.far, 0),
        (&line.far, 1),
    ];
    for ((scid, side), (channel, direction)) in names.iter().zip(expected) {
        assert_eq!((*scid, *side), (&json!(channel), &json!(direction)));
    }
    let from_bob = channels(&line.alice, json!({"source": line.bob.id}));
    let to_carol = channels(&line.alice, json!([null, null, line.carol.id]));
    assert_eq!(from_bob.len(), 2);
    assert_eq!(to_carol.len(), 1);
    assert!(from_bob.contains(&to_carol[0]));
    let far = channels(&line.alice, json!([line.far]));
    assert_eq!(far.len(), 2);
    let bobs = &far[usize::from(direction(&line.bob, &line.carol))];
    assert_eq!(bobs, &to_carol[0]);
    let shown = |name: &str| bobs[name].clone();
    assert_eq!(shown("source"), line.bob.id);
    assert_eq!(shown("destination"), line.carol.id);
    assert_eq!(shown("base_fee_millisatoshi"), 1_000);
    assert_eq!(shown("fee_per_millionth"), 10);
    assert_eq!(
        (shown("active"), shown("public")),
        (json!(true), json!(true))
    );
    let near = channels(&line.alice, json!({"short_channel_id": line.near}));
    assert_eq!(near[0]["amount_msat"], 10_000_000_000_u64);
    assert_eq!(channels(&line.alice, json!(["1x1x1"])), Vec::<Value>::new());

    // New terms at bob, and alice hears of them.
    let params = json!({"id": line.far, "feebase": "7sat", "feeppm": 500});
    let set = line.bob.call("setchannel", params);
    let [terms] = &set["channels"].as_array().unwrap()[..] else {
        panic!("one channel")
    };
    assert_eq!(terms["peer_id"], line.carol.id);
    assert_eq!(terms["short_channel_id"], line.far);
    assert_eq!(terms["fee_base_msat"], 7_000);
    assert_eq!(terms["fee_proportional_millionths"], 500);
    assert_eq!(terms["ignore_fee_limits"], false);
    wait_for("the new terms", || {
        let far = channels(&line.alice, json!({"source": line.bob.id}));
        let terms = far
            .iter()
            .find(|channel| channel["short_channel_id"] == line.far)?;
        (terms["base_fee_millisatoshi"] == 7_000 && terms["fee_per_millionth"] == 500).then_some(())
    });
    wait_for("the new terms at the other end", || {
        let channel = &line.carol.call("listpeerchannels", json!({}))["channels"][0];
        (channel["updates"]["remote"]["fee_base_msat"] == 7_000).then_some(())
    });
    // All of them at once, and what was not named stays.
    let set = line.bob.call("setchannel", json!(["all", 2_000]));
    let set = set["channels"].as_array().unwrap();
    assert_eq!(set.len(), 2);
    for terms in set {
        assert_eq!(terms["fee_base_msat"], 2_000);
        let far = terms["short_channel_id"] == line.far;
        let ppm = if far { 500 } else { 10 };
        assert_eq!(terms["fee_proportional_millionths"], ppm);
    }
    nodes_are_listed(&line);
}

fn nodes_are_listed(line: &Line) {
    let nodes = |params: Value| line.alice.call("listnodes", params)["nodes"].clone();
    let mut ids = [&line.alice.id, &line.bob.id, &line.carol.id];
    ids.sort();
    let listed = nodes(json!({}));
    let listed: Vec<&Value> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|node| &node["nodeid"])
        .collect();
    assert_eq!(listed, ids);
    let bob = wait_for("what bob tells of himself", || {
        let bob = nodes(json!([line.bob.id]))[0].clone();
        bob["alias"].is_string().then_some(bob)
    });
    let info = line.bob.call("getinfo", json!({}));
    assert_eq!(
        (&bob["alias"], &bob["color"]),
        (&info["alias"], &info["color"])
    );
    assert!(bob["last_timestamp"].as_u64().unwrap() > 1_600_000_000);
    assert_eq!(bob["addresses"], json!([]));
    assert_eq!(nodes(json!([format!("02{}", "11".repeat(32))])), json!([]));
}

#[test]
fn each_error_has_its_code_and_words() {
    let pair = Pair::start();
    let invalid = -32602;
    let nobody = format!("02{}", "11".repeat(32));
    let tail = "invalid token (see logs for details)";
    let scid = json!(pair.channel);
    let destination = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq";
    let old = "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn";
    let rows = [
        ("disconnect", json!([]), invalid, "missing required parameter: id".to_owned()),
        ("disconnect", json!(["02"]), invalid, format!("id: invalid peer id: {tail}")),
        ("disconnect", json!([nobody]), invalid, format!("Unknown peer '{nobody}'")),
        ("disconnect", json!([pair.bob.id, "yes"]), invalid,
            format!("force: should be 'true' or 'false': {tail}")),
        ("listpeers", json!(["02"]), invalid, format!("id: should be a node id: {tail}")),
        ("listpeers", json!({"level": "debug"}), invalid,
            "level: not supported: the log of this daemon is not kept by peer".to_owned()),
        ("listpeerchannels", json!({"id": pair.bob.id, "short_channel_id": scid}), invalid,
            "Must not specify more than one of short_channel_id, channel_id or id".to_owned()),
        ("listchannels", json!([scid, nobody]), invalid,
            "Can only specify one of `short_channel_id`, `source` or `destination`".to_owned()),
        ("listchannels", json!(["1x1"]), invalid,
            format!("short_channel_id: should be a short_channel_id of form NxNxN: {tail}")),
        ("listnodes", json!([7]), invalid, format!("id: should be a node id: {tail}")),
        ("close", json!([]), invalid, "missing required parameter: id".to_owned()),
        ("close", json!(["nonsense"]), invalid,
            format!("id: should be a channel ID or short channel ID: {tail}")),
        ("close", json!([nobody]), invalid,
            format!("id: should be a channel ID or short channel ID: {tail}")),
        ("close", json!(["11".repeat(32)]), invalid, format!("id: Channel id not found: {tail}")),
        ("close", json!(["1x1x1"]), invalid, format!("id: Short channel id not found: {tail}")),
        ("close", json!([scid, "soon"]), invalid,
            format!("unilateraltimeout: should be an unsigned 32 bit integer: {tail}")),
        ("close", json!([scid, null, "nowhere"]), -1,
            "Could not parse destination address, destination should be a valid address".to_owned()),
        ("close", json!([scid, null, destination]), -1,
            "Destination address is not on network regtest".to_owned()),
        ("close", json!([scid, null, old]), invalid, "Invalid close destination".to_owned()),
        ("close", json!({"id": scid, "fee_negotiation_step": "0"}), invalid,
            "Wrong value given for fee_negotiation_step: \"0\", must be positive".to_owned()),
        ("close", json!({"id": scid, "fee_negotiation_step": "101%"}), invalid,
            "Wrong value given for fee_negotiation_step: \"101%\", the percentage should be between 1 \
             and 100".to_owned()),
        ("close", json!({"id": scid, "fee_negotiation_step": "5sat"}), invalid,
            "Wrong value given for fee_negotiation_step: \"5sat\", should be an integer or an integer \
             followed by %".to_owned()),
        ("close", json!({"id": scid, "wrong_funding": "x"}), invalid,
            format!("wrong_funding: should be a txid:outnum: {tail}")),
        ("close", json!({"id": scid, "wrong_funding": format!("{}:0", "11".repeat(32))}), invalid,
            "wrong_funding feature not negotiated".to_owned()),
        ("close", json!({"id": scid, "feerange": ["slow"]}), invalid,
            format!("feerange: should be an array of 2 entries: {tail}")),
        ("close", json!({"id": scid, "feerange": ["slow", "fast"]}), invalid,
            "'feerange' should be an integer with optional perkw/perkb, not 'fast'".to_owned()),
        ("close", json!({"id": scid, "feerange": ["2000perkw", "1000perkw"]}), invalid,
            "feerange: the second should not be below the first".to_owned()),
        ("setchannel", json!([]), invalid, "missing required parameter: id".to_owned()),
        ("setchannel", json!(["1x1x1"]), invalid,
            format!("id: Short channel id not found: {tail}")),
        ("setchannel", json!([scid, "5000000000msat"]), invalid,
            format!("feebase: exceeds u32 max: {tail}")),
        ("setchannel", json!([scid, "much"]), invalid,
            format!("feebase: should be a millisatoshi amount: {tail}")),
        ("setchannel", json!([scid, 1, -1]), invalid,
            format!("feeppm: should be an unsigned 32 bit integer: {tail}")),
        ("setchannel", json!({"id": scid, "htlcmin": 2, "htlcmax": 1}), -1,
            "htlcmax cannot be less than htlcmin".to_owned()),
        ("setchannel", json!({"id": scid, "htlcmin": 2}), invalid,
            "htlcmin: not supported: LDK takes the least that the other end accepts".to_owned()),
        ("setchannel", json!({"id": scid, "htlcmax": 2}), invalid,
            "htlcmax: not supported: LDK takes what the channel can hold".to_owned()),
        ("setchannel", json!({"id": scid, "enforcedelay": 600}), invalid,
            "enforcedelay: only 300 is supported: LDK's own time, in seconds".to_owned()),
        ("setchannel", json!({"id": scid, "ignorefeelimits": true}), invalid,
            "ignorefeelimits: only false is supported".to_owned()),
    ];
    for (method, params, code, text) in rows {
        let error = pair.alice.refused(method, params.clone());
        assert_eq!(
            (error.code, &error.message),
            (code, &text),
            "{method} {params}"
        );
    }
    let listed = pair.alice.call("listpeerchannels", json!({}));
    let channel = &listed["channels"][0];
    assert_eq!(channel["state"], "CHANNELD_NORMAL");
    assert_eq!(channel["fee_base_msat"], 1_000);
}
