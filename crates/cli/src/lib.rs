//! `sendpay-cli`: a method and parameters in, a table or JSON out.
//!
//! It knows no method by name: whatever the daemon can do, this can ask for. `verifyproof` is no
//! method: it checks a proof of payment by itself, without a daemon. The forms of
//! arguments and output are those of `lightning-cli`, with tables where a person is looking, and
//! CSV and lines of JSON for other programs. A listing of any size passes through in constant
//! memory.

mod arguments;
mod columns;
mod csv;
mod failure;
mod flat;
mod follow;
mod human;
mod manual;
mod options;
mod output;
mod place;
mod pretty;
mod progress;
mod proof;
mod table;
mod tokens;
mod told;

pub use arguments::{ArgumentError, Form, params};
pub use pretty::Pretty;
pub use table::render;

use follow::End;
use options::{Format, Hears, Options};
use output::{NoSuchForm, Output, OutputError};
use progress::{Progress, Way};
use sendpay_rpc::client::{CallError, Client};
use sendpay_rpc::elements::ElementError;
use sendpay_rpc::method::{self, Followed};
use sendpay_rpc::notification::Level;
use serde_json::value::RawValue;
use std::ffi::OsString;
use std::io::{self, Write};
use told::Teller;

/// Everything went well.
pub const EXIT_OK: u8 = 0;
/// The method answered with an error.
pub const EXIT_RPC_ERROR: u8 = 1;
/// There is no daemon, or it went away before its answer was whole; or the answer cannot be shown.
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
    /// No terminal: lines of any length, without colours.
    const NONE: Terminal = Terminal {
        columns: usize::MAX,
        colours: false,
    };

    /// The terminal of this process: its width, and colours unless `NO_COLOR` is set.
    #[must_use]
    pub fn from_environment() -> Self {
        const USUAL_COLUMNS: usize = 80;
        // Some terminals do not know their width, and say 0.
        let columns = comfy_table::Table::new()
            .width()
            .filter(|columns| *columns > 0)
            .map_or(USUAL_COLUMNS, usize::from);
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Terminal { columns, colours }
    }
}

/// Runs the program and gives its exit code. `terminal` is there if `out` is a terminal.
///
/// If `out` is closed by who reads a result, as with `| head`, the rest is left out and all is well. What
/// failed has failed also if nobody reads why.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
    terminal: Option<Terminal>,
) -> u8 {
    run_showing(arguments, out, err, terminal, Progress::hidden(), |_| false)
}

/// As [`run`], for a whole process: `help METHOD` shows the manual page by `man` if there is one,
/// and while a long result goes to a file or a pipe, standard error shows how far it is, if that is
/// a terminal.
pub fn run_with_progress(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
    terminal: Option<Terminal>,
) -> u8 {
    let progress = match terminal {
        Some(_) => Progress::hidden(),
        None => Progress::on_stderr(),
    };
    run_showing(arguments, out, err, terminal, progress, manual::show)
}

fn run_showing(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    err: &mut dyn Write,
    terminal: Option<Terminal>,
    progress: Progress,
    show_page: impl Fn(&str) -> bool,
) -> u8 {
    let code = match Options::read(arguments) {
        Ok(options) if options.page().is_some_and(show_page) => Ok(EXIT_OK),
        Ok(options) if options.method() == proof::NAME => {
            proof::run(&options.params, options.format(terminal), out, err)
        }
        Ok(options) => call(&options, out, err, terminal, progress),
        Err(refused) => refused.explain(out, err),
    };
    match code.and_then(|code| unread(out.flush(), code)) {
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

/// What has come of it, also if what was `written` of that nobody reads.
pub(crate) fn unread<T>(written: io::Result<()>, outcome: T) -> io::Result<T> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(outcome),
    }
}

/// Why there is no whole output.
enum Failure {
    Call(CallError),
    Output(OutputError),
}

