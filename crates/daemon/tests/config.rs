//! The configuration: what is taken, what is refused, and with which words.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use sendpay_rpc::value::Amounts;
use sendpayd::config::{AutocleanConfig, ChainAuth, Config, LogLevel, Network};
use std::error::Error;
use std::time::Duration;

fn load(file: &str, set: &[&str]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("sendpayd.toml"), file).unwrap();
    let set: Vec<String> = set.iter().map(|&text| text.to_owned()).collect();
    Config::load(dir.path(), &set).map_err(|error| {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    })
}

#[test]
fn without_a_file_everything_has_a_default() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::load(dir.path(), &[]).unwrap();
    assert_eq!(config.network, Network::Regtest);
    assert_eq!(config.listen.to_string(), "127.0.0.1:9735");
    assert_eq!(config.amounts, Amounts::MsatStrings);
    assert_eq!(config.chain.auth, ChainAuth::Unset);
    assert_eq!(config.log_level, LogLevel::Info);
    assert_eq!(
        config.rpc_socket(),
        dir.path().join("regtest/lightning-rpc")
    );
    assert!(
        std::fs::read_dir(dir.path()).unwrap().next().is_none(),
        "reading made a file"
    );
}

#[test]
fn an_embedded_chain_says_by_itself_where_it_is() {
    let file = "[chain]\nembedded_dir = \"/chains/one\"\n";
    let config = load(file, &[]).unwrap();
    let expected = ChainAuth::Embedded("/chains/one".into());
    assert_eq!(config.chain.auth, expected);
    let refused = "configuration: chain.embedded_dir: cannot be given together with other keys of \
                   chain";
    for set in [
        "chain.rpc_address=127.0.0.1:1",
        "chain.cookie_file=/c",
        "chain.user=u",
        "chain.password=p",
    ] {
        assert_eq!(load(file, &[set]).unwrap_err(), refused, "{set}");
    }
}

#[test]
fn set_goes_over_the_file() {
    let file = "network = \"signet\"\namounts = \"msat-strings\"\n[chain]\nuser = \"u\"\npassword = \"p\"\n";
    let config = load(file, &[]).unwrap();
    assert_eq!(config.network, Network::Signet);
    let set = [
        "network=regtest",
        "amounts=integer",
        "chain.password=q=r",
        "listen=0.0.0.0:0",
        "log.level=debug",
        "alias=123 bob",
        "color=ff8000",
        "announce=[\"1.2.3.4:9735\"]",
    ];
    let config = load(file, &set).unwrap();
    assert_eq!(config.network, Network::Regtest);
    assert_eq!(config.amounts, Amounts::Integer);
    assert_eq!(config.listen.to_string(), "0.0.0.0:0");
    assert_eq!(config.log_level, LogLevel::Debug);
    assert_eq!(config.alias.as_deref(), Some("123 bob"));
    assert_eq!(config.color, Some([0xff, 0x80, 0]));
    assert_eq!(config.announce[0].to_string(), "1.2.3.4:9735");
    let expected = ChainAuth::UserPassword {
        user: "u".to_owned(),
        password: "q=r".to_owned(),
    };
    assert_eq!(config.chain.auth, expected);
    assert!(
        !format!("{config:?}").contains("q=r"),
        "the password is in the log"
    );
}

#[test]
fn autoclean_is_off_until_an_age_is_given_in_seconds_or_with_a_unit() {
    assert_eq!(load("", &[]).unwrap().autoclean, None);
    let dir = tempfile::tempdir().unwrap();
    let set = |text: &[&str]| {
        let set: Vec<String> = text
            .iter()
            .map(|text| format!("autoclean.{text}"))
            .collect();
        Config::load(dir.path(), &set).map_err(|error| error.to_string())
    };
    for (text, seconds) in [
        ("7", 7),
        ("\"7\"", 7),
        ("7s", 7),
        ("90m", 5400),
        ("12h", 43_200),
        ("30d", 2_592_000),
        ("52w", 31_449_600),
    ] {
        let config = set(&[&format!("failed_after={text}")]).unwrap();
        let expected = AutocleanConfig {
            complete_after: None,
            failed_after: Some(Duration::from_secs(seconds)),
            cycle: Duration::from_secs(3600),
            archive: None,
        };
        assert_eq!(config.autoclean, Some(expected), "{text}");
    }
    let all = [
        "complete_after=1",
        "failed_after=2",
        "cycle=3",
        "archive=a.jsonl",
    ];
    let expected = AutocleanConfig {
        complete_after: Some(Duration::from_secs(1)),
        failed_after: Some(Duration::from_secs(2)),
        cycle: Duration::from_secs(3),
        archive: Some(dir.path().join("a.jsonl")),
    };
    assert_eq!(set(&all).unwrap().autoclean, Some(expected));
    for text in [
        "0",
        "-1",
        "1.5",
        "d",
        "1y",
        "1 month",
        "99999999999999999w",
        "true",
    ] {
        let refused = set(&[&format!("failed_after={text}")]).unwrap_err();
        assert!(refused.starts_with("configuration: "), "{text}: {refused}");
    }
    let zero = set(&["complete_after=0"]).unwrap_err();
    assert_eq!(
        zero,
        "configuration: autoclean.complete_after: is no length of time of a second or more, such as \
         3600, 90m, 12h, 30d or 52w"
    );
    for alone in ["cycle=1h", "archive=a"] {
        let refused = set(&[alone]).unwrap_err();
        assert!(refused.contains("does nothing without"), "{refused}");
    }
    assert!(set(&["nosuch=1"]).unwrap_err().contains("nosuch"));
}

#[test]
fn what_cannot_be_used_is_refused_with_its_key() {
    for (file, set, expected) in [
        ("nosuch = 1", None, "nosuch"),
        ("", Some("nosuch=1"), "nosuch"),
        ("", Some("chain.nosuch=1"), "nosuch"),
        ("", Some("chain=1"), "chain"),
        ("", Some("network.x=1"), "network"),
        (
            "network = \"regtest\"",
            Some("network.x=1"),
            "network is no table",
        ),
        ("", Some("network"), "give it as key=value"),
        ("", Some("=1"), "give it as key=value"),
        ("", Some("network=mars"), "mars"),
        ("", Some("amounts=float"), "amounts"),
        ("", Some("listen=localhost"), "listen"),
        (
            "",
            Some("alias=123456789012345678901234567890123x"),
            "alias",
        ),
        ("", Some("color=ff80"), "color"),
        ("", Some("color=+ff800"), "color"),
        ("", Some("chain.user=u"), "chain.password: is missing"),
        ("", Some("chain.rpc_address=here"), "chain.rpc_address"),
        (
            "[chain]\ncookie_file = \"c\"\nuser = \"u\"",
            None,
            "chain.cookie_file",
        ),
        ("= broken", None, "sendpayd.toml"),
    ] {
        let error = load(file, &set.into_iter().collect::<Vec<_>>()).unwrap_err();
        assert!(
            error.contains(expected),
            "{file:?} {set:?} gave {error:?}, not {expected:?}"
        );
    }
}
