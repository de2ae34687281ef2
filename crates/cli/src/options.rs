//! The command line: options of our own, then the method and its parameters as they stand.

use crate::arguments::Form;
use crate::place::{self, NETWORK_FLAGS, Said};
use crate::{EXIT_OK, EXIT_USAGE, Terminal, unread};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use sendpay_rpc::method::{Method, help::Help};
use sendpay_rpc::notification::{Level, NoLevel};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The method that is called when none is named, and that is shown as text.
const HELP: &str = Help::NAME;

/// Talks to a running sendpayd.
///
/// Parameters are given in order, or by name as key=value; `sendpay-cli help` lists the methods,
/// `sendpay-cli help METHOD` explains one. `sendpay-cli verifyproof INVOICE PREIMAGE` needs no daemon:
/// it checks a proof of payment.
#[derive(Debug, Parser)]
#[command(name = "sendpay-cli", version, arg_required_else_help = false)]
pub(crate) struct Options {
    /// The directory of the daemon [default: $XDG_STATE_HOME/sendpay or ~/.local/state/sendpay]
    #[arg(long, visible_alias = "lightning-dir", value_name = "DIR")]
    dir: Option<PathBuf>,

    /// The Bitcoin network, which names the folder in DIR [default: regtest]
    #[arg(long, value_name = "NETWORK", group = "net")]
    network: Option<String>,

    /// As `lightning-cli` has them: the same as --network
    #[arg(long, hide = true, group = "net")]
    mainnet: bool,
    #[arg(long, hide = true, group = "net")]
    testnet: bool,
    #[arg(long, hide = true, group = "net")]
    testnet4: bool,
    #[arg(long, hide = true, group = "net")]
    signet: bool,
    #[arg(long, hide = true, group = "net")]
    regtest: bool,

    /// The socket: a name in that folder, or a path [default: lightning-rpc]
    #[arg(long, value_name = "FILE")]
    rpc_file: Option<PathBuf>,

    /// A configuration file of Core Lightning's that says where the socket is [default: config in
    /// DIR and in the folder of the network, if they are there]
    #[arg(long, value_name = "FILE")]
    conf: Option<PathBuf>,

    /// Parameters are key=value [default: if the first one is]
    #[arg(short = 'k', long, conflicts_with = "order")]
    keywords: bool,

    /// Parameters are in order, even if they contain =
    #[arg(short = 'o', long)]
    order: bool,

    /// JSON, also on a terminal
    #[arg(short = 'J', long, group = "form")]
    json: bool,

    /// JSON as it came, in one line
    #[arg(short = 'R', long, group = "form")]
    raw: bool,

    /// Values without brackets, a line for each
    #[arg(short = 'H', long, group = "form")]
    human_readable: bool,

    /// A line for each value, with the way to it: payments[0].status=complete
    #[arg(short = 'F', long, group = "form")]
    flat: bool,

    /// How to show the result, whatever it goes to: csv and jsonl are for lists
    #[arg(long, value_name = "FORMAT", group = "form")]
    format: Option<FormatName>,

    /// Which members of the result are wanted, as JSON: {"payments":[{"status":true}]}
    #[arg(short = 'l', long, value_name = "FILTER")]
    filter: Option<String>,

    /// Which messages of a command that takes its time are shown, from trace to broken, or none
    #[arg(short = 'N', long, value_name = "LEVEL", default_value = "info", value_parser = hears)]
    notifications: Hears,

    /// The method to call [default: help]
    #[arg(value_name = "METHOD")]
    method: Option<String>,

    /// Its parameters; from the first on, nothing is an option any more
    #[arg(
        value_name = "PARAMS",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) params: Vec<String>,

    /// Where the daemon is; nowhere for what needs none.
    #[arg(skip)]
    socket: PathBuf,
}

/// The formats that can be asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// A line for each record, values divided by commas (RFC 4180), amounts in msat
    Csv,
    /// A JSON object in a line for each record
    Jsonl,
    /// JSON over many lines, as -J
    Json,
    /// A table for people
    Table,
}

/// Which messages are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hears {
    /// None, and none are asked for.
    Nothing,
    /// Those of this level and above.
    From(Level),
}

fn hears(text: &str) -> Result<Hears, NoLevel> {
    match text {
        "none" => Ok(Hears::Nothing),
        level => level.parse().map(Hears::From),
    }
}

