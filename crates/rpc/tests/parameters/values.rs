//! What each kind of value may be, and what is said of any other.

use super::{HASH, NODE, TAIL, outcome, table};
use sendpay_rpc::param::Mode;
use serde_json::value::RawValue;

#[test]
fn values() {
    table(&[
        ("listsendpays", r#"{"status":"failed"}"#, "ok"),
        (
            "listsendpays",
            r#"{"status":"bogus"}"#,
            "status: should be an invoice status: TAIL",
        ),
        (
            "listsendpays",
            r#"{"status":["failed"]}"#,
            "status: should be an invoice status: TAIL",
        ),
        ("listsendpays", r#"{"index":"deleted"}"#, "ok"),
        (
            "listsendpays",
            r#"{"index":"x"}"#,
            "index: unknown index: TAIL",
        ),
        (
            "listsendpays",
            r#"{"payment_hash":"zz"}"#,
            "payment_hash: should be a 32 byte hex value: TAIL",
        ),
        ("listsendpays", r#"{"payment_hash":"HASH"}"#, "ok"),
        (
            "listsendpays",
            r#"{"payment_hash":"HASH00"}"#,
            "payment_hash: should be a 32 byte hex value: TAIL",
        ),
        ("listsendpays", r#"{"start":"0x10"}"#, "ok"),
        ("listsendpays", r#"{"start":-1}"#, "ok"),
        ("listsendpays", r#"{"start":18446744073709551615}"#, "ok"),
        (
            "listsendpays",
            r#"{"start":18446744073709551616}"#,
            "start: should be an unsigned 64 bit integer: TAIL",
        ),
        (
            "listsendpays",
            r#"{"start":1.5}"#,
            "start: should be an unsigned 64 bit integer: TAIL",
        ),
        (
            "listsendpays",
            r#"{"start":[1]}"#,
            "start: should be an unsigned 64 bit integer: TAIL",
        ),
        (
            "listsendpays",
            r#"{"start":""}"#,
            "start: should be an unsigned 64 bit integer: TAIL",
        ),
        (
            "listsendpays",
            r#"{"start":"--1"}"#,
            "start: should be an unsigned 64 bit integer: TAIL",
        ),
        (
            "listsendpays",
            r#"{"limit":4294967296}"#,
            "limit: should be an unsigned 32 bit integer: TAIL",
        ),
        (
            "listsendpays",
            r#"{"limit":-1}"#,
            "limit: should be an unsigned 32 bit integer: TAIL",
        ),
        ("waitsendpay", r#"["HASH",null,9223372036854775807]"#, "ok"),
        (
            "waitsendpay",
            r#"["HASH",null,9223372036854775808]"#,
            "partid: should be an integer from 0 to 9223372036854775807: TAIL",
        ),
        (
            "waitsendpay",
            r#"["HASH",null,null,-1]"#,
            "groupid: should be an integer from 0 to 9223372036854775807: TAIL",
        ),
        (
            "delpay",
            r#"["HASH","pending"]"#,
            "status: Cannot delete pending status: TAIL",
        ),
        ("listfunds", "[true]", "ok"),
        ("listfunds", "[false]", "ok"),
        // The word alone: CLN takes no text for it.
        (
            "listfunds",
            r#"["false"]"#,
            "spent: should be 'true' or 'false': TAIL",
        ),
        (
            "listfunds",
            "[1]",
            "spent: should be 'true' or 'false': TAIL",
        ),
        ("listpeerchannels", r#"["NODE"]"#, "ok"),
        (
            "listpeerchannels",
            r#"["05NODE"]"#,
            "id: should be a node id: TAIL",
        ),
        ("listpeerchannels", r#"[null,"103x1x0"]"#, "ok"),
        (
            "listpeerchannels",
            r#"[null,"103x1"]"#,
            "short_channel_id: should be a short_channel_id of form NxNxN: TAIL",
        ),
        (
            "listpeerchannels",
            r#"[null,"16777216x1x0"]"#,
            "short_channel_id: should be a short_channel_id of form NxNxN: TAIL",
        ),
        ("listinvoices", "[17]", "ok"),
        (
            "listinvoices",
            "[true]",
            "label: should be a string or number: TAIL",
        ),
        (
            "listinvoices",
            "[{}]",
            "label: should be a string or number: TAIL",
        ),
        ("getroute", r#"["NODE",1,0.5]"#, "ok"),
        (
            "getroute",
            r#"["NODE",1,-1]"#,
            "riskfactor: should be a non-negative floating-point number: TAIL",
        ),
        ("getroute", r#"["NODE",1,"1.2345678"]"#, "ok"),
        (
            "getroute",
            r#"["NODE",1,"1.234567x"]"#,
            "riskfactor: should be a non-negative floating-point number: TAIL",
        ),
        ("fundchannel", r#"["NODE","all"]"#, "ok"),
        ("fundchannel", r#"["NODE",100000]"#, "ok"),
        (
            "fundchannel",
            r#"["NODE","1001msat"]"#,
            "amount: should be a satoshi amount: TAIL",
        ),
        ("fundchannel", r#"["NODE",1,"7blocks"]"#, "ok"),
        ("close", r#"["103x1x0",60,"address","50%"]"#, "ok"),
        (
            "close",
            r#"["NODE",null,null,null,null,true,["slow","2000perkb"]]"#,
            "ok",
        ),
        (
            "close",
            r#"["02"]"#,
            "id: should be a channel ID or short channel ID: TAIL",
        ),
        ("disconnect", r#"["02"]"#, "id: invalid peer id: TAIL"),
        ("setchannel", r#"["all","1sat",5]"#, "ok"),
        (
            "setchannel",
            r#"["some"]"#,
            "id: should be a channel ID or short channel ID: TAIL",
        ),
        (
            "feerates",
            r#"["perbyte"]"#,
            "'style' should be 'perkw' or 'perkb', not '\"perbyte\"'",
        ),
        ("withdraw", r#"["address","all","253perkw",0]"#, "ok"),
        (
            "withdraw",
            r#"["address",1,"4294967296perkw"]"#,
            "'feerate' should be an integer with optional perkw/perkb, not '4294967296'",
        ),
        (
            "withdraw",
            r#"["address",1,[1]]"#,
            "'feerate' should be an integer with optional perkw/perkb, not '[1]'",
        ),
        (
            "withdraw",
            r#"["address",1,null,null,["1:1"]]"#,
            "Could not decode outpoint \"\"1:1\"\", expected format: txid:output",
        ),
        ("listforwards", r#"["settled","1x2x3"]"#, "ok"),
        (
            "listforwards",
            r#"["done"]"#,
            "status: Unrecognized status: TAIL",
        ),
        ("invoice", r#"["any","l","d"]"#, "ok"),
        (
            "invoice",
            r#"[0,"l","d"]"#,
            "amount_msat: should be positive msat or 'any': TAIL",
        ),
        ("invoice", r#"["any",5,"d"]"#, "ok"),
        (
            "invoice",
            r#"["any","l","\u0064"]"#,
            "description: should be a string (without \\u): TAIL",
        ),
        ("invoice", r#"["any","l","\\u0064"]"#, "ok"),
        (
            "invoice",
            r#"["any","l",5]"#,
            "description: should be a string (without \\u): TAIL",
        ),
    ]);
}

#[test]
fn amounts() {
    const BAD: &str = "amount_msat: should be a millisatoshi amount: TAIL";
    const ZERO: &str = "amount_msat: should be a positive millisatoshi amount: TAIL";
    for (amount, expected) in [
        ("1", "ok"),
        ("\"1\"", "ok"),
        ("\"1msat\"", "ok"),
        ("\"1sat\"", "ok"),
        ("\"1.001sat\"", "ok"),
        ("\"0.00000001btc\"", "ok"),
        ("\"0.00000000001btc\"", "ok"),
        ("\"2100000000000000000msat\"", "ok"),
        ("\"2100000000000000001msat\"", BAD),
        ("\"21000000.1btc\"", BAD),
        ("\"99999999999999999999999999sat\"", BAD),
        ("\"0.000000000001btc\"", BAD),
        ("\"1.5\"", BAD),
        ("1.5", BAD),
        ("\"1.5msat\"", BAD),
        ("\"1.5sat\"", BAD),
        ("-1", BAD),
        ("\"\"", BAD),
        ("\"msat\"", BAD),
        ("\".1btc\"", BAD),
        ("\"1 msat\"", BAD),
        ("1e3", BAD),
        ("true", BAD),
        ("[1]", BAD),
        ("0", ZERO),
        ("\"0msat\"", ZERO),
    ] {
        let params = format!(r#"["{NODE}",{amount},1]"#);
        assert_eq!(
            outcome("getroute", &params),
            expected.replace("TAIL", TAIL),
            "{amount}"
        );
    }
}

#[test]
fn routes() {
    let old = format!(r#"{{"id":"{NODE}","channel":"1x2x3","amount_msat":1000,"delay":42}}"#);
    let new = format!(
        r#"{{"node_id_out":"{NODE}","short_channel_id_dir":"1x2x3/1","amount_out_msat":"1sat","cltv_out":42,"style":"tlv","direction":0}}"#
    );
    for (route, expected) in [
        ("[]".to_owned(), "ok"),
        (format!("[{old},{new}]"), "ok"),
        ("{}".to_owned(), "route: must be an array: TAIL"),
        (
            "[1]".to_owned(),
            "route: must have either short_channel_id_dir or channel: TAIL",
        ),
        (
            format!("[{}]", old.replace("\"id\"", "\"x\"")),
            "route: must have either node_id_out or id: TAIL",
        ),
        (
            format!("[{}]", old.replace("amount_msat", "x")),
            "route: must have either amount_out_msat or amount_msat: TAIL",
        ),
        (
            format!("[{}]", old.replace("delay", "x")),
            "route: must have either cltv_out or delay: TAIL",
        ),
        (
            format!("[{}]", old.replace("1x2x3", "1x2")),
            "route: bad short_channel_id: TAIL",
        ),
        (
            format!("[{}]", old.replace(NODE, "02")),
            "route: bad node_id: TAIL",
        ),
        (
            format!("[{}]", old.replace("1000", "0")),
            "route: bad amount: TAIL",
        ),
        (
            format!("[{}]", old.replace("1000", "\"x\"")),
            "route: bad amount: TAIL",
        ),
        (
            format!("[{}]", old.replace("42", "\"x\"")),
            "route: bad cltv_out/delay: TAIL",
        ),
    ] {
        let params = format!(r#"[{route},"{HASH}"]"#);
        assert_eq!(
            outcome("sendpay", &params),
            expected.replace("TAIL", TAIL),
            "{route}"
        );
    }
}

#[test]
fn the_new_name_of_a_hop_field_wins() {
    use sendpay_rpc::method::sendpay::SendPay;
    use sendpay_rpc::param::ParamSet;
    let params = format!(
        r#"{{"payment_hash":"{HASH}","route":[{{"id":"{NODE}","channel":"9x9x9",
           "short_channel_id_dir":"1x2x3/1","amount_msat":5,"amount_out_msat":7,"delay":1,
           "cltv_out":2}}]}}"#
    );
    let raw: &RawValue = serde_json::from_str(&params).unwrap();
    let parsed = SendPay::from_raw(raw, Mode::Normal).unwrap();
    let hop = parsed.route.0[0];
    assert_eq!(hop.scid.to_string(), "1x2x3");
    assert_eq!(
        (hop.direction, hop.amount_msat.0, hop.delay),
        (Some(1), 7, 2)
    );
    assert_eq!(parsed.partid.get(), 0);
}

#[test]
fn invoices_lose_their_scheme_and_their_capitals() {
    use sendpay_rpc::value::InvoiceString;
    for (given, canonical) in [
        ("LIGHTNING:LNBC1", "lnbc1"),
        ("lightning:lnbc1", "lnbc1"),
        ("LnBc1", "lnbc1"),
        ("lightning", "lightning"),
        ("", ""),
        ("lightninä:", "lightninä:"),
    ] {
        assert_eq!(InvoiceString::canonical(given).as_str(), canonical);
    }
}
