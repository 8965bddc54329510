//! Memory peaks of runs over time, against what was requested, what the limit was, and what is recommended.

use std::fmt::Write as _;

use super::{
    Anchor, HEIGHT, Mark, WIDTH, cross, legend, limited, line, number, odd, open, rectangle, scale, text, units,
};

/// More points than this are thinned: the highest and the worst of each slot of time stay.
const SLOTS: i64 = 150;
const LEFT: f64 = 50.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 44.0;

/// How a run ended, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// Well.
    Fine,
    /// Well, at its limit.
    Limited,
    /// Failed, not for memory.
    Failed,
    /// Killed for memory, proven or probable.
    Killed,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When it began, milliseconds since the epoch.
    pub at_ms: i64,
    /// When it ended, or was last seen.
    pub until_ms: i64,
    /// Its peak in bytes.
    pub bytes: u64,
    /// Request in force, in bytes.
    pub request: Option<u64>,
    /// Limit in force, in bytes.
    pub limit: Option<u64>,
    /// How it ended.
    pub ending: Ending,
}

/// What to draw.
#[derive(Clone, Debug)]
pub struct Peaks<'a> {
    /// Unique in the page; letters, digits and hyphens.
    pub id: String,
    /// Whose peaks.
    pub title: &'a str,
    /// What each is of: a run, or a day of a service.
    pub unit: &'a str,
    /// Left end of the axis, milliseconds since the epoch.
    pub start_ms: i64,
    /// Where what is shaded as past ends.
    pub split_ms: i64,
    /// Right end.
    pub end_ms: i64,
    /// Runs in the order of their start.
    pub points: &'a [Point],
    /// Recommended, in bytes.
    pub recommended: Option<u64>,
}

/// The picture; empty without points.
pub fn picture(what: &Peaks<'_>) -> String {
    let Some(highest) = what.points.iter().map(|p| p.bytes).max() else { return String::new() };
    let (start, end) = (what.start_ms, what.end_ms.max(what.start_ms.saturating_add(1)));
    let same = what.points.iter().all(|p| p.request == p.limit);
    let requests = if same { Vec::new() } else { steps(what.points, |p| p.request) };
    let limits = steps(what.points, |p| p.limit);
    let levels = requests.iter().chain(&limits).map(|s| s.bytes).chain(what.recommended);
    let most = levels.chain([highest]).max().unwrap_or(highest) as f64;
    let (shown, thinned) = thin(what.points, start, end);

    let mut out = open(&what.id, WIDTH, HEIGHT, &format!("Memory peaks of {}", what.title), &described(what, thinned));
    let entries = entries(what, &shown, same, &requests, &limits);
    let top = legend(&mut out, &entries, LEFT, WIDTH - 4.0, 2.0) + 8.0;
    let floor = HEIGHT - BOTTOM;
    let ticks = scale::memory(most * 1.02, 5);
    let at_x = |ms: i64| {
        let share = ms.saturating_sub(start) as f64 / end.saturating_sub(start) as f64;
        LEFT + (WIDTH - LEFT - RIGHT) * share.clamp(0.0, 1.0)
    };
    let at_y = |bytes: f64| floor - (floor - top) * (bytes / ticks.most).clamp(0.0, 1.0);

    rectangle(&mut out, "past", LEFT, top, at_x(what.split_ms) - LEFT, floor - top);
    for (value, label) in &ticks.at {
        let y = at_y(*value);
        line(&mut out, if *value == 0.0 { "base" } else { "grid" }, (LEFT, y), (WIDTH - RIGHT, y));
        text(&mut out, LEFT - 6.0, y + 4.0, "axis", Anchor::End, label);
    }
    let about = if end.saturating_sub(start) < 4 * 86_400_000 { 3 } else { 7 };
    for (ms, label) in scale::time(start, end, about) {
        let x = at_x(ms);
        line(&mut out, "base", (x, floor), (x, floor + 4.0));
        text(&mut out, x, floor + 17.0, "axis", Anchor::Middle, &label);
    }
    let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
    text(&mut out, middle, HEIGHT - 6.0, "axis", Anchor::Middle, "start of the run, UTC; up: its memory peak");
    out.push('\n');
    stairs(&mut out, "request", &requests, &at_x, &at_y);
    stairs(&mut out, "limit", &limits, &at_x, &at_y);
    for point in &shown {
        let (x, y) = (at_x(point.at_ms), at_y(point.bytes as f64));
        match point.ending {
            Ending::Fine => {
                let _ = write!(out, "<circle class=\"ok\" cx=\"{}\" cy=\"{}\" r=\"3\"/>", number(x), number(y));
            }
            Ending::Limited => limited(&mut out, x, y),
            Ending::Failed => odd(&mut out, x, y),
            Ending::Killed => cross(&mut out, x, y),
        }
    }
    out.push('\n');
    if let Some(bytes) = what.recommended {
        let y = at_y(bytes as f64);
        line(&mut out, "needed", (LEFT, y), (WIDTH - RIGHT, y));
    }
    out.push_str("</svg>\n");
    out
}

