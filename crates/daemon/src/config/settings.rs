//! What the user wrote, and where: the file, over it the environment, over that the flags.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

use super::keys::{Key, Kind, Leaf, VARIABLE_PREFIX, leaves, nearest, unknown_key};
use super::raw::Raw;
use super::shown::COMMAND_LINE;
use super::{Config, ConfigError, FILE_BYTES_MAX, FILE_NAME};

/// Columns of the text that `--print-config` explains a key in.
const COLUMNS: usize = 96;

/// What the user wrote, key by key.
#[derive(Clone, Default)]
pub struct Settings {
    table: toml::Table,
    /// Where each key was written.
    origins: BTreeMap<String, Origin>,
}

/// Where a value comes from.
#[derive(Clone)]
enum Origin {
    File(PathBuf),
    Variable(String),
    Flag,
}

impl Origin {
    /// As `listconfigs` tells it.
    fn source(&self) -> String {
        match self {
            Origin::File(path) => path.display().to_string(),
            Origin::Variable(name) => name.clone(),
            Origin::Flag => COMMAND_LINE.to_owned(),
        }
    }

    /// What stands behind the value in the file that `--print-config` prints.
    fn remark(&self) -> String {
        match self {
            Origin::File(_) => String::new(),
            Origin::Variable(name) => format!("from {name}"),
            Origin::Flag => "from the command line".to_owned(),
        }
    }
}

impl Settings {
    /// Every key that there is, with its documentation.
    #[must_use]
    pub fn keys() -> Vec<Leaf> {
        leaves(Raw::KEYS)
    }

    /// Reads `DIR/sendpayd.toml`, if it is there.
    ///
    /// # Errors
    /// If it cannot be read, is no TOML, or has a key that there is not.
    pub fn read(dir: &Path) -> Result<Settings, ConfigError> {
        let file = dir.join(FILE_NAME);
        let table = read_table(&file)?;
        let written = Settings::keys()
            .into_iter()
            .filter(|leaf| find(&table, &leaf.path).is_some());
        let origins = written.map(|leaf| (leaf.path, Origin::File(file.clone())));
        let settings = Settings {
            origins: origins.collect(),
            table,
        };
        settings.known()?;
        Ok(settings)
    }

