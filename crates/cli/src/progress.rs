//! How far a long result is: a moving line on standard error, for whoever waits for a file. A
//! listing has a bar in it, since the place of a record in its order says how much is behind it.

use indicatif::{
    HumanBytes, HumanCount, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle,
};
use memchr::memmem;
use sendpay_rpc::client::{Client, Extent};
use sendpay_rpc::method;
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a result may take without a word: less is not worth a line.
const DELAY: Duration = Duration::from_secs(2);

/// How long the end of a listing is waited for: without it there is a line, but no bar.
const ASK_TIMEOUT: Duration = Duration::from_secs(1);

/// The steps of the bar.
const STEPS: u64 = 1000;

/// The lines, without and with a bar. Whether they are templates shows only when they are used,
/// which the tests below do.
const TEMPLATE: &str = "{spinner} {msg}, {elapsed}";
const BAR_TEMPLATE: &str = "[{bar:20}] {percent}% {msg}";

/// The line, once it is there.
pub(crate) struct Progress {
    delay: Duration,
    /// When the first bytes came.
    began: Option<Instant>,
    /// Where to draw: taken when the line is made.
    target: Option<ProgressDrawTarget>,
    line: Option<ProgressBar>,
    /// If it is a listing.
    way: Option<Way>,
}

impl Progress {
    /// None at all.
    pub(crate) fn hidden() -> Self {
        Progress {
            delay: DELAY,
            began: None,
            target: None,
            line: None,
            way: None,
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

    /// Tells which way the result goes, if there will be a line.
    pub(crate) fn know(&mut self, way: impl FnOnce() -> Option<Way>) {
        if self.target.is_some() {
            self.way = way();
        }
    }

    /// Tells how much came so far, and the last bytes of it. `records` is 0 where only bytes are
    /// looked at.
    pub(crate) fn tell(&mut self, records: u64, bytes: u64, latest: &[u8]) {
        if self.target.is_none() && self.line.is_none() {
            return;
        }
        let began = *self.began.get_or_insert_with(Instant::now);
        if began.elapsed() < self.delay {
            return;
        }
        if let Some(target) = self.target.take() {
            // Only now is the end asked for: most results are never worth it.
            self.way = self.way.take().and_then(Way::with_its_end);
            let has_bar = self.way.is_some();
            self.line = Some(line(target, has_bar, began.elapsed()));
        }
        let elapsed = began.elapsed();
        let mut message = message(records, bytes, elapsed);
        let steps = self.way.as_mut().map(|way| way.steps(latest));
        if let Some(steps) = steps {
            message = format!("{message}, {}", left(steps, elapsed));
        }
        if let Some(line) = &self.line {
            // Before the words, which draw the line.
            if let Some(steps) = steps {
                line.set_position(steps);
            }
            line.set_message(message);
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

/// The way of a listing: from the place where it begins to the last there is.
pub(crate) struct Way {
    socket: PathBuf,
    extent: Extent,
    /// Finds where a record says its place. In a string of JSON no quotation mark stands by itself,
    /// so this is the name of a member wherever it stands.
    finder: memmem::FinderRev<'static>,
    /// The last place there was when the line was made.
    last: u64,
    steps: u64,
}

impl Way {
    /// That of the result of a method; none if it is no listing in order.
    pub(crate) fn of(method: &str, params: &RawValue, socket: &Path) -> Option<Self> {
        let params = serde_json::from_str(params.get()).ok()?;
        let extent = Extent::of(method::find(method)?, &params)?;
        let name = format!("\"{}\":", extent.member());
        Some(Way {
            socket: socket.to_owned(),
            extent,
            finder: memmem::FinderRev::new(&name).into_owned(),
            last: 0,
            steps: 0,
        })
    }

    /// Asks where it ends, on a connection of its own. None if nobody says.
    fn with_its_end(mut self) -> Option<Self> {
        let mut client = Client::connect(&self.socket).ok()?;
        client.set_timeout(Some(ASK_TIMEOUT)).ok()?;
        self.last = self.extent.last(&mut client).ok()?;
        Some(self)
    }

    /// How many of [`STEPS`] are behind, after these bytes of the listing.
    fn steps(&mut self, latest: &[u8]) -> u64 {
        if let Some(place) = self.place(latest) {
            let (passed, all) = self.extent.passed(place, self.last);
            let steps = u128::from(passed) * u128::from(STEPS) / u128::from(all.max(1));
            self.steps = u64::try_from(steps).unwrap_or(STEPS);
        }
        self.steps
    }

    /// The place of the last record in these bytes that has one.
    fn place(&self, bytes: &[u8]) -> Option<u64> {
        let mut until = bytes.len();
        loop {
            let at = self.finder.rfind(bytes.get(..until)?)?;
            let number = bytes.get(at + self.finder.needle().len()..)?;
            let length = number
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            // What the bytes end in may go on.
            if length < number.len() {
                return std::str::from_utf8(number.get(..length)?)
                    .ok()?
                    .parse()
                    .ok();
            }
            until = at;
        }
    }
}

fn line(target: ProgressDrawTarget, has_bar: bool, elapsed: Duration) -> ProgressBar {
    let (length, template) = if has_bar {
        (Some(STEPS), BAR_TEMPLATE)
    } else {
        (None, TEMPLATE)
    };
    let line = ProgressBar::with_draw_target(length, target).with_elapsed(elapsed);
    if let Ok(style) = ProgressStyle::with_template(template) {
        line.set_style(style.progress_chars("#> "));
    }
    line
}

/// How long the rest will take if it goes on as it went.
fn left(steps: u64, elapsed: Duration) -> String {
    if steps == 0 {
        return "just begun".to_owned();
    }
    let rest = u128::from(STEPS.saturating_sub(steps));
    let milliseconds = elapsed.as_millis() * rest / u128::from(steps);
    let rest = Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX));
    format!("{} left", HumanDuration(rest))
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
        progress.tell(1_234_567, 3 << 20, b"");
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
        progress.tell(0, 3 << 20, b"");
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
        progress.tell(1, 1, b"");
        progress.tell(1_000_000, 1 << 30, b"");
        progress.end();
        assert_eq!(recorder.text(), "");
    }

    /// A way whose end is known.
    fn way(params: &str, last: u64) -> Way {
        let params = RawValue::from_string(params.to_owned()).unwrap();
        let mut way = Way::of("listsendpays", &params, Path::new("/nowhere")).unwrap();
        way.last = last;
        way
    }

    #[test]
    fn a_listing_is_as_far_as_the_place_of_its_last_whole_record() {
        let mut all = way("[]", 1000);
        assert_eq!(all.steps(br#"{"payments":[{"created_index":1,"#), 1);
        assert_eq!(
            all.steps(
                br#"{"created_index":250,"label":"\"created_index\":900,"},{"created_index":26"#
            ),
            250
        );
        // Nothing to be seen: as before.
        assert_eq!(all.steps(br#""bolt11":"lnbcrt"#), 250);
        assert_eq!(all.steps(br#"{"created_index":1000,"#), 1000);
        assert_eq!(all.steps(br#"{"created_index":1003,"#), 1000);
        let newest = r#"{"index":"updated","order":"desc"}"#;
        let mut newest = way(newest, 1000);
        let record = br#"{"created_index":900,"id":900,"updated_index":800,"#;
        assert_eq!(newest.steps(record), 200);
    }

    #[test]
    fn a_bar_says_how_much_is_behind_and_how_long_the_rest_takes() {
        assert_eq!(left(250, Duration::from_secs(3)), "9 seconds left");
        let recorder = Recorder::default();
        let bar = line(
            ProgressDrawTarget::term_like(Box::new(recorder.clone())),
            true,
            Duration::from_secs(3),
        );
        bar.set_message("words");
        bar.set_position(250);
        bar.tick();
        let text = recorder.text();
        assert!(text.contains("[#####>              ] 25% words"), "{text}");
    }

    #[test]
    fn without_a_daemon_that_tells_the_end_there_is_a_line_without_a_bar() {
        let recorder = Recorder::default();
        let mut progress = on(&recorder, Duration::ZERO);
        progress.know(|| Some(way("[]", 0)));
        progress.tell(1000, 3 << 20, br#"{"created_index":7,"#);
        let text = recorder.text();
        assert!(text.contains("1,000 records"), "{text}");
        assert!(!text.contains('%') && !text.contains("left"), "{text}");
    }
}
