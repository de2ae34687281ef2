//! How far a long result is: a moving line on standard error, for whoever waits for a file.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// How long a result may take without a word: less is not worth a line.
const DELAY: Duration = Duration::from_secs(2);

/// Records where they are looked at, else bytes. The style is not known to be right before it
/// runs; the tests below run it.
const RECORDS: &str = "{spinner} {human_pos} records, {msg}, {per_sec:0}, {elapsed}";
const BYTES: &str = "{spinner} {bytes}, {bytes_per_sec}, {elapsed}";

/// The line, once it is there.
pub(crate) struct Progress {
    delay: Duration,
    /// When the first bytes came.
    began: Option<Instant>,
    /// Where to draw: taken when the line is made.
    target: Option<ProgressDrawTarget>,
    line: Option<ProgressBar>,
}

impl Progress {
    /// None at all.
    pub(crate) fn hidden() -> Self {
        Progress {
            delay: DELAY,
            began: None,
            target: None,
            line: None,
        }
    }

    /// On the process's standard error, if that is a terminal.
    pub(crate) fn on_stderr() -> Self {
        let target = ProgressDrawTarget::stderr();
        Progress {
            target: (!target.is_hidden()).then_some(target),
            ..Self::hidden()
        }
    }

    /// Tells how much came so far. `records` is 0 where only bytes are looked at.
    pub(crate) fn tell(&mut self, records: u64, bytes: u64) {
        if self.target.is_none() && self.line.is_none() {
            return;
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        if began.elapsed() < self.delay {
            return;
        }
        if let Some(target) = self.target.take() {
            self.line = Some(line(target, records > 0, began.elapsed()));
        }
        if let Some(line) = &self.line {
            if records > 0 {
                line.set_message(indicatif::HumanBytes(bytes).to_string());
                line.set_position(records);
            } else {
                line.set_position(bytes);
            }
            line.tick();
        }
    }

    /// Takes the line away.
    pub(crate) fn end(&mut self) {
        if let Some(line) = self.line.take() {
            line.finish_and_clear();
        }
    }
}

fn line(target: ProgressDrawTarget, has_records: bool, elapsed: Duration) -> ProgressBar {
    let template = if has_records { RECORDS } else { BYTES };
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    let line = ProgressBar::with_draw_target(None, target).with_elapsed(elapsed);
    line.set_style(style);
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use indicatif::TermLike;
    use std::io;
    use std::sync::{Arc, Mutex};

    /// A terminal that remembers all that was ever written to it.
    #[derive(Debug, Clone, Default)]
    struct Recorder(Arc<Mutex<String>>);

    impl Recorder {
        fn text(&self) -> String {
            self.0.lock().unwrap().clone()
        }
    }

    impl TermLike for Recorder {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.write_str("<clear>")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn on(recorder: &Recorder, delay: Duration) -> Progress {
        Progress {
            delay,
            target: Some(ProgressDrawTarget::term_like(Box::new(recorder.clone()))),
            ..Progress::hidden()
        }
    }

    #[test]
    fn a_long_result_shows_records_and_bytes_and_leaves_nothing_behind() {
        let recorder = Recorder::default();
        let mut progress = on(&recorder, Duration::ZERO);
        progress.tell(1_234_567, 3 << 20);
        let text = recorder.text();
        assert!(text.contains("1,234,567 records, 3.00 MiB, "), "{text}");
        assert!(text.contains("/s"), "{text}");
        progress.end();
        assert!(recorder.text().ends_with("<clear>"), "{}", recorder.text());
    }

    #[test]
    fn a_result_that_nobody_looks_into_shows_bytes() {
        let recorder = Recorder::default();
        let mut progress = on(&recorder, Duration::ZERO);
        progress.tell(0, 3 << 20);
        assert!(
            recorder.text().contains("3.00 MiB, "),
            "{}",
            recorder.text()
        );
    }

    #[test]
    fn a_result_that_is_soon_there_shows_nothing() {
        let recorder = Recorder::default();
        let mut progress = on(&recorder, Duration::from_secs(3600));
        progress.tell(1, 1);
        progress.tell(1_000_000, 1 << 30);
        progress.end();
        assert_eq!(recorder.text(), "");
    }
}