fn call(
    options: &Options,
    out: &mut dyn Write,
    err: &mut dyn Write,
    terminal: Option<Terminal>,
    progress: Progress,
) -> io::Result<u8> {
    let read = params(&options.params, options.form())
        .and_then(|params| Ok((params, options.filter().map(arguments::filter).transpose()?)));
    let (params, filter) = match read {
        Ok(read) => read,
        Err(error) => {
            return unread(writeln!(err, "sendpay-cli: {error}"), EXIT_USAGE);
        }
    };
    let format = options.format(terminal);
    let method = options.method();
    if !options.has_method() {
        // As `lightning-cli` does: somebody looks around.
        writeln!(out, "{}", Options::usage())?;
        writeln!(
            out,
            "Asking sendpayd for its methods (\"sendpay-cli help\"):\n"
        )?;
    }
    if let Some(followed) = method::find(method).and_then(|entry| entry.followed_by) {
        let request = (&*params, filter);
        return follow(options, request, followed, format, out, err);
    }
    let output = match Output::new(&mut *out, format, method, filter.is_some()) {
        Ok(output) => output,
        Err(NoSuchForm(reason)) => {
            let told = failure::no_such_form(err, method, format, reason);
            return unread(told, EXIT_USAGE);
        }
    };
    let failure = match transfer(options, &params, filter, output, progress, err)? {
        Ok(None) => return Ok(EXIT_OK),
        Ok(Some(left_out)) => {
            let told = writeln!(err, "sendpay-cli: not in the output: {left_out}");
            return unread(told, EXIT_OK);
        }
        Err(failure) => failure,
    };
    match failure {
        Failure::Call(error) => not_answered(options, format, &error, out, err),
        Failure::Output(OutputError::Elements(ElementError::NoList)) => {
            let told = failure::no_such_form(err, method, format, "its result is no list");
            unread(told, EXIT_USAGE)
        }
        Failure::Output(OutputError::Write(error)) => Err(error),
        Failure::Output(error) => unread(failure::no_answer(err, &error), EXIT_NO_CONNECTION),
    }
}

/// Shows what follows the answer of a method, until it ends.
fn follow(
    options: &Options,
    request: (&RawValue, Option<Box<RawValue>>),
    followed: Followed,
    format: Format,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let method = options.method();
    let Some(form) = follow::Form::of(format, options.is_format_chosen()) else {
        let told = failure::no_such_form(err, method, format, "its result is no list");
        return unread(told, EXIT_USAGE);
    };
    match follow::run(options.socket(), method, request, followed, form, out)? {
        End::Closed => {
            let told = writeln!(err, "sendpay-cli: the daemon closed the connection");
            unread(told, EXIT_NO_CONNECTION)
        }
        End::Call(error) => not_answered(options, format, &error, out, err),
    }
}

/// Tells why there is no result, and gives the exit code.
fn not_answered(
    options: &Options,
    format: Format,
    error: &CallError,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<u8> {
    let CallError::Rpc(error) = error else {
        let told = failure::no_answer(err, error).and_then(|()| failure::what_now(err, error));
        return unread(told, EXIT_NO_CONNECTION);
    };
    let told = match format {
        Format::Table(terminal) => failure::explain(err, options.method(), error, terminal),
        Format::Csv | Format::JsonLines => {
            failure::explain(err, options.method(), error, Terminal::NONE)
        }
        Format::Json | Format::Raw | Format::Human | Format::Flat => {
            failure::print(out, error, format)
        }
    };
    // What is buffered finds out here that nobody reads it.
    unread(told.and_then(|()| out.flush()), EXIT_RPC_ERROR)
}

/// Takes the result from the daemon to the output. Gives what is not in the output.
fn transfer(
    options: &Options,
    params: &RawValue,
    filter: Option<Box<RawValue>>,
    mut output: Output<'_>,
    mut progress: Progress,
    err: &mut dyn Write,
) -> io::Result<Result<Option<String>, Failure>> {
    let mut refused = None;
    let (wants_to_be_told, from) = match options.hears() {
        Hears::Nothing => (false, Level::Broken),
        Hears::From(level) => (true, level),
    };
    let mut teller = Teller::new(err, from);
    let socket = options.socket();
    progress.know(|| Way::of(options.method(), params, socket));
    let outcome = Client::connect(socket).and_then(|mut client| {
        if wants_to_be_told {
            // A daemon that tells nothing does what it is asked all the same.
            match client.enable_notifications() {
                Ok(()) | Err(CallError::Rpc(_)) => {}
                Err(error) => return Err(error),
            }
        }
        client.set_filter(filter);
        client.call_telling(
            options.method(),
            &params,
            &mut |notification| teller.tell(notification),
            &mut |bytes| {
                progress.tell(output.records(), output.bytes(), bytes);
                output.write(bytes).map_err(|error| {
                    refused = Some(error);
                    io::ErrorKind::Other.into()
                })
            },
        )
    });
    teller.end();
    progress.end();
    let failure = match (outcome, refused) {
        (Ok(()), _) => match output.finish() {
            Ok(left_out) => return Ok(Ok(left_out)),
            Err(error) => Failure::Output(error),
        },
        // Nothing more can be written.
        (Err(_), Some(OutputError::Write(error))) => return Err(error),
        (Err(_), Some(error)) => unread(output.cut_off(), Failure::Output(error))?,
        (Err(error), None) => unread(output.cut_off(), Failure::Call(error))?,
    };
    Ok(Err(failure))
}
