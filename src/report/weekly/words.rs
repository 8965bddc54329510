//! The report's numbers and sentences as people read them: every renderer takes them from here, so that all say the
//! same.

use super::{Comparison, Counts, Prices, Source, Sums, Weekly};
use crate::text;
use crate::text::units;

/// GiB-hours or core-hours: `0.4`, `12.3`, `1,240`.
pub(super) fn amount(hours: f64) -> String {
    let digits = usize::from(hours.abs() < 99.95);
    grouped(hours, digits)
}

/// Money without its currency: `0.42`, `12.30`, `1,240`.
pub(super) fn sum_of_money(money: f64) -> String {
    let digits = if money.abs() < 999.995 { 2 } else { 0 };
    grouped(money, digits)
}

/// Money with its currency: `12.30 USD`.
pub(super) fn money(money: f64, prices: &Prices) -> String {
    format!("{} {}", sum_of_money(money), name(&prices.currency, 8))
}

/// A price as it was given.
pub(super) fn price(price: f64) -> String {
    let text = format!("{price:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    let zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
    format!("{}{out}{rest}", if value < 0.0 && !zero { "−" } else { "" })
}

/// A moment: the day at midnight, else with its minute.
pub(super) fn moment(ms: i64) -> String {
    let Ok(time) = jiff::Timestamp::from_millisecond(ms) else { return "?".to_owned() };
    let form = if ms.rem_euclid(86_400_000) == 0 { "%Y-%m-%d" } else { "%Y-%m-%d %H:%M" };
    time.strftime(form).to_string()
}

/// A name from a cluster, printable.
pub(super) fn name(text: &str, most: usize) -> String {
    text::short(text, most)
}

/// `1 run`, `3 runs`.
pub(super) fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(n as f64, 0), if n == 1 { "" } else { "s" })
}

/// How many runs: `21`; of a service days, `14 d`.
pub(super) fn runs(runs: &Counts) -> String {
    let unit = if runs.days > 0 { " d" } else { "" };
    format!("{}{unit}", runs.runs())
}

/// `3 finished runs`, `14 days of services`, or both.
pub(super) fn finished(runs: &Counts) -> String {
    let days = runs.days.min(runs.finished);
    let of_services = || format!("{} of services", counted(days, "day"));
    match (runs.finished - days, days) {
        (of_jobs, 0) => counted(of_jobs, "finished run"),
        (0, _) => of_services(),
        (of_jobs, _) => format!("{} and {}", counted(of_jobs, "finished run"), of_services()),
    }
}

pub(super) const fn were(n: u64) -> &'static str {
    if n == 1 { "was" } else { "were" }
}

/// `Week to 2026-11-22 06:00 UTC`.
pub(super) fn title(report: &Weekly) -> String {
    let days = report.period.length_ms() as f64 / 86_400_000.0;
    let what = match days {
        7.0 => "Week".to_owned(),
        1.0 => "Day".to_owned(),
        days => units::duration(days * 86_400.0),
    };
    format!("{what} to {} UTC", moment(report.period.end_ms))
}

/// Which namespaces it is about.
pub(super) fn scope(report: &Weekly) -> String {
    let containers = counted(report.workloads.len() as u64, "container");
    let namespaces = counted(report.namespaces.len() as u64, "namespace");
    if report.namespaces_asked.is_empty() {
        return format!("{containers} of recurring workloads in {namespaces}");
    }
    let names: Vec<String> = report.namespaces_asked.iter().take(5).map(|n| name(n, 63)).collect();
    let more = report.namespaces_asked.len().saturating_sub(5);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{containers} of recurring workloads in {}{more}", names.join(", "))
}

/// What could be saved: the first thing to read.
pub(super) fn saving(report: &Weekly) -> String {
    let money_of = &report.totals.money;
    if money_of.requested <= 0.0 {
        return "Nothing was requested, as far as is known.".to_owned();
    }
    let share = units::percent(money_of.saving.abs() / money_of.requested);
    let (memory, cpu) = (report.totals.memory.saving(), report.totals.cpu.saving());
    let of = |hours: f64, unit: &str| {
        format!("{} {unit} {}", amount(hours.abs()), if hours < 0.0 { "more" } else { "less" })
    };
    let parts = format!("{} and {}", of(memory, "GiB·h"), of(cpu, "core·h"));
    let requested = money(money_of.requested, &report.prices);
    if money_of.saving >= 0.0 {
        format!("{} of {requested} could have been saved ({share}): {parts}.", money(money_of.saving, &report.prices))
    } else {
        format!("{} more than {requested} is needed ({share}): {parts}.", money(-money_of.saving, &report.prices))
    }
}

