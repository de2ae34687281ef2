//! The configuration: what is taken, what is refused, and with which words.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use sendpay_rpc::value::Amounts;
use sendpayd::config::keys::{Kind, Leaf};
use sendpayd::config::{AutocleanConfig, ChainAuth, Config, LogLevel, Network, Settings};
use std::error::Error;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
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
fn electrum_servers_are_the_chain_backend_instead_of_bitcoind() {
    let certificates = "chain.electrum_certificates=own.pem";
    let servers = "chain.electrum=ssl://a.example,tcp://[::1]:7";
    let config = load("", &[servers, certificates]).unwrap();
    let expected = ChainAuth::Electrum {
        servers: vec![
            "ssl://a.example:50002".parse().unwrap(),
            "tcp://[::1]:7".parse().unwrap(),
        ],
        certificates: Some("own.pem".into()),
    };
    assert_eq!(config.chain.auth, expected);
    let shown = sendpayd::config::shown(&config, "me", "010203");
    assert_eq!(
        shown["chain.electrum"].values_str.as_deref().unwrap(),
        ["ssl://a.example:50002", "tcp://[::1]:7"]
    );
}

#[test]
fn where_bitcoind_tells_of_blocks_by_zmq_stands_beside_its_rpc() {
    let address = "tcp://[::1]:28332";
    let set = [
        "chain.rpc_address=[::1]:8332",
        "chain.user=u",
        "chain.password=p",
    ];
    let set = set.map(str::to_owned);
    let zmq = format!("chain.zmq={address}");
    let set: Vec<&str> = set.iter().chain([&zmq]).map(String::as_str).collect();
    let config = load("", &set).unwrap();
    assert_eq!(config.chain.zmq, Some(address.parse().unwrap()));
    let shown = sendpayd::config::shown(&config, "me", "010203");
    assert_eq!(shown["chain.zmq"].value_str.as_deref(), Some(address));
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
        ("", Some("chain.electrum=a.example:1"), "chain.electrum"),
        (
            "",
            Some("chain.electrum=[]"),
            "chain.electrum: has no server",
        ),
        (
            "",
            Some("chain.electrum_certificates=c"),
            "chain.electrum_certificates: does nothing without chain.electrum",
        ),
        (
            "[chain]\nelectrum = [\"ssl://a.example\"]",
            Some("chain.rpc_address=127.0.0.1:1"),
            "chain.electrum: cannot be given together with keys of bitcoind",
        ),
        (
            "[chain]\nelectrum = [\"ssl://a.example\"]",
            Some("chain.embedded_dir=here"),
            "a node has one chain backend",
        ),
        (
            "",
            Some("chain.zmq=tcp://*:28332"),
            "chain.zmq: \"tcp://*:28332\" has no host: give it as tcp://host:port",
        ),
        (
            "",
            Some("chain.zmq=ipc:///run/zmq"),
            "does not begin with tcp://",
        ),
        (
            "[chain]\nelectrum = [\"ssl://a.example\"]",
            Some("chain.zmq=tcp://127.0.0.1:28332"),
            "chain.electrum: cannot be given together with keys of bitcoind",
        ),
        (
            "[chain]\nembedded_dir = \"here\"",
            Some("chain.zmq=tcp://127.0.0.1:28332"),
            "chain.embedded_dir: cannot be given together with other keys",
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

#[test]
fn an_unknown_key_is_refused_with_the_one_most_like_it() {
    for (file, set, expected) in [
        (
            "netwrok = \"regtest\"",
            None,
            "netwrok: there is no such key; is it network?",
        ),
        (
            "[chain]\nrpc_adress = \"a\"",
            None,
            "chain.rpc_adress: there is no such key; is it chain.rpc_address?",
        ),
        (
            "",
            Some("rpc_address=127.0.0.1:1"),
            "rpc_address: there is no such key; is it chain.rpc_address?",
        ),
        ("", Some("weather=fine"), "weather: there is no such key"),
    ] {
        let error = load(file, &set.into_iter().collect::<Vec<_>>()).unwrap_err();
        assert_eq!(error, format!("configuration: {expected}"));
    }
}

#[test]
fn a_password_is_not_shown_by_the_error_that_refuses_it() {
    for (line, expected) in [
        ("password = \"hunter2", "sendpayd.toml: line 3, column"),
        ("password = hunter2", "sendpayd.toml: line 3, column"),
        ("password = 48151623", "chain.password: is no text"),
        ("password = [\"hunter2\"]", "chain.password: is no text"),
    ] {
        let file = format!("[chain]\nuser = \"u\"\n{line}\n");
        let error = load(&file, &[]).unwrap_err();
        assert!(error.contains(expected), "{line}: {error}");
        let is_shown = error.contains("hunter2") || error.contains("48151623");
        assert!(!is_shown, "{line}: {error}");
    }
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    pairs.collect()
}

#[test]
fn the_command_line_goes_over_the_environment_and_that_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = "network = \"signet\"\nalias = \"file\"\ncolor = \"000001\"\n";
    std::fs::write(dir.path().join("sendpayd.toml"), file).unwrap();
    let mut settings = Settings::read(dir.path()).unwrap();
    let environment = variables(&[
        ("SENDPAYD_ALIAS", "12"),
        ("SENDPAYD_COLOR", "000002"),
        ("SENDPAYD_CHAIN_USER", "me"),
        ("SENDPAYD_CHAIN_PASSWORD", "1234"),
        ("SENDPAYD_ANNOUNCE", "1.2.3.4:1, 5.6.7.8:2"),
        ("SENDPAY_CI_CACHE", "of another program"),
    ]);
    settings.environment(environment.into_iter()).unwrap();
    settings.set("color=000003").unwrap();
    let config = settings.config(dir.path()).unwrap();
    assert_eq!(config.network, Network::Signet);
    assert_eq!(config.alias.as_deref(), Some("12"));
    assert_eq!(config.color, Some([0, 0, 3]));
    assert_eq!(config.announce.len(), 2);
    let expected = ChainAuth::UserPassword {
        user: "me".to_owned(),
        password: "1234".to_owned(),
    };
    assert_eq!(config.chain.auth, expected);

    let text = settings.explained();
    for line in [
        "network = \"signet\"",
        "alias = \"12\"  # from SENDPAYD_ALIAS",
        "color = \"000003\"  # from the command line",
        "# password is set, and not shown, from SENDPAYD_CHAIN_PASSWORD",
        "# listen = \"127.0.0.1:9735\"",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    assert!(!text.contains("1234"));
    // What is printed is a configuration file that says the same, but for the password.
    std::fs::write(dir.path().join("sendpayd.toml"), &text).unwrap();
    let again = Config::load(dir.path(), &["chain.password=1234".to_owned()]).unwrap();
    let sources = config.sources.clone();
    assert_eq!(Config { sources, ..again }, config);
    for (key, source) in [
        (
            "network",
            dir.path().join("sendpayd.toml").to_str().unwrap(),
        ),
        ("alias", "SENDPAYD_ALIAS"),
        ("color", "cmdline"),
    ] {
        assert_eq!(config.sources[key], source);
    }
    assert!(!config.sources.contains_key("listen"));

    let mut settings = Settings::default();
    let wrong = variables(&[("SENDPAYD_CHAIN_RPC_ADRESS", "x")]);
    let refused = settings.environment(wrong.into_iter()).unwrap_err();
    let expected = "environment: SENDPAYD_CHAIN_RPC_ADRESS is of no key; is it \
                    SENDPAYD_CHAIN_RPC_ADDRESS?";
    assert_eq!(refused.to_string(), expected);
}

/// One value for a key, by itself.
fn alone(leaf: &Leaf, value: &str) -> Result<Config, String> {
    let text = match leaf.path.rsplit_once('.') {
        Some((table, key)) => format!("[{table}]\n{key} = {value}\n"),
        None => format!("{} = {value}\n", leaf.path),
    };
    load(&text, &[])
}

#[test]
fn the_defaults_that_are_explained_are_those_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let same = |mut config: Config| {
        config.dir = dir.path().to_owned();
        config.sources.clear();
        config
    };
    let default = same(load("", &[]).unwrap());
    for leaf in Settings::keys() {
        match leaf.key.kind {
            // Alone it does nothing, and is refused for that.
            Kind::Default(_) if leaf.path == "autoclean.cycle" => {
                let with = |more: &str| {
                    let file = format!("[autoclean]\nfailed_after = 1\n{more}");
                    load(&file, &[]).unwrap().autoclean
                };
                assert_eq!(with("cycle = \"1h\""), with(""));
            }
            Kind::Default(value) => {
                assert_eq!(same(alone(&leaf, value).unwrap()), default, "{}", leaf.path);
            }
            Kind::Unset(value) => {
                // Some are refused alone, but none for its value.
                match alone(&leaf, value) {
                    Ok(config) => assert_ne!(same(config), default, "{}", leaf.path),
                    Err(refused) => assert!(
                        refused.contains("is missing") || refused.contains("does nothing without"),
                        "{}: {refused}",
                        leaf.path
                    ),
                }
            }
            Kind::Secret => {}
            Kind::Table(_) => panic!("{} is no key with a value", leaf.path),
        }
    }
}

/// What the program prints without any settings, and no environment but what it needs.
fn printed(arguments: &[&str], variables: &[(&str, &str)], dir: &Path) -> String {
    let ended = Command::new(env!("CARGO_BIN_EXE_sendpayd"))
        .env_clear()
        .envs(variables.iter().copied())
        .arg("--dir")
        .arg(dir)
        .args(arguments)
        .output()
        .unwrap();
    let (said, printed) = (String::from_utf8(ended.stderr), ended.stdout);
    assert!(ended.status.success(), "{}", said.unwrap());
    String::from_utf8(printed).unwrap()
}

#[test]
fn the_example_file_is_what_the_program_prints() {
    let dir = tempfile::tempdir().unwrap();
    let printed = printed(&["--print-config"], &[], dir.path());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/sendpayd.toml");
    if std::env::var_os("UPDATE_EXAMPLE").is_some() {
        std::fs::write(path, &printed).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let how = "stale: UPDATE_EXAMPLE=1 cargo test -p sendpayd --test config";
    assert_eq!(kept, printed, "{how}");
    assert_eq!(
        Config::load(dir.path(), &[]).unwrap().network,
        Network::Regtest
    );
    let nothing = std::fs::read_dir(dir.path()).unwrap().next().is_none();
    assert!(nothing, "printing made a file");
}

#[test]
fn every_key_has_a_flag_and_a_variable() {
    let dir = tempfile::tempdir().unwrap();
    let arguments = [
        "--print-config",
        "--network",
        "signet",
        "--chain-rpc-address",
        "h:1",
    ];
    let text = printed(&arguments, &[("SENDPAYD_LOG_LEVEL", "debug")], dir.path());
    for line in [
        "network = \"signet\"  # from the command line",
        "rpc_address = \"h:1\"  # from the command line",
        "level = \"debug\"  # from SENDPAYD_LOG_LEVEL",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
}
