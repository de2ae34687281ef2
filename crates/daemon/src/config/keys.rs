//! The keys of the configuration, each written once: its name, its type, what it is for, and its
//! default. From that come the reading of the file, the flags, the environment variables, the
//! example file and what `--print-config` prints.

/// One key, or a table of them.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in its table.
    pub name: &'static str,
    /// What it is for, line by line.
    pub doc: &'static [&'static str],
    /// What is under it.
    pub kind: Kind,
}

/// What is under a key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A value, and what it is when nobody says, as TOML.
    Default(&'static str),
    /// A value that is not there when nobody says, and one for an example, as TOML.
    Unset(&'static str),
    /// The same; and it is never shown.
    Secret,
    /// More keys.
    Table(&'static [Key]),
}

/// A struct of optional values, which is what the user wrote, and its keys.
macro_rules! settings {
    (
        $(#[doc = $about:literal])*
        $visibility:vis struct $name:ident {
            $($(#[doc = $doc:literal])* $key:ident: $type:ty = $kind:ident($($what:tt)+),)*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        $visibility struct $name {
            $($(#[doc = $doc])* pub(super) $key: Option<$type>,)*
        }

        impl $name {
            pub(super) const KEYS: &'static [$crate::config::keys::Key] = &[$(
                $crate::config::keys::Key {
                    name: stringify!($key),
                    doc: &[$($doc),*],
                    kind: $crate::config::keys::settings!(@kind $kind($($what)+)),
                },
            )*];
        }
    };
    (@kind table($raw:ident)) => { $crate::config::keys::Kind::Table($raw::KEYS) };
    (@kind secret($_example:literal)) => { $crate::config::keys::Kind::Secret };
    (@kind unset($example:literal)) => { $crate::config::keys::Kind::Unset($example) };
    (@kind default($default:literal)) => { $crate::config::keys::Kind::Default($default) };
}
pub(super) use settings;

/// A key that is no table, with the tables that it is in.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// Such as `chain.rpc_address`.
    pub path: String,
    /// The key itself.
    pub key: Key,
}

impl Leaf {
    /// Its flag: `chain-rpc-address`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.path.replace(['.', '_'], "-")
    }

    /// Its environment variable: `SENDPAYD_CHAIN_RPC_ADDRESS`.
    #[must_use]
    pub fn variable(&self) -> String {
        let name = self.path.replace('.', "_").to_uppercase();
        format!("{VARIABLE_PREFIX}{name}")
    }
}

/// With what the environment variables of keys begin.
pub const VARIABLE_PREFIX: &str = "SENDPAYD_";

/// All keys that have values, in the order of the file.
#[must_use]
pub fn leaves(keys: &[Key]) -> Vec<Leaf> {
    let mut found = Vec::new();
    collect(keys, "", &mut found);
    found
}

fn collect(keys: &[Key], prefix: &str, found: &mut Vec<Leaf>) {
    for key in keys {
        let path = format!("{prefix}{}", key.name);
        match key.kind {
            Kind::Table(keys) => collect(keys, &format!("{path}."), found),
            _ => found.push(Leaf { path, key: *key }),
        }
    }
}

/// The first key of a table that there is not, and the name most like it if one is.
pub(super) fn unknown_key(table: &toml::Table, keys: &[Key]) -> Option<(String, Option<String>)> {
    find_unknown(table, keys, "", &leaves(keys))
}

fn find_unknown(
    table: &toml::Table,
    keys: &[Key],
    prefix: &str,
    all: &[Leaf],
) -> Option<(String, Option<String>)> {
    table.iter().find_map(|(name, value)| {
        let path = format!("{prefix}{name}");
        let Some(key) = keys.iter().find(|key| key.name == name) else {
            let like = nearest(&path, all.iter().map(|leaf| leaf.path.as_str()));
            return Some((path, like.map(str::to_owned)));
        };
        match (key.kind, value) {
            (Kind::Table(keys), toml::Value::Table(table)) => {
                find_unknown(table, keys, &format!("{path}."), all)
            }
            _ => None,
        }
    })
}

/// More letters wrong than these, for every three, and it is another word.
const WRONG_OF_THREE: usize = 1;

/// The name that is most like this one, if any is like it.
pub(super) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|candidate| {
            // A key that is only in the wrong table is near.
            let last = candidate.rsplit('.').next().unwrap_or(candidate);
            let moved = if last == name { 1 } else { usize::MAX };
            (distance(name, candidate).min(moved), candidate)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| distance * 3 <= name.chars().count() * WRONG_OF_THREE)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out or changed (Levenshtein's distance).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, letter) in from.chars().enumerate() {
        let mut above_left = done;
        let mut left = done + 1;
        let mut next = vec![left];
        for (above, other) in row.iter().skip(1).zip(&to) {
            let changed = above_left + usize::from(letter != *other);
            left = changed.min(above + 1).min(left + 1);
            above_left = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
