//! The chart: each figure over the sizes, both axes logarithmic, a panel for each group of them.

use std::fmt::Write as _;

use crate::figures::{Figures, PANELS, Panel, grouped, short};

const WIDTH: f64 = 1120.0;
const COLUMNS: usize = 2;
const PANEL_WIDTH: f64 = WIDTH / COLUMNS as f64;
/// Around the lines: for the names of the axis, the title, the sizes, and a legend below them.
const LEFT: f64 = 64.0;
const RIGHT: f64 = 32.0;
const TOP: f64 = 36.0;
const PLOT_HEIGHT: f64 = 190.0;
/// From the lines to the first of the legend, and from one of it to the next.
const LEGEND_TOP: f64 = 36.0;
const LEGEND_LINE: f64 = 15.0;
/// Below the legend.
const BOTTOM: f64 = 14.0;

/// Colours that are told apart by most eyes; after the last one the lines are dashed.
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#8a6d00",
];

/// Where values go: from the power of ten below the least to that above the greatest.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Axis {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let greatest = values.fold(f64::NEG_INFINITY, f64::max);
        let low = least.log10().floor();
        Axis {
            low,
            high: greatest.log10().ceil().max(low + 1.0),
            from,
            to,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value.log10() - self.low) / (self.high - self.low);
        self.from + part * (self.to - self.from)
    }

    fn powers(&self) -> impl Iterator<Item = f64> + use<> {
        (self.low as i32..=self.high as i32).map(|power| 10f64.powi(power))
    }
}

/// The chart as a file for a browser; `None` if there is nothing to draw.
pub fn draw(figures: &Figures) -> Option<String> {
    let panels = PANELS.into_iter();
    let panels: Vec<Panel> = panels
        .filter(|panel| !figures.names(*panel).is_empty())
        .collect();
    if panels.is_empty() {
        return None;
    }
    let rows: Vec<(&[Panel], f64)> = panels
        .chunks(COLUMNS)
        .map(|row| (row, row_height(figures, row)))
        .collect();
    let height: f64 = rows.iter().map(|(_, height)| height).sum();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    let mut y = 0.0;
    for (row, height) in rows {
        for (column, panel) in row.iter().enumerate() {
            let x = column as f64 * PANEL_WIDTH;
            let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">");
            draw_panel(&mut svg, figures, *panel);
            svg.push_str("</g>\n");
        }
        y += height;
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

/// As much as the longest legend in it needs.
fn row_height(figures: &Figures, row: &[Panel]) -> f64 {
    let names = row.iter().map(|panel| figures.names(*panel).len());
    let lines = names.max().unwrap_or(0) as f64;
    TOP + PLOT_HEIGHT + LEGEND_TOP + lines * LEGEND_LINE + BOTTOM
}

fn draw_panel(svg: &mut String, figures: &Figures, panel: Panel) {
    let sizes = figures.sizes();
    let of_panel = figures.all.iter().filter(|figure| figure.panel == panel);
    // Nothing is at 0 on such an axis: what is smaller than a thousandth is drawn there.
    let values = of_panel.map(|figure| figure.value.max(1e-3));
    let bottom = TOP + PLOT_HEIGHT;
    let across = Axis::over(
        sizes.iter().map(|size| *size as f64),
        LEFT,
        PANEL_WIDTH - RIGHT,
    );
    let up = Axis::over(values, bottom, TOP);
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{}, {}</text>",
        escaped(panel.title),
        panel.unit
    );
    draw_grid(svg, &across, &up);
    for (number, name) in figures.names(panel).into_iter().enumerate() {
        let points: Vec<(f64, f64)> = sizes
            .iter()
            .filter_map(|size| {
                let value = figures.value(panel, name, *size)?;
                Some((across.at(*size as f64), up.at(value.max(1e-3))))
            })
            .collect();
        let mut last = sizes.iter().rev();
        let last = last.find_map(|size| figures.value(panel, name, *size));
        draw_line(svg, number, &points);
        draw_name(svg, number, name, last.unwrap_or_default());
    }
}

fn draw_grid(svg: &mut String, across: &Axis, up: &Axis) {
    let (left, right, top, bottom) = (across.from, across.to, up.to, up.from);
    for power in up.powers() {
        let y = up.at(power);
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {y:.1}H{right}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 6.0,
            y + 4.0,
            short(power).trim_end_matches(".00").trim_end_matches(".0")
        );
    }
    for power in across.powers() {
        let x = across.at(power);
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {top}V{bottom}\" stroke=\"#ddd\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 15.0,
            grouped(power as u64)
        );
    }
}

fn style(number: usize) -> String {
    let colour = COLOURS[number % COLOURS.len()];
    let dashes = ["none", "6 3", "2 3"][number / COLOURS.len() % 3];
    format!("stroke=\"{colour}\" stroke-dasharray=\"{dashes}\" stroke-width=\"2\" fill=\"none\"")
}

fn draw_line(svg: &mut String, number: usize, points: &[(f64, f64)]) {
    let colour = COLOURS[number % COLOURS.len()];
    let line: Vec<String> = points
        .iter()
        .map(|(x, y)| format!("{x:.1} {y:.1}"))
        .collect();
    let _ = writeln!(svg, "<path d=\"M{}\" {}/>", line.join("L"), style(number));
    for (x, y) in points {
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
        );
    }
}

/// A line of the legend, with the value at the largest size.
fn draw_name(svg: &mut String, number: usize, name: &str, last: f64) {
    let x = LEFT;
    let y = TOP + PLOT_HEIGHT + LEGEND_TOP + number as f64 * LEGEND_LINE;
    let _ = writeln!(
        svg,
        "<path d=\"M{x:.1} {:.1}h18\" {}/><text x=\"{:.1}\" y=\"{y:.1}\">{} ({})</text>",
        y - 4.0,
        style(number),
        x + 23.0,
        escaped(name),
        short(last)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
