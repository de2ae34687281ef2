//! How far a long result is: a moving line on standard error, for whoever waits for a file.

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// How long a result may take without a word: less is not worth a line.
const DELAY: Duration = Duration::from_secs(2);

/// The line. Whether it is a template shows only when it is used, which the tests below do.
const TEMPLATE: &str = "{spinner} {msg}, {elapsed}";

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
            self.line = Some(line(target, began.elapsed()));
        }
        if let Some(line) = &self.line {
            line.set_message(message(records, bytes, began.elapsed()));
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

fn line(target: ProgressDrawTarget, elapsed: Duration) -> ProgressBar {
    let line = ProgressBar::with_draw_target(None, target).with_elapsed(elapsed);
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        line.set_style(style);
    }
    line
}

/// How much there is, and how much of it comes in a second.
fn message(records: u64, bytes: u64, elapsed: Duration) -> String {
    let milliseconds = elapsed.as_millis().max(1);
    let rate = |count: u64| {
        let rate = u128::from(count) * 1000 / milliseconds;
        u64::try_from(rate).unwrap_or(u64::MAX)
    };
    let sizes = format!("{} ({}/s)", HumanBytes(bytes), HumanBytes(rate(bytes)));
    match records {
        0 => sizes,
        _ => format!(
            "{} records ({}/s), {sizes}",
            HumanCount(records),
            HumanCount(rate(records))
        ),
    }
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
        assert!(text.contains("1,234,567 records ("), "{text}");
        assert!(text.contains("/s), 3.00 MiB ("), "{text}");
        assert!(text.contains("/s), 0s"), "{text}");
        progress.end();
        assert!(recorder.text().ends_with("<clear>"), "{}", recorder.text());
    }

    #[test]
    fn a_result_that_nobody_looks_into_shows_bytes() {
        let recorder = Recorder::default();
        let mut progress = on(&recorder, Duration::ZERO);
        progress.tell(0, 3 << 20);
        let text = recorder.text();
        assert!(text.contains("3.00 MiB ("), "{text}");
        assert!(!text.contains("records"), "{text}");
    }

    #[test]
    fn rates_are_those_of_the_whole_time() {
        assert_eq!(
            message(3_000_000, 3 << 20, Duration::from_secs(3)),
            "3,000,000 records (1,000,000/s), 3.00 MiB (1.00 MiB/s)"
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
