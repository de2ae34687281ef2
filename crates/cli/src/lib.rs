//! `sendpay-cli`: a method and parameters in, a table or JSON out.
//!
//! It knows no method by name: whatever the daemon can do, this can ask for. The forms of
//! arguments and output are those of `lightning-cli`, with tables where a person is looking.

mod arguments;
mod failure;
mod options;
mod output;
mod pretty;
mod table;

pub use arguments::{ArgumentError, Form, params};
pub use pretty::Pretty;
pub use table::render;

use options::{Format, Options};
use output::Output;
use sendpay_rpc::client::{CallError, Client};
use std::ffi::OsString;
use std::io::{self, Write};

/// Everything went well.
pub const EXIT_OK: u8 = 0;
/// The method answered with an error.
pub const EXIT_RPC_ERROR: u8 = 1;
/// There is no daemon, or it went away.
pub const EXIT_NO_CONNECTION: u8 = 2;
/// The command line is wrong.
pub const EXIT_USAGE: u8 = 3;

/// What is known of the terminal that a person is looking at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// How many characters fit into a line.
    pub columns: usize,
    /// Whether to use colours.
    pub colours: bool,
}

impl Terminal {
    /// The terminal of this process: its width, and colours unless `NO_COLOR` is set.
    #[must_use]
    pub fn from_environment() -> Self {
        const USUAL_COLUMNS: usize = 80;
        let columns = comfy_table::Table::new()
            .width()
            .map_or(USUAL_COLUMNS, usize::from);
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Terminal { columns, colours }
    }
}

/// Runs the program and gives its exit code. `terminal` is there if `out` is a terminal.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
    terminal: Option<Terminal>,
) -> u8 {
    let code = match Options::read(arguments) {
        Ok(options) => call(&options, out, err, terminal),
        Err(refused) => refused.explain(out, err),
    };
    match code.and_then(|code| out.flush().map(|()| code)) {
        Ok(code) => code,
        // Who reads our output has seen enough, as with `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => EXIT_OK,
        Err(error) => {
            // If this cannot be written either, the exit code has to do.
            let _ = writeln!(err, "sendpay-cli: cannot write the output: {error}");
            EXIT_NO_CONNECTION
        }
    }
}

fn call(
    options: &Options,
    out: &mut dyn Write,
    err: &mut dyn Write,
    terminal: Option<Terminal>,
) -> io::Result<u8> {
    let params = match params(&options.params, options.form()) {
        Ok(params) => params,
        Err(error) => {
            writeln!(err, "sendpay-cli: {error}")?;
            return Ok(EXIT_USAGE);
        }
    };
    let format = options.format(terminal);
    let mut output = Output::new(out, format);
    let outcome = Client::connect(&options.socket()).and_then(|mut client| {
        client.call_streaming(&options.method, &params, &mut |bytes| output.write(bytes))
    });
    match outcome {
        Ok(()) => {
            output.finish()?;
            Ok(EXIT_OK)
        }
        Err(CallError::Rpc(error)) => {
            match format {
                Format::Table(terminal) => {
                    failure::explain(err, &options.method, &error, terminal)?;
                }
                Format::Json | Format::Raw => failure::print(out, &error, format)?,
            }
            Ok(EXIT_RPC_ERROR)
        }
        Err(CallError::Sink(error)) => Err(error),
        Err(error) => {
            failure::no_answer(err, &error)?;
            Ok(EXIT_NO_CONNECTION)
        }
    }
}
