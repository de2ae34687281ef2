//! The configuration as `listconfigs` shows it: our keys, and CLN's options that mean the same.

use std::collections::BTreeMap;

use bitcoin::Amount;
use sendpay_rpc::method::listconfigs::ConfigValue;
use sendpay_rpc::value::{Amounts, Msat};

use super::{ChainAuth, Config, PassphraseFrom};

/// CLN's word for what nobody set.
const DEFAULT: &str = "default";
/// CLN's word for what the command line set.
pub(super) const COMMAND_LINE: &str = "cmdline";
/// What stands for a password.
const CONCEALED: &str = "...";

/// What is shown, by name.
pub type Shown = BTreeMap<String, ConfigValue>;

struct Options<'a> {
    config: &'a Config,
    shown: Shown,
}

impl Options<'_> {
    /// Who set our key.
    fn source(&self, key: &str) -> String {
        let set = self.config.sources.get(key);
        set.map_or(DEFAULT, String::as_str).to_owned()
    }

    /// An option under our name and, if CLN has it too, under CLN's.
    fn text(&mut self, key: &str, cln: Option<&str>, value: impl ToString) {
        let value = ConfigValue {
            value_str: Some(value.to_string()),
            source: Some(self.source(key)),
            ..ConfigValue::default()
        };
        for name in [Some(key), cln].into_iter().flatten() {
            self.shown.insert(name.to_owned(), value.clone());
        }
    }

    fn number(&mut self, key: &str, value: u64) {
        let value = ConfigValue {
            value_int: Some(value),
            source: Some(self.source(key)),
            ..ConfigValue::default()
        };
        self.shown.insert(key.to_owned(), value);
    }

    /// An amount, under our name and CLN's.
    fn msat(&mut self, key: &str, cln: &str, amount: Amount) {
        let value = ConfigValue {
            value_msat: Some(Msat(amount.to_sat().saturating_mul(1_000))),
            source: Some(self.source(key)),
            ..ConfigValue::default()
        };
        for name in [key, cln] {
            self.shown.insert(name.to_owned(), value.clone());
        }
    }

    /// An option of ours with several values.
    fn list(&mut self, key: &str, values: &[String]) {
        self.texts(key, key, values);
    }

    /// An option that can be given more than once in CLN.
    fn texts(&mut self, key: &str, cln: &str, values: &[String]) {
        let source = self.source(key);
        let value = ConfigValue {
            values_str: Some(values.to_vec()),
            sources: Some(vec![source; values.len()]),
            ..ConfigValue::default()
        };
        for name in [key, cln] {
            self.shown.insert(name.to_owned(), value.clone());
        }
    }
}

/// Every option that has a value. Those that follow from the node's id when nobody sets them are given:
/// alias and colour.
pub fn shown(config: &Config, alias: &str, color: &str) -> Shown {
    let mut options = Options {
        config,
        shown: Shown::new(),
    };
    let dir = ConfigValue {
        value_str: Some(config.dir.display().to_string()),
        source: Some(COMMAND_LINE.to_owned()),
        ..ConfigValue::default()
    };
    options.shown.insert("lightning-dir".to_owned(), dir);
    options.text("network", None, config.network);
    options.text("rpc-file", None, super::RPC_FILE);
    options.text("alias", None, alias);
    options.text("color", Some("rgb"), color);
    options.texts("listen", "bind-addr", &[config.listen.to_string()]);
    let announced: Vec<String> = config.announce.iter().map(ToString::to_string).collect();
    if !announced.is_empty() {
        options.texts("announce", "announce-addr", &announced);
    }
    if let Some(proxy) = config.proxy {
        options.text("proxy", None, proxy);
    }
    let amounts = match config.amounts {
        Amounts::MsatStrings => "msat-strings",
        Amounts::Integer => "integer",
    };
    options.text("amounts", None, amounts);
    options.msat(
        "min_emergency_msat",
        "min-emergency-msat",
        config.min_emergency,
    );
    options.text("log.level", Some("log-level"), config.log_level.as_str());
    if let Some(file) = &config.log_file {
        options.texts("log.file", "log-file", &[file.display().to_string()]);
    }
    let channels_file = config.channels_file.display();
    options.text("backup.channels_file", None, channels_file);
    match &config.passphrase {
        PassphraseFrom::File(path) => options.text("seed.passphrase_file", None, path.display()),
        PassphraseFrom::Descriptor(number) => {
            options.number("seed.passphrase_fd", u64::from(*number));
        }
        PassphraseFrom::Terminal => {}
    }
    chain(&mut options);
    autoclean(&mut options);
    options.shown
}