fn entries(what: &Peaks<'_>, shown: &[Point], same: bool, requests: &[Step], limits: &[Step]) -> Vec<(Mark, String)> {
    let has = |ending: Ending| shown.iter().any(|p| p.ending == ending);
    let mut entries = Vec::new();
    for (ending, mark, said) in [
        (Ending::Fine, Mark::Dot, what.unit),
        (Ending::Limited, Mark::Limited, "at its limit"),
        (Ending::Failed, Mark::Odd, "failed otherwise"),
        (Ending::Killed, Mark::Cross, "killed for memory"),
    ] {
        if has(ending) {
            entries.push((mark, said.to_owned()));
        }
    }
    let last = |steps: &[Step]| steps.last().map(|s| units::memory(s.bytes)).unwrap_or_default();
    if !requests.is_empty() {
        entries.push((Mark::Line("request"), format!("request {}", last(requests))));
    }
    if !limits.is_empty() {
        let name = if same { "request and limit" } else { "limit" };
        entries.push((Mark::Line("limit"), format!("{name} {}", last(limits))));
    }
    if let Some(bytes) = what.recommended {
        entries.push((Mark::Line("needed"), format!("recommended {}", units::memory(bytes))));
    }
    if what.split_ms > what.start_ms && what.points.iter().any(|p| p.at_ms < what.split_ms) {
        entries.push((Mark::Box("past"), "period before".to_owned()));
    }
    entries
}

fn described(what: &Peaks<'_>, thinned: bool) -> String {
    let peaks = what.points.iter().map(|p| p.bytes);
    let (low, high) = (peaks.clone().min().unwrap_or(0), peaks.max().unwrap_or(0));
    let killed = what.points.iter().filter(|p| p.ending == Ending::Killed).count();
    let mut said = format!(
        "{} {}s with peaks from {} to {}",
        what.points.len(),
        what.unit,
        units::memory(low),
        units::memory(high)
    );
    if killed > 0 {
        let _ = write!(said, ", {killed} of them killed for memory");
    }
    let last = what.points.last();
    for (name, bytes) in [
        ("request", last.and_then(|p| p.request)),
        ("limit", last.and_then(|p| p.limit)),
        ("recommended", what.recommended),
    ] {
        if let Some(bytes) = bytes {
            let _ = write!(said, "; {name} {}", units::memory(bytes));
        }
    }
    if thinned {
        said.push_str(". Of so many, the highest and the worst of each slot of time are drawn");
    }
    said.push('.');
    said
}

/// A level from a moment on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    from_ms: i64,
    to_ms: i64,
    bytes: u64,
}

/// Levels over time; a run without one ends a level.
fn steps(points: &[Point], level: impl Fn(&Point) -> Option<u64>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut open = false;
    for point in points {
        match (level(point), steps.last_mut()) {
            (Some(bytes), Some(last)) if open && last.bytes == bytes => last.to_ms = last.to_ms.max(point.until_ms),
            (Some(bytes), last) => {
                if let Some(last) = last.filter(|_| open) {
                    last.to_ms = point.at_ms;
                }
                steps.push(Step { from_ms: point.at_ms, to_ms: point.until_ms, bytes });
                open = true;
            }
            (None, _) => open = false,
        }
    }
    steps
}

fn stairs(out: &mut String, class: &str, steps: &[Step], at_x: &impl Fn(i64) -> f64, at_y: &impl Fn(f64) -> f64) {
    let mut path = String::new();
    let mut before: Option<&Step> = None;
    for step in steps {
        let y = number(at_y(step.bytes as f64));
        let joined = before.is_some_and(|b| b.to_ms == step.from_ms);
        let _ = write!(path, "{}{} {y}", if joined { 'L' } else { 'M' }, number(at_x(step.from_ms)));
        // A level of one run is still to be seen.
        let end = at_x(step.to_ms).max(at_x(step.from_ms) + 3.0);
        let _ = write!(path, "L{} {y}", number(end));
        before = Some(step);
    }
    if !path.is_empty() {
        let _ = writeln!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    }
}