    /// Puts variables of the environment over it: `SENDPAYD_CHAIN_RPC_ADDRESS` for
    /// `chain.rpc_address`. Others than these are passed over, but for those that look like one.
    ///
    /// # Errors
    /// If one begins with `SENDPAYD_` and is of no key, or is no text.
    pub fn environment(
        &mut self,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<(), ConfigError> {
        let keys = Settings::keys();
        for (variable, value) in variables {
            let Some(variable) = variable.to_str() else {
                continue;
            };
            if !variable.starts_with(VARIABLE_PREFIX) {
                continue;
            }
            let known: Vec<String> = keys.iter().map(Leaf::variable).collect();
            let Some(leaf) = keys.iter().find(|leaf| leaf.variable() == variable) else {
                let like = nearest(variable, known.iter().map(String::as_str));
                return Err(ConfigError::UnknownVariable {
                    variable: variable.to_owned(),
                    like: like.map(str::to_owned),
                });
            };
            let value = value
                .into_string()
                .map_err(|_| ConfigError::NoText(variable.to_owned()))?;
            let origin = Origin::Variable(variable.to_owned());
            self.put(&leaf.path, &value, origin)?;
        }
        Ok(())
    }

    /// Puts a `key=value` over it.
    ///
    /// # Errors
    /// If it is none, or there is no such key.
    pub fn set(&mut self, assignment: &str) -> Result<(), ConfigError> {
        let (key, value) = assignment
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
            .ok_or_else(|| ConfigError::SetForm(assignment.to_owned()))?;
        self.put(key.trim(), value.trim(), Origin::Flag)?;
        self.known()
    }

    /// The configuration that this makes.
    ///
    /// # Errors
    /// If anything is of the wrong kind, or of no use.
    pub fn config(&self, dir: &Path) -> Result<Config, ConfigError> {
        self.check_secrets()?;
        let raw = Raw::deserialize(self.table.clone()).map_err(|error| {
            // TOML's own texts end with a line break when there is no place to point to.
            ConfigError::Type(error.to_string().trim_end().to_owned())
        })?;
        let told = |(key, origin): (&String, &Origin)| (key.clone(), origin.source());
        let sources = self.origins.iter().map(told).collect();
        Ok(Config {
            sources,
            ..raw.check(dir)?
        })
    }

    /// What reads the table next would show a value of the wrong kind.
    fn check_secrets(&self) -> Result<(), ConfigError> {
        let secrets = Settings::keys()
            .into_iter()
            .filter(|leaf| matches!(leaf.key.kind, Kind::Secret));
        for Leaf { path, .. } in secrets {
            if find(&self.table, &path).is_some_and(|value| !value.is_str()) {
                return Err(ConfigError::Type(format!("{path}: is no text in quotes")));
            }
        }
        Ok(())
    }

    /// Puts `a.b` and its value into the table.
    fn put(&mut self, key: &str, value: &str, origin: Origin) -> Result<(), ConfigError> {
        let known = Settings::keys().into_iter().find(|leaf| leaf.path == key);
        let value = match known {
            Some(leaf) => typed(&leaf.key, value),
            None => toml::Value::from_str(value).unwrap_or_else(|_| value.into()),
        };
        let (tables, last) = key
            .rsplit_once('.')
            .map_or((None, key), |(path, last)| (Some(path), last));
        let mut place = &mut self.table;
        for name in tables.into_iter().flat_map(|path| path.split('.')) {
            let entry = place
                .entry(name)
                .or_insert_with(|| toml::Table::new().into());
            place = entry.as_table_mut().ok_or_else(|| ConfigError::SetPath {
                key: key.to_owned(),
                table: name.to_owned(),
            })?;
        }
        place.insert(last.to_owned(), value);
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }

    fn known(&self) -> Result<(), ConfigError> {
        match unknown_key(&self.table, Raw::KEYS) {
            None => Ok(()),
            Some((key, like)) => Err(ConfigError::Unknown { key, like }),
        }
    }

    /// The configuration file that says the same, with every key explained. What nobody wrote stands
    /// there as a comment, with its default or an example.
    #[must_use]
    pub fn explained(&self) -> String {
        let mut text = String::new();
        comment(
            &mut text,
            &[
                " The configuration of sendpayd: sendpayd.toml in the directory of the node. Each key can be",
                " given on the command line too (--chain-rpc-address VALUE, or --set chain.rpc_address=VALUE)",
                " and in the environment (SENDPAYD_CHAIN_RPC_ADDRESS): the command line goes over the",
                " environment, and that over the file. `sendpayd --print-config` prints this file with what",
                " is in force.",
            ],
        );
        self.explain(&mut text, Raw::KEYS, Some(&self.table), "");
        text
    }

    fn explain(&self, text: &mut String, keys: &[Key], table: Option<&toml::Table>, prefix: &str) {
        for key in keys {
            let path = format!("{prefix}{}", key.name);
            let value = table.and_then(|table| table.get(key.name));
            text.push('\n');
            comment(text, key.doc);
            let name = key.name;
            let remark = self.origins.get(&path).map(Origin::remark);
            let remark = remark.filter(|remark| !remark.is_empty());
            let after = |sign: &str| match &remark {
                Some(remark) => format!("{sign} {remark}"),
                None => String::new(),
            };
            let line = match (key.kind, value) {
                (Kind::Table(keys), value) => {
                    text.push_str(&format!("[{path}]\n"));
                    let table = value.and_then(toml::Value::as_table);
                    self.explain(text, keys, table, &format!("{path}."));
                    continue;
                }
                (Kind::Secret, Some(_)) => format!("# {name} is set, and not shown{}", after(",")),
                (Kind::Secret, None) => format!("# {name} = \"...\""),
                (_, Some(value)) => format!("{name} = {value}{}", after("  #")),
                (Kind::Default(value) | Kind::Unset(value), None) => format!("# {name} = {value}"),
            };
            text.push_str(&line);
            text.push('\n');
        }
    }
}

/// The value of a key with dots.
fn find<'t>(table: &'t toml::Table, path: &str) -> Option<&'t toml::Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((first, rest)) => find(table.get(first)?.as_table()?, rest),
    }
}

/// Documentation as comments of a file, filled up to the columns that it has.
fn comment(text: &mut String, lines: &[&str]) {
    let words = lines.iter().flat_map(|line| line.split_whitespace());
    let mut column = 0;
    for word in words {
        let length = word.chars().count() + 1;
        if column == 0 {
            text.push('#');
            column = 1;
        } else if column + length > COLUMNS {
            text.push_str("\n#");
            column = 1;
        }
        text.push(' ');
        text.push_str(word);
        column += length;
    }
    text.push('\n');
}

/// A value of the command line or the environment: as TOML reads it, but that text needs no quotes,
/// and a list of one neither brackets.
fn typed(key: &Key, text: &str) -> toml::Value {
    let read = toml::Value::from_str(text).ok();
    let like = match key.kind {
        Kind::Default(like) | Kind::Unset(like) => toml::Value::from_str(like).ok(),
        Kind::Secret => Some(toml::Value::String(String::new())),
        Kind::Table(_) => None,
    };
    match (like, read) {
        (Some(toml::Value::String(_)), Some(toml::Value::String(text))) => text.into(),
        // A password of digits, or a span of seconds.
        (Some(toml::Value::String(_)), _) => text.into(),
        (Some(toml::Value::Array(_)), Some(toml::Value::Array(values))) => values.into(),
        (Some(toml::Value::Array(_)), _) => {
            let values = text.split(',').map(|value| toml::Value::from(value.trim()));
            values.collect::<Vec<_>>().into()
        }
        (_, Some(read)) => read,
        (_, None) => text.into(),
    }
}

fn read_table(path: &Path) -> Result<toml::Table, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            return Err(ConfigError::TooLong(path.to_owned()));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(toml::Table::new());
        }
        Err(error) => return Err(failed(error)),
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    text.parse()
        .map_err(|error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            message: told(&text, &error),
        })
}

/// What is wrong, and where. Not the line itself, as TOML's own text has it: it may be of a password.
fn told(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return message.to_owned();
    };
    let line = before.matches('\n').count() + 1;
    let in_line = before.rsplit('\n').next().unwrap_or_default();
    let column = in_line.chars().count() + 1;
    format!("line {line}, column {column}: {message}")
}