/// Less money than this is shown as none.
pub(super) const SHOWN: f64 = 0.005;

/// What is at risk.
pub(super) fn at_risk(report: &Weekly) -> String {
    let runs = &report.totals.runs;
    let mut text = match runs.memory_failures() {
        0 => {
            format!("None of {} was killed for memory, as far as was recorded.", finished(runs))
        }
        n => format!(
            "{} of {} {} killed for memory{}{}.",
            grouped(n as f64, 0),
            finished(runs),
            were(n),
            if runs.suspected_kills == 0 {
                String::new()
            } else {
                format!(" ({} of them probably)", runs.suspected_kills)
            },
            match failed_by_memory(&report.totals, &report.prices) {
                cost if cost < SHOWN => String::new(),
                cost => format!(", which cost {}", money(cost, &report.prices)),
            }
        ),
    };
    let kinds: Vec<String> = report.risk_counts().iter().map(|(kind, n)| format!("{n} × {}", kind.as_str())).collect();
    if !kinds.is_empty() {
        text.push_str(&format!(" Containers at risk: {}.", kinds.join(", ")));
    }
    text
}

pub(super) fn failed_by_memory(sums: &Sums, prices: &Prices) -> f64 {
    sums.memory.failed_by_memory * prices.gib_hour + sums.cpu.failed_by_memory * prices.core_hour
}

/// What changed.
pub(super) fn changed(report: &Weekly) -> String {
    if report.changes.is_empty() {
        return "No container's requests or limits changed in this time, by podfit or by anyone, as far as its runs show."
            .to_owned();
    }
    let ours: Vec<_> = report.changes.iter().filter(|c| c.source == Source::Recommended).collect();
    let saved: f64 = ours.iter().filter_map(|c| c.memory_gib_hours_saved).sum();
    let failures: u64 = ours.iter().map(|c| c.memory_failures_since).sum();
    let runs: u64 = ours.iter().map(|c| c.runs_since).sum();
    let mut text = format!("Requests or limits of {} changed", counted(report.changes.len() as u64, "container"));
    match ours.len() {
        0 => text.push_str(", none of them to what podfit recommended, as far as its runs show."),
        n => text.push_str(&format!(
            ", {n} of them to what podfit recommended: {} GiB·h {} reserved since, and {failures} of {} {} killed for memory.",
            amount(saved.abs()),
            if saved < 0.0 { "more" } else { "less" },
            counted(runs, "run"),
            were(failures)
        )),
    }
    text
}

/// How a number changed: `+12 %`, `−3 %`, `as before`, `new`.
pub(super) fn trend(now: f64, before: f64) -> String {
    if now == before {
        return "as before".to_owned();
    }
    if before <= 0.0 {
        return "new".to_owned();
    }
    let change = (now - before) / before;
    let share = units::percent(change.abs());
    if share == "0 %" || share == "< 0.1 %" {
        return "as before".to_owned();
    }
    format!("{}{share}", if change < 0.0 { '−' } else { '+' })
}

/// A line of the summary: what, requested, used, recommended, could be saved, against before.
pub(super) struct SummaryLine {
    pub what: String,
    pub requested: String,
    pub used: String,
    pub recommended: String,
    pub saving: String,
    pub trend: String,
}

pub(super) const SUMMARY_COLUMNS: [&str; 6] =
    ["", "requested", "used", "at recommended sizes", "could be saved", "requested, against before"];

/// Memory, CPU and money.
pub(super) fn summary(report: &Weekly) -> [SummaryLine; 3] {
    let of = |pick: fn(&Sums) -> f64| match &report.comparison {
        Some(Comparison { now, before, .. }) => trend(pick(now), pick(before)),
        None => "—".to_owned(),
    };
    let t = &report.totals;
    let line = |what: &str, values: [f64; 4], text: fn(f64) -> String, trend: String| {
        let [requested, used, recommended, saving] = values.map(text);
        SummaryLine { what: what.to_owned(), requested, used, recommended, saving, trend }
    };
    let (m, c, money) = (&t.memory, &t.cpu, &t.money);
    [
        line("Memory, GiB·h", [m.requested, m.used, m.recommended, m.saving()], amount, of(|s| s.memory.requested)),
        line("CPU, core·h", [c.requested, c.used, c.recommended, c.saving()], amount, of(|s| s.cpu.requested)),
        line(
            &format!("Money, {}", name(&report.prices.currency, 8)),
            [money.requested, money.used, money.recommended, money.saving],
            sum_of_money,
            of(|s| s.money.requested),
        ),
    ]
}