/// How the result is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// A line of values for each element of its list.
    Csv,
    /// Each element of its list as a line of JSON.
    JsonLines,
    /// As a table if it is a list.
    Table(Terminal),
    /// As JSON over many lines.
    Json,
    /// As it came.
    Raw,
    /// Values without brackets.
    Human,
    /// A line for each value, with the way to it.
    Flat,
}

/// A command line that is not to be run.
pub(crate) struct Refused(clap::Error);

impl Refused {
    /// Says why, or what was asked for, and gives the exit code.
    pub(crate) fn explain(&self, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
        let text = self.0.render();
        if self.0.use_stderr() {
            let mut text = text.to_string();
            // Some of clap's texts leave it out.
            if !text.contains("Usage:") {
                text.push_str(&format!("\n{}\n", Options::command().render_usage()));
            }
            return unread(err.write_all(text.as_bytes()), EXIT_USAGE);
        }
        write!(out, "{text}")?;
        Ok(EXIT_OK)
    }
}

impl Options {
    /// The text that says how to call this program.
    pub(crate) fn usage() -> String {
        Options::command().render_help().to_string()
    }

    pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Refused> {
        let mut options = Options::try_parse_from(arguments).map_err(Refused)?;
        if options.method() != crate::proof::NAME {
            options.socket = place::socket(options.said(), default_dir()).map_err(|cause| {
                Refused(Options::command().error(ErrorKind::ValueValidation, cause))
            })?;
        }
        Ok(options)
    }

    /// The method to call.
    pub(crate) fn method(&self) -> &str {
        self.method.as_deref().unwrap_or(HELP)
    }

    /// Whether a method was named.
    pub(crate) fn has_method(&self) -> bool {
        self.method.is_some()
    }

    /// The method whose page is asked for, if no form was chosen for it.
    pub(crate) fn page(&self) -> Option<&str> {
        let asked = self.method() == HELP && !self.is_format_chosen();
        self.params.first().filter(|_| asked).map(String::as_str)
    }

    /// Which members of the result are wanted.
    pub(crate) fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    /// Which messages are shown.
    pub(crate) fn hears(&self) -> Hears {
        self.notifications
    }

    /// Whether somebody has said how the result is to be shown.
    pub(crate) fn is_format_chosen(&self) -> bool {
        self.format.is_some() || self.json || self.raw || self.human_readable || self.flat
    }

    /// Where the daemon is.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the command line says of where the daemon is.
    fn said(&self) -> Said {
        let given = [
            self.mainnet,
            self.testnet,
            self.testnet4,
            self.signet,
            self.regtest,
        ];
        let mut flags = given.iter().zip(NETWORK_FLAGS);
        let named = flags.find(|(given, _)| **given);
        Said {
            dir: self.dir.clone(),
            network: named
                .map(|(_, (_, network))| network.to_owned())
                .or_else(|| self.network.clone()),
            rpc_file: self.rpc_file.clone(),
            conf: self.conf.clone(),
        }
    }

    pub(crate) fn form(&self) -> Form {
        match (self.keywords, self.order) {
            (true, _) => Form::Keywords,
            (_, true) => Form::Order,
            _ => Form::Guess,
        }
    }

    pub(crate) fn format(&self, terminal: Option<Terminal>) -> Format {
        match (self.format, terminal) {
            (Some(FormatName::Csv), _) => Format::Csv,
            (Some(FormatName::Jsonl), _) => Format::JsonLines,
            (Some(FormatName::Json), _) => Format::Json,
            (Some(FormatName::Table), terminal) => {
                Format::Table(terminal.unwrap_or(Terminal::NONE))
            }
            (None, _) if self.raw => Format::Raw,
            (None, _) if self.human_readable => Format::Human,
            (None, _) if self.flat => Format::Flat,
            (None, _) if self.json => Format::Json,
            (None, Some(terminal)) => Format::Table(terminal),
            // Help is text wherever it goes to, as its result asks for.
            (None, None) if self.method() == HELP => Format::Table(Terminal::NONE),
            (None, None) => Format::Json,
        }
    }
}

/// Where sendpayd keeps what it has, if it is not told.
fn default_dir() -> PathBuf {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_default()
        .join("sendpay")
}
