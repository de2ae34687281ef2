//! `[autoclean]`: which old records are removed, and where they go first.

use super::ConfigError;
use super::keys::settings;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often old records are looked for when the user does not say; as in CLN.
const CYCLE: Duration = Duration::from_secs(3600);

settings! {
    /// `[autoclean]` as the user wrote it. A length of time is in seconds, or has a unit: 90m, 12h,
    /// 30d, 52w.
    pub(super) struct RawAutoclean {
        /// How long complete records are kept after they completed: seconds, or "90m", "12h", "30d",
        /// "52w". Without it, for ever.
        complete_after: RawSpan = unset(r#""52w""#),
        /// How long failed records are kept after they failed. Without it, for ever.
        failed_after: RawSpan = unset(r#""30d""#),
        /// How often old ones are looked for.
        cycle: RawSpan = default(r#""1h""#),
        /// The file that they are written to first, a line of JSON for each; a relative path is one
        /// in DIR. Without it, they are gone.
        archive: PathBuf = unset(r#""archive.jsonl""#),
    }
}

/// A length of time: seconds, or a number with s, m, h, d or w.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum RawSpan {
    Seconds(u64),
    Text(String),
}

/// Which old records are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutocleanConfig {
    /// How long complete records are kept; for ever if `None`.
    pub complete_after: Option<Duration>,
    /// How long failed records are kept; for ever if `None`.
    pub failed_after: Option<Duration>,
    /// How often old ones are looked for.
    pub cycle: Duration,
    /// The file that they are written to first.
    pub archive: Option<PathBuf>,
}

impl RawAutoclean {
    /// What of it applies; `None` if nothing is ever removed.
    pub(super) fn check(self, dir: &Path) -> Result<Option<AutocleanConfig>, ConfigError> {
        let complete_after = check_span("autoclean.complete_after", self.complete_after)?;
        let failed_after = check_span("autoclean.failed_after", self.failed_after)?;
        let cycle = check_span("autoclean.cycle", self.cycle)?;
        if complete_after.is_none() && failed_after.is_none() {
            let alone = [
                ("autoclean.cycle", cycle.is_some()),
                ("autoclean.archive", self.archive.is_some()),
            ];
            return match alone.into_iter().find(|(_, given)| *given) {
                None => Ok(None),
                Some((key, _)) => Err(ConfigError::Value {
                    key,
                    problem: "does nothing without autoclean.complete_after or \
                              autoclean.failed_after"
                        .to_owned(),
                }),
            };
        }
        Ok(Some(AutocleanConfig {
            complete_after,
            failed_after,
            cycle: cycle.unwrap_or(CYCLE),
            archive: self.archive.map(|archive| dir.join(archive)),
        }))
    }
}

fn check_span(key: &'static str, span: Option<RawSpan>) -> Result<Option<Duration>, ConfigError> {
    let Some(span) = span else { return Ok(None) };
    let seconds = match &span {
        RawSpan::Seconds(seconds) => Some(*seconds),
        RawSpan::Text(text) => seconds(text),
    };
    match seconds.filter(|seconds| *seconds > 0) {
        Some(seconds) => Ok(Some(Duration::from_secs(seconds))),
        None => Err(ConfigError::Value {
            key,
            problem: "is no length of time of a second or more, such as 3600, 90m, 12h, 30d or 52w"
                .to_owned(),
        }),
    }
}

/// Reads `90m` and the like.
fn seconds(text: &str) -> Option<u64> {
    let units = [
        ("s", 1),
        ("m", 60),
        ("h", 3600),
        ("d", 86_400),
        ("w", 604_800),
    ];
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
        .unwrap_or((text, &1));
    number.trim().parse::<u64>().ok()?.checked_mul(*unit)
}
