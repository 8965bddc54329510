//! A backtest as a page of its own: one picture that shows waste against second tries, and the tables behind it.
//! Self-contained: no script, no font, nothing from elsewhere; light or dark as the reader has it.

use std::fmt::Write as _;

use super::backtest::{
    METHOD_COLUMNS, WORKFLOW_COLUMNS, legend, method_cells, percent, ratio, sentences, workflow_cells, workflows,
};
use super::svg::{escaped, scale};
use crate::research::backtest::{Backtest, MethodScore};

/// The picture's size, and the margins around the plot.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 56.0;
/// A method that wastes more than this many times the median method is shown at the upper edge, not to scale.
const OFF_SCALE: f64 = 4.0;
/// Second tries up to this share are what podfit aims at.
const TARGET: f64 = 0.01;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d5dae1;--paper:#fff;--ours:#0b6bcb;--other:#7b8794;--good:#e5f3ea;--good-ink:#2c6e49}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#9aa5b4;--line:#3a424e;--paper:#14181e;--ours:#5aa9f5;--other:#8a95a4;--good:#1d3227;--good-ink:#8fcca8}}
body{margin:0 auto;padding:2rem 1.25rem 3rem;max-width:60rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 .75rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{margin:.4rem 0}.soft{color:var(--soft);font-size:.9rem}
svg{width:100%;height:auto;margin:1rem 0;font:13px system-ui,sans-serif}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.3rem .8rem .3rem 0;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child,.methods :nth-child(2){text-align:left}th{font-weight:600;color:var(--soft);font-size:.8rem}
tr.ours td{font-weight:600;color:var(--ours)}
";

/// The page.
pub fn page(backtest: &Backtest) -> String {
    let mut out = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>podfit backtest</title><style>",
    );
    out.push_str(STYLE);
    out.push_str("</style></head><body><h1>What each way of sizing would have cost</h1>\n");
    for sentence in sentences(backtest) {
        let _ = writeln!(out, "<p>{}</p>", escaped(&sentence));
    }
    out.push_str(&picture(&backtest.methods));
    for line in legend(backtest) {
        let _ = writeln!(out, "<p class=\"soft\">{}</p>", escaped(&line));
    }
    out.push_str("<h2>Methods</h2>\n");
    let rows = backtest.methods.iter().map(|m| (m.ours, method_cells(m).to_vec()));
    out.push_str(&table("methods", &METHOD_COLUMNS, rows));
    if backtest.workflows.len() > 1 {
        let (rows, more) = workflows(backtest);
        out.push_str("<h2>Workflows, podfit beside KRR</h2>\n");
        out.push_str(&table(
            "workflows",
            &WORKFLOW_COLUMNS,
            rows.into_iter().map(|w| (false, workflow_cells(w).to_vec())),
        ));
        if more > 0 {
            let _ = writeln!(out, "<p class=\"soft\">and {more} more with fewer second tries</p>");
        }
    }
    if !backtest.notes.is_empty() {
        out.push_str("<h2>Notes</h2>\n<ul class=\"soft\">");
        backtest.notes.iter().for_each(|note| {
            let _ = write!(out, "<li>{}</li>", escaped(note));
        });
        out.push_str("</ul>\n");
    }
    out.push_str("</body></html>\n");
    out
}