fn chain(options: &mut Options<'_>) {
    let chain = &options.config.chain;
    if let Some(address) = &chain.rpc_address {
        options.text("chain.rpc_address", None, address);
    }
    if let Some(address) = &chain.zmq {
        options.text("chain.zmq", None, address);
    }
    match &chain.auth {
        ChainAuth::CookieFile(path) => options.text("chain.cookie_file", None, path.display()),
        ChainAuth::Embedded(dir) => options.text("chain.embedded_dir", None, dir.display()),
        ChainAuth::UserPassword { user, .. } => {
            options.text("chain.user", None, user);
            options.text("chain.password", None, CONCEALED);
        }
        ChainAuth::Electrum {
            servers,
            certificates,
        } => {
            let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
            options.list("chain.electrum", &servers);
            if let Some(path) = certificates {
                options.text("chain.electrum_certificates", None, path.display());
            }
        }
        ChainAuth::Unset => {}
    }
}

fn autoclean(options: &mut Options<'_>) {
    let Some(autoclean) = &options.config.autoclean else {
        return;
    };
    options.number("autoclean.cycle", autoclean.cycle.as_secs());
    if let Some(after) = autoclean.complete_after {
        options.number("autoclean.complete_after", after.as_secs());
    }
    if let Some(after) = autoclean.failed_after {
        options.number("autoclean.failed_after", after.as_secs());
    }
    if let Some(archive) = &autoclean.archive {
        options.text("autoclean.archive", None, archive.display());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn of(file: &str, set: &[&str]) -> (tempfile::TempDir, Shown) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(super::super::FILE_NAME), file).unwrap();
        let set: Vec<String> = set.iter().map(ToString::to_string).collect();
        let config = Config::load(dir.path(), &set).unwrap();
        let shown = shown(&config, "me", "010203");
        (dir, shown)
    }

    #[test]
    fn each_option_says_who_set_it() {
        let file =
            "alias = \"me\"\nannounce = [\"1.2.3.4:5\", \"[::1]:6\"]\n[log]\nlevel = \"debug\"";
        let (dir, shown) = of(file, &["log.level=error", "amounts=integer"]);
        let path = dir.path().join(super::super::FILE_NAME);
        let path = path.to_str().unwrap();
        let source = |name: &str| shown[name].source.clone().unwrap();
        assert_eq!(source("alias"), path);
        assert_eq!(source("rgb"), "default");
        assert_eq!(source("network"), "default");
        assert_eq!(source("log-level"), "cmdline", "it stands over the file");
        assert_eq!(shown["log-level"].value_str.as_deref(), Some("error"));
        assert_eq!(shown["amounts"].value_str.as_deref(), Some("integer"));
        let announced = &shown["announce-addr"];
        assert_eq!(
            announced.values_str.as_ref().unwrap(),
            &["1.2.3.4:5", "[::1]:6"]
        );
        assert_eq!(announced.sources.as_ref().unwrap(), &[path, path]);
    }

    #[test]
    fn a_password_is_never_shown() {
        let (_dir, shown) = of("", &["chain.user=me", "chain.password=hunter2"]);
        let text = serde_json::to_string(&shown).unwrap();
        assert!(
            text.contains("\"...\"") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
