//! What a client may be told of a command while it runs, if it asked for that with `notifications`.
//!
//! Both kinds are CLN's: a `message` for people and a `progress`. They name the request that they
//! are about by its id, and have no id of their own. They come before the reply, and between the
//! replies of the connection. The daemon sends messages only: pyln-client takes a `progress` for the
//! reply. `sendpay-cli` shows both, whoever sends them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::Id;

/// The method of a notification with a [`Message`].
pub const MESSAGE: &str = "message";

/// The method of a notification with a [`Progress`].
pub const PROGRESS: &str = "progress";

/// How much a message matters; CLN's levels of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every byte that goes in and out; none of ours.
    Trace,
    /// What is read and written; none of ours.
    Io,
    /// For whoever looks for a mistake.
    Debug,
    /// For whoever waits for the command.
    Info,
    /// What should not happen often.
    Unusual,
    /// What should not happen.
    Broken,
}

/// The text names no level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid level")]
pub struct NoLevel;

impl Level {
    /// Every level, the least first.
    pub const ALL: [Level; 6] = [
        Level::Trace,
        Level::Io,
        Level::Debug,
        Level::Info,
        Level::Unusual,
        Level::Broken,
    ];

    /// The level's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Io => "io",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Unusual => "unusual",
            Level::Broken => "broken",
        }
    }
}

impl FromStr for Level {
    type Err = NoLevel;

    fn from_str(text: &str) -> Result<Self, NoLevel> {
        let named = |level: &Level| level.as_str() == text;
        Level::ALL.into_iter().find(named).ok_or(NoLevel)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The parameters of a `message`.
#[derive(Debug, Clone, Serialize)]
pub struct Message<'a> {
    /// The id of the request that it is about.
    pub id: &'a Id,
    /// How much it matters.
    pub level: Level,
    /// What happened, for people.
    pub message: &'a str,
}

/// The parameters of a `progress`.
#[derive(Debug, Clone, Serialize)]
pub struct Progress<'a> {
    /// The id of the request that it is about.
    pub id: &'a Id,
    /// How far it is, from 0 to one less than `total`.
    pub num: u32,
    /// How far it is in all.
    pub total: u32,
    /// Of which stage, if there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
}

/// One stage of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Which, from 0 to one less than `total`.
    pub num: u32,
    /// How many there are.
    pub total: u32,
}

/// What a client is told, as it reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Something happened.
    Message {
        /// How much it matters.
        level: Level,
        /// What happened.
        message: String,
    },
    /// It is so far.
    Progress {
        /// How far, from 0.
        num: u32,
        /// How far in all.
        total: u32,
        /// Of which stage, if there are several.
        stage: Option<Stage>,
    },
}

impl Told {
    /// Reads a notification; none if it is of another kind, or not as it should be.
    #[must_use]
    pub fn read(method: &str, params: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Message {
            level: Level,
            message: String,
        }
        #[derive(Deserialize)]
        struct Progress {
            num: u32,
            total: u32,
            stage: Option<Stage>,
        }
        match method {
            MESSAGE => {
                let Message { level, message } = serde_json::from_str(params.get()).ok()?;
                Some(Told::Message { level, message })
            }
            PROGRESS => {
                let Progress { num, total, stage } = serde_json::from_str(params.get()).ok()?;
                Some(Told::Progress { num, total, stage })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::reply::notification;

    #[test]
    fn notifications_are_written_as_clns_are_and_read_again() {
        let raw = serde_json::from_str::<&RawValue>(r#""cli:pay#1""#).unwrap();
        let id = Id::from_raw(raw);
        let message = Message {
            id: &id,
            level: Level::Info,
            message: "Part 1 is complete",
        };
        let bytes = notification(MESSAGE, &message).unwrap();
        let expected = "{\"jsonrpc\":\"2.0\",\"method\":\"message\",\"params\":\
             {\"id\":\"cli:pay#1\",\"level\":\"info\",\"message\":\"Part 1 is complete\"}}\n\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);

        let stage = Some(Stage { num: 1, total: 2 });
        let progress = Progress {
            id: &id,
            num: 3,
            total: 7,
            stage,
        };
        let bytes = notification(PROGRESS, &progress).unwrap();
        let expected = "{\"jsonrpc\":\"2.0\",\"method\":\"progress\",\"params\":\
             {\"id\":\"cli:pay#1\",\"num\":3,\"total\":7,\"stage\":{\"num\":1,\"total\":2}}}\n\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);

        let params = serde_json::value::to_raw_value(&progress).unwrap();
        let read = Told::Progress {
            num: 3,
            total: 7,
            stage,
        };
        assert_eq!(Told::read(PROGRESS, &params), Some(read));
        assert_eq!(Told::read(MESSAGE, &params), None);
        assert_eq!(Told::read("sendpay_changed", &params), None);
    }

    #[test]
    fn levels_have_names_and_an_order() {
        for level in Level::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
        }
        assert_eq!("loud".parse::<Level>(), Err(NoLevel));
        assert!(Level::ALL.is_sorted());
    }
}
