//! `docs/compatibility.md`: every method beside Core Lightning's, name by name, with the reason of each
//! difference. Ours is read off the types of the methods, theirs off `cln-26.06.6.txt`, the reasons
//! off `differences.txt`; both files say in their heads how they are written.
//!
//! A difference without a reason is an error here, and so is a reason without its difference: the
//! test in `tests/compatibility.rs` makes the page.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use sendpay_rpc::method::{Entry, METHODS};
use serde_json::Value;

const THEIRS: &str = include_str!("cln-26.06.6.txt");
const REASONS: &str = include_str!("differences.txt");

/// Why there is no page: what is wrong, one line each.
#[derive(Debug)]
pub(crate) struct Wrong(Vec<String>);

impl fmt::Display for Wrong {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Wrong {}

/// A name and whether it must be given, or is always there.
#[derive(Debug, Clone, PartialEq)]
struct Name {
    path: String,
    always: bool,
}

/// What one side takes and answers.
#[derive(Debug, Default)]
struct Side {
    takes: Vec<Name>,
    answers: Vec<Name>,
}

/// What can be different; `Form` is the same name with another meaning or type, which only the
/// reasons know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    Theirs,
    Required,
    Sometimes,
    Place,
    Form,
}

impl Kind {
    fn read(word: &str) -> Option<Kind> {
        Some(match word {
            "ours" => Kind::Ours,
            "theirs" => Kind::Theirs,
            "required" => Kind::Required,
            "sometimes" => Kind::Sometimes,
            "place" => Kind::Place,
            "form" => Kind::Form,
            _ => return None,
        })
    }

    fn title(self) -> &'static str {
        match self {
            Kind::Ours => "only ours",
            Kind::Theirs => "only theirs",
            Kind::Required => "required here, not there",
            Kind::Sometimes => "not always here, always there",
            Kind::Place => "in another place",
            Kind::Form => "in another form",
        }
    }
}

/// One row of `differences.txt`.
struct Reason {
    methods: String,
    half: String,
    kind: Kind,
    names: Vec<String>,
    text: String,
    used: std::cell::Cell<bool>,
}

/// Whether a pattern, whose `*` at its end or start stands for anything, fits a name.
fn fits(pattern: &str, name: &str) -> bool {
    match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(""), _) => true,
        (Some(start), _) => name.starts_with(start),
        (_, Some(end)) => name.ends_with(end),
        _ => pattern == name,
    }
}

impl Reason {
    fn is_for(&self, method: &str, half: &str, kind: Kind, name: &str) -> bool {
        self.kind == kind
            && self.half == half
            && self.methods.split(' ').any(|one| fits(one, method))
            && self.names.iter().any(|one| fits(one, name))
    }
}

/// Methods that Core Lightning has and this node has not, and why.
struct Family {
    methods: Vec<String>,
    text: String,
}

/// The rows of `differences.txt`.
struct Reasons {
    differences: Vec<Reason>,
    without: Vec<Family>,
}

fn reasons(wrong: &mut Vec<String>) -> Reasons {
    let mut all = Reasons {
        differences: Vec::new(),
        without: Vec::new(),
    };
    let lines = REASONS.lines().filter(|line| !line.starts_with('#'));
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.splitn(5, '|').map(str::trim).collect();
        match cells.as_slice() {
            ["without", methods, text] => all.without.push(Family {
                methods: methods.split_whitespace().map(ToOwned::to_owned).collect(),
                text: (*text).to_owned(),
            }),
            [methods, half @ ("takes" | "answers"), kind, names, text] if !text.is_empty() => {
                let Some(kind) = Kind::read(kind) else {
                    wrong.push(format!("no such kind of difference: {line}"));
                    continue;
                };
                all.differences.push(Reason {
                    methods: (*methods).to_owned(),
                    half: (*half).to_owned(),
                    kind,
                    names: names.split_whitespace().map(ToOwned::to_owned).collect(),
                    text: (*text).to_owned(),
                    used: std::cell::Cell::new(false),
                });
            }
            _ => wrong.push(format!("differences.txt: {line}")),
        }
    }
    all
}

fn named(word: &str, path: &str) -> Name {
    let name = word.trim_end_matches('!');
    Name {
        path: if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        },
        always: word.ends_with('!'),
    }
}

