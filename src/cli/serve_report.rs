//! The report that `podfit serve` delivers by itself: when, where, and how it is made of what was learned.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use futures::FutureExt;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::price_args::PriceArgs;
use super::report::plan;
use crate::controller::weekly::{Delivery, MakeReport, Moment};
use crate::delivery::Patience;
use crate::history::Store;
use crate::pipeline::learned;
use crate::report::weekly::{Entry, Period, Settings, Weekly};
use crate::sizing::SizingPolicy;

/// Savings, risks and pictures that are shown.
const TOP: usize = 10;
const WEEK_MS: i64 = 7 * 86_400_000;

/// Arguments of the report.
#[derive(clap::Args)]
pub struct ServeReportArgs {
    /// Send the weekly report to the destinations in this YAML file, as podfit report --deliver does; the leading replica
    /// sends it once
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    deliver: Option<PathBuf>,
    /// Day and time of the report
    #[arg(long, value_name = "DAY HH:MM", default_value = "Mon 07:00", value_parser = day_and_time, help_heading = "Report")]
    deliver_at: (Weekday, Time),
    /// Time zone of that time
    #[arg(long, value_name = "ZONE", default_value = "Etc/UTC", help_heading = "Report")]
    deliver_time_zone: String,
    #[command(flatten)]
    prices: PriceArgs,
}

impl ServeReportArgs {
    /// What is delivered, where it was asked for.
    ///
    /// # Errors
    /// A file that cannot be used, or a time zone that is not known.
    pub fn delivery(
        &self,
        store: &Arc<Store>,
        namespaces: &[String],
        policy: SizingPolicy,
    ) -> anyhow::Result<Option<Delivery>> {
        let Some(file) = &self.deliver else { return Ok(None) };
        let Ok(zone) = TimeZone::get(&self.deliver_time_zone) else {
            bail!(
                "there is no time zone {:?} here; give one such as Europe/Berlin, or Etc/UTC where the system has none",
                self.deliver_time_zone
            );
        };
        let (day, time) = self.deliver_at;
        let (store, namespaces, prices) = (Arc::clone(store), namespaces.to_vec(), self.prices.prices());
        let report: MakeReport = Arc::new(move |due| {
            let settings = Settings {
                period: Period { start_ms: due.as_millisecond() - WEEK_MS, end_ms: due.as_millisecond() },
                prices: prices.clone(),
                top: TOP,
                namespaces: namespaces.clone(),
                policy,
            };
            let store = Arc::clone(&store);
            // On a thread of its own: reviews must not wait for it.
            let made = tokio::task::spawn_blocking(move || weekly(&store, &settings));
            async move {
                let made = made.await.unwrap_or_else(|_| bail!("a part of podfit failed"));
                made.map_err(|error| super::fail::one_line(&error))
            }
            .boxed()
        });
        let moment = Moment { day, time, zone };
        Ok(Some(Delivery { moment, plan: plan(file)?, patience: Patience::default(), report }))
    }
}

fn weekly(store: &Store, settings: &Settings) -> anyhow::Result<Weekly> {
    let gathered = learned(store, &settings.namespaces, settings.policy).context("what was learned cannot be read")?;
    gathered.not_empty("nothing to report")?;
    let lines = gathered.recommendations();
    let entries: Vec<Entry<'_>> =
        gathered.histories.values().zip(lines).map(|(history, line)| Entry { history, line }).collect();
    Ok(Weekly::new(&entries, None, gathered.notes.clone(), settings))
}

/// A day of the week and a time of it.
fn day_and_time(text: &str) -> Result<(Weekday, Time), String> {
    const DAYS: [(&str, Weekday); 7] = [
        ("mon", Weekday::Monday),
        ("tue", Weekday::Tuesday),
        ("wed", Weekday::Wednesday),
        ("thu", Weekday::Thursday),
        ("fri", Weekday::Friday),
        ("sat", Weekday::Saturday),
        ("sun", Weekday::Sunday),
    ];
    let parsed = text.split_once(' ').and_then(|(day, time)| {
        let (_, day) = DAYS.into_iter().find(|(name, _)| day.eq_ignore_ascii_case(name))?;
        Some((day, Time::strptime("%H:%M", time.trim()).ok()?))
    });
    parsed.ok_or_else(|| "a day and a time such as \"Mon 07:00\"".to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("Mon 07:00", Some((Weekday::Monday, Time::constant(7, 0, 0, 0))))]
    #[case("sun 23:59", Some((Weekday::Sunday, Time::constant(23, 59, 0, 0))))]
    #[case("Mon 24:00", None)]
    #[case("Monday 07:00", None)]
    #[case("07:00", None)]
    fn moments_of_a_week(#[case] text: &str, #[case] expected: Option<(Weekday, Time)>) {
        assert_eq!(day_and_time(text).ok(), expected);
    }
}
