//! `sendpayd import cln`: the history of a Core Lightning node, into the ledger of this directory.
//!
//! What is read and what it becomes is in the crate `sendpay-import`; here are the directory, the
//! words and the progress bar.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bitcoin::Network;
use bitcoin::constants::ChainHash;
use indicatif::{ProgressBar, ProgressStyle};
use sendpay_import::{Chain, ClnFile, InvoiceFacts, Progress, Step, Summary};
use sendpay_ledger::Ledger;

use crate::config::Config;
use crate::daemon::network_name;
use crate::run::{STORE_FILE, make_private_dir};

/// An import that takes no longer needs no bar.
const QUIET: Duration = Duration::from_secs(2);

/// The origin of what a file without a node id holds.
const UNNAMED: &str = "cln";

/// Networks that a file can be of.
const NETWORKS: [Network; 5] = [
    Network::Bitcoin,
    Network::Testnet,
    Network::Testnet4,
    Network::Signet,
    Network::Regtest,
];

/// Imports the file, as history of the node `name` (by default its node id), and prints what it came
/// to. Nothing is recorded before every row of the file was found to be good.
pub fn run(config: &Config, path: &Path, name: Option<String>) -> Result<()> {
    let network_dir = config.network_dir();
    let make_dirs = || {
        make_private_dir(&config.dir)?;
        make_private_dir(&network_dir)
    };
    let known = NETWORKS.map(|network| Chain {
        name: network_name(network),
        genesis: ChainHash::using_genesis_block(network).to_bytes(),
    });
    let ours = known
        .into_iter()
        .find(|chain| chain.name == config.network.to_string())
        .with_context(|| format!("network {}: unknown", config.network))?;
    let scratch = || match make_dirs() {
        Ok(()) => Ok(network_dir.clone()),
        Err(cause) => Err(std::io::Error::other(cause)),
    };
    let file = ClnFile::open(path, &scratch, ours, &known)?;
    let origin = name.unwrap_or_else(|| origin(&file));
    make_dirs()?;
    let store_file = network_dir.join(STORE_FILE);
    let (store, ledger) = Ledger::open(&store_file)
        .with_context(|| format!("cannot open the store {}", store_file.display()))?;
    let began = Instant::now();
    let mut bar = Bar::new(began);
    let imported = sendpay_import::import(&ledger, &file, &origin, &facts, &mut |progress| {
        bar.show(progress);
    });
    bar.end();
    drop(ledger);
    store.close();
    tell(&imported?, &file, &origin, began.elapsed())
}

fn origin(file: &ClnFile) -> String {
    let hex = |id: [u8; 33]| -> String { id.iter().map(|byte| format!("{byte:02x}")).collect() };
    file.node_id()
        .map_or_else(|| UNNAMED.to_owned(), |id| format!("{UNNAMED}:{}", hex(id)))
}

/// What only the invoice itself says.
fn facts(bolt11: &str) -> Option<InvoiceFacts> {
    let invoice = sendpay_node::decode(bolt11, None).ok()?;
    Some(InvoiceFacts {
        created_at_ms: invoice.created_at.checked_mul(1000)?,
        cltv: u32::try_from(invoice.min_final_cltv_expiry).ok()?,
    })
}

/// The summary, on standard output. One that is closed is no reason to fail: all is recorded.
fn tell(summary: &Summary, file: &ClnFile, origin: &str, took: Duration) -> Result<()> {
    let Summary {
        added,
        settled,
        pending,
        unproven,
    } = *summary;
    let mut text = format!(
        "{} payments and {} invoices imported as {origin} (schema of CLN {}) in {:.1} s\n",
        added.payments,
        added.invoices,
        file.release(),
        took.as_secs_f64()
    );
    if settled > 0 {
        text.push_str(&format!(
            "{settled} payments that were pending have ended since the last import\n"
        ));
    }
    if pending > 0 {
        text.push_str(&format!(
            "{pending} of the payments are pending; once you know what became of them, tell by \
             `sendpay-cli settleimported`\n"
        ));
    }
    if unproven > 0 {
        text.push_str(&format!(
            "{unproven} of the pending ones CLN calls complete, without a preimage that proves it\n"
        ));
    }
    drop(std::io::stdout().write_all(text.as_bytes()));
    Ok(())
}

/// A progress bar on standard error, if that is a terminal, once it takes long.
struct Bar {
    began: Instant,
    is_terminal: bool,
    bar: Option<(Step, ProgressBar)>,
}

impl Bar {
    fn new(began: Instant) -> Bar {
        Bar {
            began,
            is_terminal: std::io::stderr().is_terminal(),
            bar: None,
        }
    }

    fn show(&mut self, progress: Progress) {
        if !self.is_terminal || self.began.elapsed() < QUIET {
            return;
        }
        let is_same = |(step, _): &(Step, ProgressBar)| *step == progress.step;
        if !self.bar.as_ref().is_some_and(is_same) {
            self.end();
            let bar = ProgressBar::new(progress.of).with_message(match progress.step {
                Step::Checking => "checking",
                Step::Recording => "importing",
            });
            let style = "{msg} {wide_bar} {human_pos}/{human_len} ({per_sec}, {eta} left)";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            self.bar = Some((progress.step, bar));
        }
        if let Some((_, bar)) = &self.bar {
            bar.set_position(progress.done);
        }
    }

    fn end(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