/// Core Lightning's methods; what it takes and answers where that is written down.
fn theirs(wrong: &mut Vec<String>) -> BTreeMap<String, Option<Side>> {
    let mut methods: BTreeMap<String, Option<Side>> = BTreeMap::new();
    let (mut method, mut takes, mut path) = (String::new(), false, String::new());
    for line in THEIRS.lines() {
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        if !line.starts_with(' ') {
            method = line.to_owned();
            methods.insert(method.clone(), None);
            continue;
        }
        let mut words = line;
        if !line.starts_with("    ") {
            let (head, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
            takes = head == "takes";
            (path, words) = match rest.split_once(':') {
                Some((path, words)) if !takes => (path.to_owned(), words),
                _ => (String::new(), rest),
            };
            if head == "answers:" {
                (path, words) = (String::new(), rest);
            }
        }
        let Some(side) = methods.get_mut(&method) else {
            wrong.push(format!("cln-26.06.6.txt: no method above: {line}"));
            continue;
        };
        let side = side.get_or_insert_default();
        let list = if takes {
            &mut side.takes
        } else {
            &mut side.answers
        };
        list.extend(words.split_whitespace().map(|word| named(word, &path)));
    }
    methods
}

/// The members of an object and of the objects in it, by their paths.
fn members(schema: &Value, path: &str, names: &mut Vec<Name>) {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let word = named(name, path);
        let always = required.contains(&name.as_str());
        let mut inner_path = word.path.clone();
        names.push(Name { always, ..word });
        let mut inner = member;
        while let Some(items) = inner.get("items") {
            inner = items;
            inner_path.push_str("[]");
        }
        members(inner, &inner_path, names);
    }
    if let Some(values @ Value::Object(_)) = schema.get("additionalProperties") {
        members(values, &format!("{path}.*"), names);
    }
}

fn ours(entry: &Entry) -> Side {
    let takes = entry.params.iter().map(|spec| Name {
        path: spec.name.to_owned(),
        always: spec.is_required(),
    });
    let mut answers = Vec::new();
    members(&entry.result_schema(), "", &mut answers);
    Side {
        takes: takes.collect(),
        answers,
    }
}

/// What is the same in one half of a method, and what is not.
struct Compared {
    same: Vec<String>,
    different: Vec<(Kind, String)>,
}

fn compare(half: &str, ours: &[Name], theirs: &[Name]) -> Compared {
    let mut compared = Compared {
        same: Vec::new(),
        different: Vec::new(),
    };
    for (place, our) in ours.iter().enumerate() {
        let found = theirs.iter().position(|their| their.path == our.path);
        let Some((their_place, their)) = found.and_then(|at| Some((at, theirs.get(at)?))) else {
            compared.different.push((Kind::Ours, our.path.clone()));
            continue;
        };
        let kind = match (half, our.always, their.always) {
            ("takes", true, false) => Some(Kind::Required),
            ("answers", false, true) => Some(Kind::Sometimes),
            ("takes", ..) if place != their_place => Some(Kind::Place),
            _ => None,
        };
        match kind {
            Some(kind) => compared.different.push((kind, our.path.clone())),
            None => compared.same.push(our.path.clone()),
        }
    }
    for their in theirs {
        if !ours.iter().any(|our| our.path == their.path) {
            compared.different.push((Kind::Theirs, their.path.clone()));
        }
    }
    compared
}

fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// One half of a method: what is the same, and a table of the rest.
fn half(
    page: &mut String,
    (method, half): (&str, &str),
    mut compared: Compared,
    reasons: &[Reason],
    wrong: &mut Vec<String>,
) {
    for reason in reasons.iter().filter(|reason| reason.kind == Kind::Form) {
        let (other, same) = compared
            .same
            .into_iter()
            .partition(|name| reason.is_for(method, half, Kind::Form, name));
        compared.same = same;
        let other: Vec<String> = other;
        let other = other.into_iter().map(|name| (Kind::Form, name));
        compared.different.extend(other);
    }
    let title = if half == "takes" {
        "Parameters"
    } else {
        "Result"
    };
    if compared.same.is_empty() && compared.different.is_empty() {
        return;
    }
    let same = if compared.same.is_empty() {
        "no name".to_owned()
    } else {
        quoted(&compared.same)
    };
    let _ = writeln!(page, "{title}, the same: {same}.\n");
    if compared.different.is_empty() {
        return;
    }
    // Rows of one kind with one reason stand together, in the order of their first.
    let mut rows: Vec<(Kind, &str, Vec<String>)> = Vec::new();
    for (kind, name) in compared.different {
        let Some(reason) = reasons
            .iter()
            .find(|reason| reason.is_for(method, half, kind, &name))
        else {
            let kind = kind.title();
            wrong.push(format!("{method} {half}: no reason why {name} is {kind}"));
            continue;
        };
        reason.used.set(true);
        match rows
            .iter_mut()
            .find(|row| row.0 == kind && row.1 == reason.text)
        {
            Some(row) => row.2.push(name),
            None => rows.push((kind, &reason.text, vec![name])),
        }
    }
    let _ = writeln!(page, "| {title} | | why |\n|---|---|---|");
    for (kind, text, names) in rows {
        let _ = writeln!(page, "| {} | {} | {text} |", quoted(&names), kind.title());
    }
    page.push('\n');
}

