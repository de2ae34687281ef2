//! What a command tells while it runs: lines that begin with `#`, and a bar of its progress.
//!
//! They go to standard error, so that what is read from standard output is the result alone.

use std::io::{self, Write};

use sendpay_rpc::notification::{Level, Stage, Told};

/// The characters of the bar.
const BAR_COLUMNS: u64 = 60;

/// Where notifications are written.
pub(crate) struct Teller<'a> {
    err: &'a mut dyn Write,
    /// Messages below this one are not shown.
    from: Level,
    /// Whether the last line is a bar that is not full.
    in_bar: bool,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(err: &'a mut dyn Write, from: Level) -> Self {
        Teller {
            err,
            from,
            in_bar: false,
        }
    }

    /// Shows a notification, unless it matters too little. Where nothing can be written there is
    /// nobody to tell.
    pub(crate) fn tell(&mut self, notification: &Told) {
        let _ = match notification {
            Told::Message { level, .. } if *level < self.from => Ok(()),
            Told::Message { message, .. } => self.message(message),
            Told::Progress { num, total, stage } => self.progress(*num, *total, *stage),
        };
    }

    /// Ends the line of a bar that was not full.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.in_bar) {
            let _ = writeln!(self.err);
        }
    }

    fn message(&mut self, message: &str) -> io::Result<()> {
        self.end();
        // A message is one line, and no terminal is told what to do by it.
        let line = message.replace(char::is_control, " ");
        writeln!(self.err, "# {line}")
    }

    fn progress(&mut self, num: u32, total: u32, stage: Option<Stage>) -> io::Result<()> {
        let (num, total) = (u64::from(num), u64::from(total));
        let filled = match total {
            0 | 1 => BAR_COLUMNS,
            _ => (num * BAR_COLUMNS / (total - 1)).min(BAR_COLUMNS),
        };
        let columns = |count: u64| usize::try_from(count).unwrap_or_default();
        let bar = "=".repeat(columns(filled)) + &" ".repeat(columns(BAR_COLUMNS - filled));
        let width = total.to_string().len();
        write!(self.err, "\r# ")?;
        if let Some(Stage { num, total }) = stage {
            let width = total.to_string().len();
            write!(self.err, "Stage {:width$}/{total} ", u64::from(num) + 1)?;
        }
        write!(self.err, "{:width$}/{total} |{bar}|", num + 1)?;
        self.in_bar = true;
        if num + 1 >= total {
            self.end();
        }
        self.err.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn shown(from: Level, notifications: &[Told]) -> String {
        let mut err = Vec::new();
        let mut teller = Teller::new(&mut err, from);
        for notification in notifications {
            teller.tell(notification);
        }
        teller.end();
        String::from_utf8(err).unwrap()
    }

    fn message(level: Level, message: &str) -> Told {
        let message = message.to_owned();
        Told::Message { level, message }
    }

    fn progress(num: u32, total: u32, stage: Option<Stage>) -> Told {
        Told::Progress { num, total, stage }
    }

    #[test]
    fn messages_are_lines_from_a_level_on() {
        let all = [
            message(Level::Debug, "d"),
            message(Level::Info, "i"),
            message(Level::Unusual, "u\x1b[2J\n"),
        ];
        assert_eq!(shown(Level::Info, &all), "# i\n# u [2J \n");
        assert_eq!(shown(Level::Debug, &all), "# d\n# i\n# u [2J \n");
        assert_eq!(shown(Level::Broken, &all), "");
    }

    #[test]
    fn progress_is_a_bar_that_a_message_does_not_break() {
        let stage = Some(Stage { num: 0, total: 12 });
        let text = shown(
            Level::Info,
            &[progress(1, 100, stage), message(Level::Info, "i")],
        );
        assert_eq!(
            text,
            format!("\r# Stage  1/12   2/100 |{}|\n# i\n", " ".repeat(60))
        );
        let full = shown(Level::Info, &[progress(6, 7, None)]);
        assert_eq!(full, format!("\r# 7/7 |{}|\n", "=".repeat(60)));
        let half = shown(Level::Info, &[progress(1, 3, None)]);
        assert_eq!(
            half,
            format!("\r# 2/3 |{}{}|\n", "=".repeat(30), " ".repeat(30))
        );
        for odd in [
            progress(0, 0, None),
            progress(9, 1, None),
            progress(u32::MAX, u32::MAX, None),
        ] {
            assert!(shown(Level::Info, &[odd]).ends_with("=|\n"));
        }
    }
}