fn table(class: &str, columns: &[&str], rows: impl Iterator<Item = (bool, Vec<String>)>) -> String {
    let head: Vec<String> = columns.iter().map(|c| format!("<th scope=\"col\">{}</th>", escaped(&lower(c)))).collect();
    let mut out =
        format!("<div class=\"scroll\"><table class=\"{class}\"><thead><tr>{}</tr></thead><tbody>\n", head.concat());
    for (ours, row) in rows {
        let cells: Vec<String> = row.iter().map(|text| format!("<td>{}</td>", escaped(text))).collect();
        let class = if ours { " class=\"ours\"" } else { "" };
        let _ = writeln!(out, "<tr{class}>{}</tr>", cells.concat());
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// Headings in a page are no shouting; names stay as they are.
fn lower(heading: &str) -> String {
    heading.split(' ').map(|w| if w == "KRR" { w.to_owned() } else { w.to_lowercase() }).collect::<Vec<_>>().join(" ")
}

/// A point of the picture.
struct Point<'a> {
    method: &'a MethodScore,
    waste: f64,
    oom: f64,
}

/// Waste upwards, second tries to the right, a point per method: the best is at the lower left.
fn picture(methods: &[MethodScore]) -> String {
    let mut points: Vec<Point<'_>> = Vec::new();
    for method in methods {
        let (Some(waste), Some(oom)) = (method.score.waste_per_used, method.score.oom_share) else { continue };
        // Two of the same numbers are one point, which the first has its name at.
        if !points.iter().any(|p| same(p.waste, waste) && same(p.oom, oom)) {
            points.push(Point { method, waste, oom });
        }
    }
    if points.is_empty() {
        return String::new();
    }
    let mut sorted: Vec<f64> = points.iter().map(|p| p.waste).collect();
    sorted.sort_by(f64::total_cmp);
    let most_shown = sorted[(sorted.len() - 1) / 2] * OFF_SCALE;
    let highest = sorted.iter().copied().filter(|w| *w <= most_shown).fold(0.0, f64::max);
    let wastes = scale::amount(highest * 1.15, 5);
    let percents = scale::amount(points.iter().map(|p| p.oom).fold(TARGET, f64::max) * 115.0, 5);
    let (top, right) = (wastes.most, percents.most / 100.0);
    let at_x = |oom: f64| LEFT + (WIDTH - LEFT - RIGHT) * (oom / right);
    let at_y = |waste: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (waste / top).min(1.0);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"t\"><title id=\"t\">Memory wasted against \
         runs that need a second try, a point per method; the best is at the lower left</title>\n"
    );
    let floor = HEIGHT - BOTTOM;
    let _ = writeln!(
        out,
        "<rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"var(--good)\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" fill=\"var(--good-ink)\">at most 1 % second tries</text>",
        at_x(TARGET) - LEFT,
        floor - TOP,
        LEFT + 8.0,
        floor - 10.0
    );
    for (value, label) in wastes.at {
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"var(--line)\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"var(--soft)\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at_y(value) + 4.0,
            label,
            y = at_y(value),
        );
    }
    for (value, label) in percents.at {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"var(--soft)\">{label} %</text>",
            at_x(value / 100.0),
            floor + 18.0,
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"var(--ink)\">runs that need a second try →</text>\
         <text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\" fill=\"var(--ink)\">\
         memory wasted per memory used →</text>",
        f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - 12.0,
        f64::midpoint(TOP, floor)
    );
    // Names keep clear of dots and of the names before them.
    let mut taken: Vec<Area> = points.iter().map(|p| Area::around(at_x(p.oom), at_y(p.waste))).collect();
    for point in &points {
        out.push_str(&mark(point, at_x(point.oom), at_y(point.waste), point.waste > top, &mut taken));
    }
    out.push_str("</svg>\n");
    out
}

/// A part of the picture that is in use.
struct Area {
    from: f64,
    to: f64,
    middle: f64,
}

impl Area {
    /// Of a dot.
    fn around(x: f64, y: f64) -> Self {
        Self { from: x - 7.0, to: x + 7.0, middle: y }
    }

    fn meets(&self, other: &Self) -> bool {
        self.from < other.to && other.from < self.to && (self.middle - other.middle).abs() < 15.0
    }
}

/// A dot with its name; off the scale an arrow with its number.
fn mark(point: &Point<'_>, x: f64, y: f64, off_scale: bool, taken: &mut Vec<Area>) -> String {
    let colour = if point.method.ours { "var(--ours)" } else { "var(--other)" };
    let weight = if point.method.ours { " font-weight=\"700\"" } else { "" };
    let name = escaped(point.method.name);
    let text = if off_scale { format!("↑ {name}: {}, off the scale", ratio(Some(point.waste))) } else { name };
    let wide = text.chars().count() as f64 * 7.5;
    // To the right of the dot, else to the left, else above or below.
    let places = [0.0, -18.0, 18.0, -36.0, 36.0].into_iter().flat_map(|dy| [(x + 11.0, dy), (x - 11.0 - wide, dy)]);
    let free =
        |area: &Area| area.from >= LEFT && area.to <= WIDTH - RIGHT && !taken.iter().any(|other| area.meets(other));
    let area = places.map(|(from, dy)| Area { from, to: from + wide, middle: y + dy }).find(free).unwrap_or(Area {
        from: x + 11.0,
        to: x + 11.0 + wide,
        middle: y,
    });
    let (anchor, at) = if area.from > x { ("start", area.from) } else { ("end", area.to) };
    let baseline = area.middle + 4.5;
    taken.push(area);
    let radius = if point.method.ours { 7.0 } else { 5.0 };
    format!(
        "<g><title>{}: {} wasted per used, {} second tries</title>\
         <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>\
         <text x=\"{at:.1}\" y=\"{baseline:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\"{weight}>{text}</text></g>\n",
        escaped(point.method.name),
        ratio(Some(point.waste)),
        percent(Some(point.oom)),
    )
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}