const HEAD: &str = "# Beside Core Lightning

Made from the types of the methods, from what Core Lightning v26.06.6 takes and answers, and from the
reasons in `crates/rpc/compatibility`: `cargo run -p sendpay-rpc --example pages -- docs`. Do not edit.

Names that are the same have the same meaning, the same JSON type and, if parameters, the same place in
the array form, unless a table says otherwise. A member of a result that Core Lightning always gives is
always given here too, unless a table says otherwise. `[]` stands for the elements of an array, `.*` for
the members of an object whose names are data.
";

/// The page.
///
/// # Errors
/// Differences without a reason, reasons without a difference, and lines that are none.
pub(crate) fn page() -> Result<String, Wrong> {
    let mut wrong = Vec::new();
    let reasons = reasons(&mut wrong);
    let theirs = theirs(&mut wrong);
    let mut page = HEAD.to_owned();
    for entry in METHODS {
        let _ = writeln!(page, "\n## {}\n", entry.name);
        match theirs.get(entry.name) {
            Some(Some(their)) => {
                let our = ours(entry);
                for (name, ours, theirs) in [
                    ("takes", &our.takes, &their.takes),
                    ("answers", &our.answers, &their.answers),
                ] {
                    let compared = compare(name, ours, theirs);
                    let about = (entry.name, name);
                    half(&mut page, about, compared, &reasons.differences, &mut wrong);
                }
                if page.ends_with(&format!("## {}\n\n", entry.name)) {
                    page.push_str("No parameters and an empty result, there and here.\n");
                }
            }
            // Empty on both sides, or a name alone: it says so if ours is empty too.
            Some(None) if entry.params.is_empty() && ours(entry).answers.is_empty() => {
                page.push_str("No parameters and an empty result, there and here.\n");
            }
            Some(None) => wrong.push(format!(
                "{}: cln-26.06.6.txt has its name alone",
                entry.name
            )),
            None => {
                let _ = writeln!(page, "Only ours: {}.", entry.summary);
            }
        }
    }
    without(&mut page, &reasons, &theirs, &mut wrong);
    for reason in reasons.differences.iter().filter(|one| !one.used.get()) {
        wrong.push(format!(
            "a reason without a difference: {} {} {:?} {}",
            reason.methods,
            reason.half,
            reason.kind,
            reason.names.join(" ")
        ));
    }
    while page.contains("\n\n\n") {
        page = page.replace("\n\n\n", "\n\n");
    }
    if wrong.is_empty() {
        Ok(page.trim_end().to_owned() + "\n")
    } else {
        Err(Wrong(wrong))
    }
}

/// The methods of theirs that this node does not have.
fn without(
    page: &mut String,
    reasons: &Reasons,
    theirs: &BTreeMap<String, Option<Side>>,
    wrong: &mut Vec<String>,
) {
    page.push_str("\n## Methods of Core Lightning that this node does not have\n\n");
    page.push_str(
        "A call of one gets -32601, `Unknown command '...'`.\n\n| methods | why |\n|---|---|\n",
    );
    let has = |name: &str| METHODS.iter().any(|entry| entry.name == name);
    for family in &reasons.without {
        let missing: Vec<String> = family
            .methods
            .iter()
            .filter(|name| !has(name))
            .cloned()
            .collect();
        for name in &family.methods {
            if !theirs.contains_key(name) {
                wrong.push(format!("no method of Core Lightning: {name}"));
            }
        }
        if missing.len() < family.methods.len() {
            wrong.push(format!("we have one of: {}", family.methods.join(" ")));
        }
        let _ = writeln!(page, "| {} | {} |", quoted(&missing), family.text);
    }
    for name in theirs.keys() {
        let said = reasons
            .without
            .iter()
            .any(|family| family.methods.contains(name));
        if !said && !has(name) {
            wrong.push(format!("no reason why we have no {name}"));
        }
    }
}
