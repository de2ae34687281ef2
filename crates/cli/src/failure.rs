//! Errors, for scripts as JSON and for people with what to do next.

use crate::Terminal;
use crate::options::Format;
use crate::pretty::Pretty;
use sendpay_rpc::client::CallError;
use sendpay_rpc::error::{Code, RpcError};
use std::error::Error;
use std::io::{self, Write};

/// Prints the error object, as `lightning-cli` does.
pub(crate) fn print(out: &mut dyn Write, error: &RpcError, format: Format) -> io::Result<()> {
    let bytes = serde_json::to_vec(error)?;
    let mut lines = Vec::new();
    if format == Format::Raw {
        lines = bytes;
    } else {
        Pretty::new().write(&bytes, &mut lines);
    }
    lines.push(b'\n');
    out.write_all(&lines)
}

/// Tells a person what went wrong.
pub(crate) fn explain(
    err: &mut dyn Write,
    method: &str,
    error: &RpcError,
    terminal: Terminal,
) -> io::Result<()> {
    let (red, plain) = if terminal.colours {
        ("\x1b[31m", "\x1b[0m")
    } else {
        ("", "")
    };
    writeln!(
        err,
        "{red}{method}: {}{plain} (code {})",
        error.message, error.code
    )?;
    if let Some(data) = &error.data {
        let mut lines = Vec::new();
        Pretty::new().write(data.to_string().as_bytes(), &mut lines);
        lines.push(b'\n');
        err.write_all(&lines)?;
    }
    match error.code() {
        Some(code) => match what_next(code, method) {
            Some(hint) => writeln!(err, "{hint}"),
            None => writeln!(err, "{}", code.meaning()),
        },
        None => Ok(()),
    }
}

/// What a person can do about an error, where there is something.
fn what_next(code: Code, method: &str) -> Option<String> {
    Some(match code {
        Code::MethodNotFound => "`sendpay-cli help` lists the methods.".to_owned(),
        Code::InvalidParams => format!("`sendpay-cli help {method}` explains the parameters."),
        Code::PayInProgress => "It may still complete: `sendpay-cli listsendpays status=pending` \
             shows what is under way, `sendpay-cli waitsendpay PAYMENT_HASH` waits for it."
            .to_owned(),
        Code::PayRhashAlreadyUsed => "`sendpay-cli listsendpays payment_hash=PAYMENT_HASH` shows \
             what was sent before."
            .to_owned(),
        Code::PayTryOtherRoute => "Another route may work: `sendpay-cli getroute` finds one, and \
             `sendpay-cli pay` tries them by itself."
            .to_owned(),
        Code::PayNoSuchPayment => "`sendpay-cli listsendpays` shows what was sent.".to_owned(),
        Code::FundCannotAfford => "`sendpay-cli newaddr` gives an address to send bitcoin to, \
             `sendpay-cli listfunds` shows what there is."
            .to_owned(),
        Code::FundingPeerNotConnected | Code::FundingUnknownPeer => {
            "`sendpay-cli connect ID@HOST:PORT` connects to a node.".to_owned()
        }
        _ => return None,
    })
}

/// Tells that there is no answer, or none that can be shown.
pub(crate) fn no_answer(err: &mut dyn Write, error: &dyn Error) -> io::Result<()> {
    write!(err, "sendpay-cli: {error}")?;
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(err, ": {error}")?;
        cause = error.source();
    }
    writeln!(err)
}

/// Tells what to do where there is no daemon.
pub(crate) fn what_now(err: &mut dyn Write, error: &CallError) -> io::Result<()> {
    match error {
        CallError::Connect { .. } => writeln!(
            err,
            "Is sendpayd running? If it is, name its directory with --dir and its network with \
             --network."
        ),
        _ => Ok(()),
    }
}

/// Tells that a method's result cannot be shown in a format.
pub(crate) fn no_such_form(
    err: &mut dyn Write,
    method: &str,
    format: Format,
    reason: &str,
) -> io::Result<()> {
    let name = if format == Format::Csv {
        "csv"
    } else {
        "jsonl"
    };
    writeln!(
        err,
        "sendpay-cli: --format {name} cannot be used with {method}: {reason} (--format json shows \
         any result)"
    )
}