/// The sentence beside the summary: against the period before.
pub(super) fn against(report: &Weekly) -> String {
    let Some(c) = &report.comparison else {
        let why = report.no_comparison.as_deref().unwrap_or("it is not known");
        return format!("Not compared with the period before: {why}.");
    };
    let left_out = match c.left_out {
        0 => String::new(),
        n => format!(" ({} left out: runs of that time are no longer kept one by one)", counted(n as u64, "container")),
    };
    let of = |s: &Sums| {
        format!(
            "{} requested, {}, {} of them killed for memory",
            money(s.money.requested, &report.prices),
            finished(&s.runs),
            grouped(s.runs.memory_failures() as f64, 0)
        )
    };
    format!(
        "Against the period before, of {}{left_out}: now {}; then {}.",
        counted(c.containers as u64, "container"),
        of(&c.now),
        of(&c.before),
    )
}

/// What a change of sizes was, and what came of it.
pub(super) fn change(c: &super::SizeChange) -> (String, String, String) {
    let memory = |r: &crate::history::Resources| {
        r.memory_limit_bytes.or(r.memory_request_bytes).map_or_else(|| "—".to_owned(), units::memory)
    };
    let cpu = |r: &crate::history::Resources| r.cpu_request_millis.map_or_else(|| "—".to_owned(), units::cpu);
    let pair = |what: &str, from: String, to: String| (from != to).then(|| format!("{what} {from} → {to}"));
    let parts: Vec<String> = [pair("memory", memory(&c.from), memory(&c.to)), pair("CPU", cpu(&c.from), cpu(&c.to))]
        .into_iter()
        .flatten()
        .collect();
    let what = if parts.is_empty() { "request or CPU limit".to_owned() } else { parts.join(", ") };
    let source = match c.source {
        Source::Recommended => "as podfit recommended",
        Source::NotKnown => "by whom is not known",
    };
    let mut came = format!(
        "{} since, {} of them killed for memory ({} of as many before)",
        counted(c.runs_since, "run"),
        c.memory_failures_since,
        c.memory_failures_before
    );
    if let Some(hours) = c.memory_gib_hours_saved.filter(|h| h.abs() >= 0.05) {
        came.push_str(&format!(
            ", {} GiB·h {} reserved",
            amount(hours.abs()),
            if hours < 0.0 { "more" } else { "less" }
        ));
    }
    (what, source.to_owned(), came)
}

/// What is said of rows that are only counted.
pub(super) fn quiet(report: &Weekly) -> Option<String> {
    (report.quiet > 0).then(|| {
        format!(
            "{} known from before did not run in this period nor in the one before, and {} not listed.",
            counted(report.quiet as u64, "container"),
            if report.quiet == 1 { "is" } else { "are" }
        )
    })
}

/// A name of a file or an anchor, made of letters, digits and hyphens only.
pub fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0.0, "0.0")]
    #[case(-0.04, "0.0")]
    #[case(12.34, "12.3")]
    #[case(99.96, "100")]
    #[case(-1_234.5, "−1,234")]
    #[case(1_234_567.0, "1,234,567")]
    fn amounts(#[case] hours: f64, #[case] expected: &str) {
        assert_eq!(amount(hours), expected);
    }

    #[rstest]
    #[case(110.0, 100.0, "+10 %")]
    #[case(97.0, 100.0, "−3 %")]
    #[case(100.0, 100.0, "as before")]
    #[case(100.00001, 100.0, "as before")]
    #[case(5.0, 0.0, "new")]
    #[case(0.0, 0.0, "as before")]
    fn trends(#[case] now: f64, #[case] before: f64, #[case] expected: &str) {
        assert_eq!(trend(now, before), expected);
    }

    #[test]
    fn moments_and_slugs() {
        assert_eq!(moment(1_795_305_600_000), "2026-11-22");
        assert_eq!(moment(1_795_327_200_000), "2026-11-22 06:00");
        assert_eq!(slug("../Sales data/a:b<x>"), "sales-data-a-b-x");
    }
}