/// At most two points of each slot of time.
fn thin(points: &[Point], start: i64, end: i64) -> (Vec<Point>, bool) {
    if points.len() <= SLOTS as usize {
        return (points.to_vec(), false);
    }
    let slot = |p: &Point| {
        let share = i128::from(p.at_ms.saturating_sub(start)) * i128::from(SLOTS);
        (share / i128::from(end.saturating_sub(start).max(1))).clamp(0, i128::from(SLOTS) - 1)
    };
    let mut kept: Vec<Point> = Vec::new();
    for group in points.chunk_by(|a, b| slot(a) == slot(b)) {
        let highest = group.iter().max_by_key(|p| p.bytes);
        let worst = group.iter().max_by_key(|p| (p.ending, p.bytes));
        kept.extend(highest);
        kept.extend(worst.filter(|w| highest.is_some_and(|h| h != *w)));
    }
    (kept, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::quantity::GIB;

    fn point(at_ms: i64, bytes: u64, limit: u64, ending: Ending) -> Point {
        Point { at_ms, until_ms: at_ms, bytes, request: Some(limit), limit: Some(limit), ending }
    }

    fn drawn(points: &[Point], recommended: Option<u64>) -> String {
        let title = "cronjob/<a>";
        let (start_ms, split_ms, end_ms) = (0, 7 * 86_400_000, 14 * 86_400_000);
        picture(&Peaks { id: "x".to_owned(), title, unit: "run", start_ms, split_ms, end_ms, points, recommended })
    }

    #[test]
    fn every_run_and_level_is_drawn_and_described() {
        let day = 86_400_000;
        let points = [
            point(day, GIB, 2 * GIB, Ending::Fine),
            point(5 * day, 2 * GIB, 2 * GIB, Ending::Killed),
            point(9 * day, GIB, 4 * GIB, Ending::Fine),
        ];
        let svg = drawn(&points, Some(3 * GIB));
        assert_eq!(svg.matches("<circle class=\"ok\"").count(), 3, "two runs and the legend's");
        assert_eq!(svg.matches("class=\"kill\"").count(), 2);
        for said in [
            "request and limit 4Gi",
            "recommended 3Gi",
            "3 runs with peaks from 1Gi to 2Gi",
            "&lt;a&gt;",
            "role=\"img\"",
        ] {
            assert!(svg.contains(said), "{said} is not in {svg}");
        }
        assert_eq!(svg, drawn(&points, Some(3 * GIB)));
        assert_eq!(drawn(&[], Some(GIB)), "");
    }

    #[test]
    fn thinned_points_keep_what_matters() {
        let points: Vec<Point> = (0..5_000)
            .map(|i| point(i * 200_000, GIB + i as u64, 2 * GIB, if i == 777 { Ending::Killed } else { Ending::Fine }))
            .collect();
        let svg = drawn(&points, None);
        assert!(svg.matches("<circle").count() <= 2 * SLOTS as usize + 1);
        assert_eq!(svg.matches("class=\"kill\"").count(), 2, "the kill and its legend");
        assert!(svg.contains("the highest and the worst"));
        assert!(svg.len() < 40_000, "{}", svg.len());
    }

    #[test]
    fn levels_are_joined_where_one_follows_the_other() {
        let bare = Point { request: None, limit: None, ..point(20, GIB, GIB, Ending::Fine) };
        let points = [
            point(0, 1, GIB, Ending::Fine),
            point(10, 1, GIB, Ending::Fine),
            bare,
            point(30, 1, 2 * GIB, Ending::Fine),
        ];
        let steps = steps(&points, |p| p.limit);
        assert_eq!(
            steps,
            [Step { from_ms: 0, to_ms: 10, bytes: GIB }, Step { from_ms: 30, to_ms: 30, bytes: 2 * GIB }]
        );
    }

    #[test]
    fn absurd_values_draw_something() {
        let points = [point(i64::MIN, u64::MAX, u64::MAX, Ending::Fine), point(i64::MAX, 0, 0, Ending::Failed)];
        let svg = drawn(&points, Some(u64::MAX));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
