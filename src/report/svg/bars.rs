//! Bars beside each other: a few amounts for each of a few things, longest bar first where the caller has sorted so.

use super::{Anchor, Mark, WIDTH, legend, line, open, rectangle, scale, text, wide};

const LEFT: f64 = 6.0;
const RIGHT: f64 = 8.0;
/// Height of one bar with the line of its number, and room between things.
const BAR: f64 = 15.0;
const GAP: f64 = 14.0;
/// Height of a thing's name.
const NAME: f64 = 17.0;
const BOTTOM: f64 = 42.0;
/// Characters of a name that fit the width.
const NAME_LENGTH: usize = 56;

/// One thing with its amounts, in the order of the series.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Amounts and how each is written; negative ones have no bar.
    pub values: Vec<(f64, String)>,
}

/// What to draw.
#[derive(Clone, Debug)]
pub struct Bars<'a> {
    /// Unique in the page; letters, digits and hyphens.
    pub id: String,
    /// What is compared.
    pub title: &'a str,
    /// Unit of the axis.
    pub unit: &'a str,
    /// Class and name of each amount.
    pub series: &'a [(&'static str, &'a str)],
    /// The things.
    pub items: &'a [Item],
}

/// The picture; empty without things.
pub fn picture(what: &Bars<'_>) -> String {
    if what.items.is_empty() {
        return String::new();
    }
    let values = || what.items.iter().flat_map(|i| &i.values);
    let most = values().map(|(v, _)| *v).filter(|v| v.is_finite()).fold(0.0, f64::max);
    // The longest bar leaves room for its number.
    let number_room = values().map(|(_, said)| wide(said)).fold(0.0, f64::max) + 8.0;
    let plot = (WIDTH - LEFT - RIGHT - number_room).max(60.0);
    let ticks = scale::amount(most, 4);
    let mut body = String::new();
    let mut entries: Vec<(Mark, String)> = Vec::new();
    if what.series.len() > 1 {
        entries.extend(what.series.iter().map(|(class, name)| (Mark::Box(class), (*name).to_owned())));
    }
    let top = if entries.is_empty() { 4.0 } else { legend(&mut body, &entries, LEFT, WIDTH - RIGHT, 2.0) + 6.0 };
    let of_item = NAME + what.series.len() as f64 * BAR;
    let floor = top + what.items.len() as f64 * (of_item + GAP) - GAP + 6.0;
    let at_x = |value: f64| LEFT + plot * (value / ticks.most).clamp(0.0, 1.0);
    for (value, label) in &ticks.at {
        let x = at_x(*value);
        line(&mut body, if *value == 0.0 { "base" } else { "grid" }, (x, top), (x, floor));
        let anchor = if *value == 0.0 { Anchor::Start } else { Anchor::Middle };
        text(&mut body, x, floor + 15.0, "axis", anchor, label);
    }
    text(&mut body, LEFT + plot / 2.0, floor + BOTTOM - 10.0, "axis", Anchor::Middle, what.unit);
    body.push('\n');
    for (at, item) in what.items.iter().enumerate() {
        let y = top + at as f64 * (of_item + GAP);
        text(&mut body, LEFT + 4.0, y + NAME - 5.0, "", Anchor::Start, &text::short(&item.name, NAME_LENGTH));
        for (i, (value, said)) in item.values.iter().enumerate() {
            let y = y + NAME + i as f64 * BAR;
            let class = what.series.get(i).map_or("bar-used", |(class, _)| class);
            let end = if value.is_finite() { at_x(*value) } else { LEFT };
            rectangle(&mut body, class, LEFT, y, (end - LEFT).max(1.0), BAR - 4.0);
            text(&mut body, end + 5.0, y + BAR - 5.0, "axis", Anchor::Start, said);
        }
        body.push('\n');
    }
    let mut out = open(&what.id, WIDTH, floor + BOTTOM, what.title, &described(what));
    out.push_str(&body);
    out.push_str("</svg>\n");
    out
}

fn described(what: &Bars<'_>) -> String {
    let item = |item: &Item| {
        let values: Vec<String> = item
            .values
            .iter()
            .enumerate()
            .map(|(i, (_, said))| match what.series.get(i) {
                Some((_, name)) if what.series.len() > 1 => format!("{name} {said}"),
                _ => said.clone(),
            })
            .collect();
        format!("{}: {}", text::short(&item.name, NAME_LENGTH), values.join(", "))
    };
    format!("In {}. {}.", what.unit, what.items.iter().map(item).collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thing_has_its_bars_and_numbers() {
        let item = |name: &str, values: &[f64]| Item {
            name: name.to_owned(),
            values: values.iter().map(|v| (*v, format!("{v}"))).collect(),
        };
        let items = [item("sales", &[100.0, 20.0]), item("a\"<b>", &[-5.0, f64::NAN])];
        let series = [("bar-request", "requested"), ("bar-used", "used")];
        let bars = Bars { id: "b".to_owned(), title: "By namespace", unit: "GiB·h", series: &series, items: &items };
        let svg = picture(&bars);
        assert_eq!(svg.matches("<rect").count(), 4 + 2, "four bars and two of the legend");
        assert!(svg.contains(">sales<") && svg.contains("a&quot;&lt;b&gt;"));
        assert!(svg.contains("sales: requested 100, used 20"));
        assert!(!svg.contains("=\"NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(picture(&Bars { items: &[], ..bars }), "");
    }
}
