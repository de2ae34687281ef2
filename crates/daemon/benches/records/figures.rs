//! The figures of a run: as a table on the terminal and as JSON.

use serde_json::{Value, json};

/// Figures that are drawn together, with the unit of all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Panel {
    pub title: &'static str,
    pub unit: &'static str,
}

pub const LISTINGS: Panel = Panel {
    title: "Whole listings",
    unit: "s",
};
pub const FILTERS: Panel = Panel {
    title: "Whole listings with a filter",
    unit: "s",
};
pub const LOOKUPS: Panel = Panel {
    title: "One request, median",
    unit: "µs",
};
pub const BESIDE: Panel = Panel {
    title: "One request, idle and beside whole listings",
    unit: "ms",
};
pub const CLEANING: Panel = Panel {
    title: "One request, before and beside autoclean",
    unit: "ms",
};
pub const STARTS: Panel = Panel {
    title: "Start, and first byte of a whole listing",
    unit: "ms",
};
pub const MEMORY: Panel = Panel {
    title: "Memory",
    unit: "MB",
};
pub const RATES: Panel = Panel {
    title: "In a second",
    unit: "per s",
};
pub const DISK: Panel = Panel {
    title: "Size",
    unit: "bytes",
};
pub const COMMITS: Panel = Panel {
    title: "One commit",
    unit: "records",
};

pub const PANELS: [Panel; 10] = [
    LISTINGS, FILTERS, LOOKUPS, BESIDE, CLEANING, STARTS, MEMORY, RATES, DISK, COMMITS,
];

/// One figure at one size.
pub struct Figure {
    pub panel: Panel,
    pub name: String,
    pub records: u64,
    pub value: f64,
}

/// All of a run, in the order of measuring.
#[derive(Default)]
pub struct Figures {
    pub all: Vec<Figure>,
}

impl Figures {
    pub fn add(&mut self, panel: Panel, name: &str, records: u64, value: f64) {
        eprintln!("  {records}: {name}: {} {}", short(value), panel.unit);
        self.all.push(Figure {
            panel,
            name: name.to_owned(),
            records,
            value,
        });
    }

    pub fn sizes(&self) -> Vec<u64> {
        let mut sizes: Vec<u64> = self.all.iter().map(|figure| figure.records).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// The names in a panel, as they came.
    pub fn names(&self, panel: Panel) -> Vec<&str> {
        let mut names = Vec::new();
        for figure in self.all.iter().filter(|figure| figure.panel == panel) {
            if !names.contains(&figure.name.as_str()) {
                names.push(figure.name.as_str());
            }
        }
        names
    }

    pub fn value(&self, panel: Panel, name: &str, records: u64) -> Option<f64> {
        self.all
            .iter()
            .find(|figure| {
                figure.panel == panel && figure.name == name && figure.records == records
            })
            .map(|figure| figure.value)
    }

    /// A table in Markdown.
    pub fn table(&self) -> String {
        let sizes = self.sizes();
        let heads: Vec<String> = sizes.iter().map(|size| grouped(*size)).collect();
        let mut table = format!("| | unit | {} |\n", heads.join(" | "));
        table.push_str(&format!("|---|---|{}\n", "---|".repeat(sizes.len())));
        for panel in PANELS {
            for name in self.names(panel) {
                let cells = sizes.iter().map(|size| {
                    self.value(panel, name, *size)
                        .map_or_else(|| "-".to_owned(), short)
                });
                let cells: Vec<String> = cells.collect();
                let cells = cells.join(" | ");
                table.push_str(&format!("| {name} | {} | {cells} |\n", panel.unit));
            }
        }
        table
    }

    pub fn json(&self) -> Value {
        let figures = self.all.iter().map(|figure| {
            json!({
                "panel": figure.panel.title,
                "name": figure.name,
                "unit": figure.panel.unit,
                "records": figure.records,
                "value": figure.value,
            })
        });
        json!({"figures": figures.collect::<Vec<Value>>()})
    }
}

/// Three digits are all that such a measurement has.
pub fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        1000.0.. => grouped(value.round() as u64),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// With commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
