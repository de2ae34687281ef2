//! The binary `sendpay-cli`: hands the process's arguments and streams to the library.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

fn main() -> ExitCode {
    let terminal = io::stdout()
        .is_terminal()
        .then(sendpay_cli::Terminal::from_environment);
    let code = sendpay_cli::run_with_progress(
        std::env::args_os(),
        &mut io::stdout().lock(),
        &mut io::stderr().lock(),
        terminal,
    );
    ExitCode::from(code)
}
