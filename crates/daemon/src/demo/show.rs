//! What the demo shows at its end, on standard output: alice's listing, and commands that work as
//! printed.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context, Result};
use sendpay_cli::Terminal;
use serde_json::Value;

use super::network::Network;
use super::payments::Payments;

/// The width of the table where there is no terminal to ask.
const COLUMNS: usize = 120;

/// Alice's listing as JSON, for programs.
///
/// # Errors
/// If it cannot be written.
pub(super) fn json(listing: &Value) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, listing)?;
    writeln!(out).and_then(|()| out.flush()).context(OUTPUT)
}

const OUTPUT: &str = "cannot write to standard output";

/// The table, the sockets, and what to try, for people.
///
/// # Errors
/// If it cannot be written.
pub(super) fn everything(network: &Network, payments: &Payments, listing: &Value) -> Result<()> {
    let mut out = io::stdout().lock();
    let terminal = if out.is_terminal() {
        Terminal::from_environment()
    } else {
        Terminal {
            columns: COLUMNS,
            colours: false,
        }
    };
    let table = sendpay_cli::render(listing, terminal).unwrap_or_default();
    let text = text(network, payments, &table);
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context(OUTPUT)
}

fn text(network: &Network, payments: &Payments, table: &str) -> String {
    let [alice, bob, carol] = network.members();
    let cli = client();
    let ask = |dir: &Path, rest: &str| format!("  {cli} --dir {} {rest}\n", quoted(dir));
    let mut text = format!("\nWhat alice has sent (listsendpays):\n\n{table}\n");
    text += "The nodes answer at these sockets:\n";
    for member in [alice, bob, carol] {
        text += &format!("  {:<6} {}\n", member.name, member.socket.display());
    }
    text += "\nIn another terminal, ask alice:\n";
    text += &ask(&alice.dir, "listsendpays");
    text += &ask(&alice.dir, "listsendpays status=failed");
    text += &ask(
        &alice.dir,
        &format!("listsendpays {}", payments.paid_bolt11),
    );
    text += &ask(&alice.dir, "help listsendpays");
    text += "or with Core Lightning's client:\n";
    text += &format!(
        "  lightning-cli --lightning-dir={} --network=regtest listsendpays\n\n",
        quoted(&alice.dir)
    );
    let asked_again = ask(
        &alice.dir,
        &format!("listsendpays payment_hash={}", payments.held_hash),
    );
    if payments.held {
        text += "One payment is pending, because carol holds it. She takes it with\n";
        let preimage = format!(
            "holdinvoicesettle \"$(cat {})\"",
            quoted(&payments.held_preimage)
        );
        text += &ask(&carol.dir, &preimage);
        text += "and alice's record says complete, or she gives it back with\n";
        let cancel = format!("holdinvoicecancel {}", payments.held_hash);
        text += &ask(&carol.dir, &cancel);
        text += "and it says failed. Until then it says pending:\n";
    } else {
        text += "Carol has decided on the payment that she held. What alice's record says of it:\n";
    }
    text += &asked_again;
    text += "\nCtrl-C stops the network. The same command starts it again as it is now.\n";
    text
}

/// The command line client: beside this program if it is there, else by way of cargo.
fn client() -> String {
    let beside = std::env::current_exe()
        .ok()
        .map(|program| program.with_file_name("sendpay-cli"))
        .filter(|client| client.is_file());
    match beside {
        Some(client) => quoted(&client),
        None => "cargo run --release -q -p sendpay-cli --".to_owned(),
    }
}

/// A path as a shell takes it for one word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@%:,=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_to_a_shell() {
        let cases = [
            ("/home/me/demo", "/home/me/demo"),
            ("/home/my demo", "'/home/my demo'"),
            ("/it's", r"'/it'\''s'"),
            ("/a$(b)", "'/a$(b)'"),
        ];
        for (path, word) in cases {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}
