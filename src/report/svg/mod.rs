//! Small pictures as SVG, to stand inside a page: axes with units, a legend, a title and a description for screen
//! readers. Colours are CSS classes, so that the page decides on light, dark and paper. The same data gives the same
//! bytes. Knows no workload and no report.

pub mod bars;
pub mod distribution;
pub mod peaks;
pub(super) mod scale;

use std::fmt::Write as _;

use crate::text;
use crate::text::units;

/// Size of a picture with axes, in its own units. Drawn at a width of 350 to 480 pixels its text stays readable.
pub const WIDTH: f64 = 460.0;
/// Its height.
pub const HEIGHT: f64 = 270.0;
/// Width of a character of the pictures' text at most, on the average of a label.
const CHARACTER: f64 = 7.2;
/// Height of a line of text.
const LINE: f64 = 16.0;

/// The classes that pictures use. A page that holds one has this in its style.
pub const STYLE: &str = "\
svg.chart{display:block;width:100%;height:auto;max-width:31rem;font:12.5px system-ui,sans-serif;overflow:visible}
.chart text{fill:var(--ink);paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}.chart .axis{fill:var(--soft);font-size:12px}.chart .grid{stroke:var(--line);stroke-width:1}
.chart .past{fill:var(--shade);stroke:var(--line)}.chart .base{stroke:var(--soft);stroke-width:1}
.chart .ok{fill:var(--c-used)}.chart .odd{fill:var(--paper);stroke:var(--c-failed);stroke-width:1.6}
.chart .kill{stroke:var(--c-kill);stroke-width:2.4;fill:none}.chart .limited{fill:var(--c-kill)}
.chart .request{stroke:var(--c-request);stroke-width:2;fill:none;stroke-dasharray:6 3}
.chart .limit{stroke:var(--c-limit);stroke-width:2;fill:none}
.chart .needed{stroke:var(--c-needed);stroke-width:2.4;fill:none;stroke-dasharray:2 3}
.chart .bar-request{fill:var(--c-request)}.chart .bar-used{fill:var(--c-used)}.chart .bar-needed{fill:var(--c-needed)}
@media print{.chart .ok,.chart .bar-used,.chart .bar-request,.chart .bar-needed,.chart .past{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
";

/// Text as text in SVG and HTML: names come from clusters.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text::visible(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The beginning of a picture. `id` is unique in its page and plain.
fn open(id: &str, width: f64, height: f64, title: &str, description: &str) -> String {
    format!(
        "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" \
         xmlns=\"http://www.w3.org/2000/svg\"><title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>\n",
        number(width),
        number(height),
        escaped(title),
        escaped(description)
    )
}

/// A coordinate: one place, no needless zero.
fn number(value: f64) -> String {
    let value = (value * 10.0).round() / 10.0;
    if value == value.trunc() { format!("{}", value as i64) } else { format!("{value:.1}") }
}

#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

fn text(out: &mut String, x: f64, y: f64, class: &str, anchor: Anchor, said: &str) {
    let anchor = match anchor {
        Anchor::Start => "",
        Anchor::Middle => " text-anchor=\"middle\"",
        Anchor::End => " text-anchor=\"end\"",
    };
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = write!(out, "<text x=\"{}\" y=\"{}\"{class}{anchor}>{}</text>", number(x), number(y), escaped(said));
}

fn line(out: &mut String, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = write!(
        out,
        "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
        number(x1),
        number(y1),
        number(x2),
        number(y2)
    );
}

fn rectangle(out: &mut String, class: &str, x: f64, y: f64, width: f64, height: f64) {
    let _ = write!(
        out,
        "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
        number(x),
        number(y),
        number(width.max(0.0)),
        number(height.max(0.0))
    );
}

/// How wide a text is at most.
fn wide(said: &str) -> f64 {
    said.chars().count() as f64 * CHARACTER
}

/// What a mark means, for the legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Dot,
    Odd,
    Cross,
    Limited,
    Line(&'static str),
    Box(&'static str),
}

/// A legend from the upper left corner, in as many lines as it takes; returns how high it is.
fn legend(out: &mut String, entries: &[(Mark, String)], left: f64, right: f64, top: f64) -> f64 {
    let (mut x, mut y) = (left, top + 10.0);
    for (mark, said) in entries {
        let width = 22.0 + wide(said) + 10.0;
        if x > left && x + width > right {
            x = left;
            y += LINE;
        }
        let middle = y - 4.5;
        match mark {
            Mark::Dot => {
                let _ = write!(
                    out,
                    "<circle class=\"ok\" cx=\"{}\" cy=\"{}\" r=\"3.5\"/>",
                    number(x + 8.0),
                    number(middle)
                );
            }
            Mark::Limited => limited(out, x + 8.0, middle),
            Mark::Odd => odd(out, x + 8.0, middle),
            Mark::Cross => cross(out, x + 8.0, middle),
            Mark::Line(class) => line(out, class, (x, middle), (x + 17.0, middle)),
            Mark::Box(class) => rectangle(out, class, x + 2.0, middle - 5.0, 12.0, 10.0),
        }
        text(out, x + 22.0, y, "", Anchor::Start, said);
        x += width;
    }
    out.push('\n');
    y + 6.0 - top
}

/// A run that was killed.
fn cross(out: &mut String, x: f64, y: f64) {
    let (left, right, top, low) = (number(x - 4.0), number(x + 4.0), number(y - 4.0), number(y + 4.0));
    let _ = write!(out, "<path class=\"kill\" d=\"M{left} {top}L{right} {low}M{left} {low}L{right} {top}\"/>");
}

/// A run that failed for another reason.
fn odd(out: &mut String, x: f64, y: f64) {
    let _ = write!(out, "<circle class=\"odd\" cx=\"{}\" cy=\"{}\" r=\"3.5\"/>", number(x), number(y));
}

/// A run whose peak reached its limit.
fn limited(out: &mut String, x: f64, y: f64) {
    let (left, right, top, low) = (number(x - 4.5), number(x + 4.5), number(y - 4.0), number(y + 4.0));
    let _ = write!(out, "<path class=\"limited\" d=\"M{left} {low}L{right} {low}L{} {top}Z\"/>", number(x));
}
