//! What the demo is doing, on standard error: one moving line on a terminal, else a line for each
//! step.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::ProgressBar;

/// How often the sign before the line moves.
const TICK: Duration = Duration::from_millis(100);

/// Where steps are told.
pub(super) struct Progress {
    /// None if nobody is looking.
    line: Option<ProgressBar>,
}

impl Progress {
    pub(super) fn start() -> Progress {
        let line = std::io::stderr().is_terminal().then(|| {
            let line = ProgressBar::new_spinner();
            line.enable_steady_tick(TICK);
            line
        });
        Progress { line }
    }

    /// Tells of the next step.
    pub(super) fn say(&self, text: impl Into<String>) {
        let text = text.into();
        tracing::info!(step = %text, "demo");
        match &self.line {
            Some(line) if !line.is_finished() => line.set_message(text),
            // A standard error that is closed is no reason to stop.
            _ => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }

    /// Takes the moving line away. What is told later gets lines of its own.
    pub(super) fn end(&self) {
        if let Some(line) = &self.line {
            line.finish_and_clear();
        }
    }
}
