//! Delivers the report on schedule: once for each due time, by whoever leads then. A Lease of its own remembers the
//! newest due time that was dealt with. It is written before anything is sent, and the API server lets one of two
//! replicas that read the same version write it: a report may be missed, it never comes twice.
//! Must not send before this replica has learned of the history.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::lease::{self, LeaseName};
use super::recommend::ControllerMetrics;
use crate::cluster::Api;
use crate::delivery::{Patience, Plan, deliver};
use crate::report::weekly::Weekly;

/// How often it is looked whether a report is due.
const LOOK: Duration = Duration::from_secs(1);
/// After trouble with the record or the report.
const RETRY: Duration = Duration::from_secs(30);
/// A report that is later than this is left out, as by the report's CronJob.
const LATE: SignedDuration = SignedDuration::from_hours(12);
const DUE: &str = "podfit.dev/report-due";
const RESULT: &str = "podfit.dev/report-result";

/// A moment of every week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Its day.
    pub day: Weekday,
    /// Its time.
    pub time: Time,
    /// Where it is that time.
    pub zone: TimeZone,
}

impl Moment {
    /// The newest of them that is not after `now`. A time that the clocks skip is the same after the skip.
    pub fn last_before(&self, now: Timestamp) -> Option<Timestamp> {
        let today = now.to_zoned(self.zone.clone()).date();
        let back = today.weekday().since(self.day);
        [0, 7].into_iter().find_map(|weeks| {
            let day = today.checked_sub((i32::from(back) + weeks).days()).ok()?;
            let at = self.zone.to_ambiguous_timestamp(day.to_datetime(self.time)).compatible().ok()?;
            (at <= now).then_some(at)
        })
    }
}

/// Makes the report of the week up to a time.
pub type MakeReport = Arc<dyn Fn(Timestamp) -> BoxFuture<'static, Result<Weekly, String>> + Send + Sync>;

/// What is delivered, where, and when.
#[derive(Clone)]
pub struct Delivery {
    /// When.
    pub moment: Moment,
    /// Where.
    pub plan: Plan,
    /// How patiently.
    pub patience: Patience,
    /// What.
    pub report: MakeReport,
}

/// Who delivers, and where that is remembered.
pub(super) struct Deliverer {
    pub(super) api: Api,
    /// The Lease that replicas lead by; the record lies beside it.
    pub(super) lease: LeaseName,
    pub(super) me: String,
    pub(super) figures: Arc<ControllerMetrics>,
}

/// What to do about a due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It has been dealt with.
    Nothing,
    /// Remember it and send nothing: podfit was not there then.
    Remember,
    /// Remember it, and send.
    Send,
}

fn step(done: Option<Timestamp>, due: Timestamp, now: Timestamp) -> Step {
    match done {
        Some(done) if done >= due => Step::Nothing,
        Some(_) if now.duration_since(due) <= LATE => Step::Send,
        _ => Step::Remember,
    }
}

/// The record as it is stored.
struct Record {
    due: Option<Timestamp>,
    version: String,
}

impl Deliverer {
    /// Delivers until stopped, while this replica leads.
    pub(super) async fn run(self, delivery: Option<Delivery>, leading: watch::Receiver<bool>, stop: CancellationToken) {
        let Some(delivery) = delivery else { return stop.cancelled().await };
        let mut done = None;
        let mut reported = None;
        loop {
            let mut pause = LOOK;
            let due = delivery.moment.last_before(Timestamp::now()).filter(|due| done < Some(*due));
            if let Some(due) = due.filter(|_| *leading.borrow() && self.figures.have_succeeded()) {
                match self.deal_with(due, &delivery).await {
                    Ok(()) => {
                        (done, reported) = (Some(due), None);
                        self.figures.reported(due);
                    }
                    Err(why) => {
                        if reported.as_ref() != Some(&why) {
                            tracing::warn!("the report of {due} waits: {why}");
                        }
                        (reported, pause) = (Some(why), RETRY);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn deal_with(&self, due: Timestamp, delivery: &Delivery) -> Result<(), String> {
        let record = self.record().await?;
        let version = record.as_ref().map(|record| record.version.as_str());
        match step(record.as_ref().and_then(|record| record.due), due, Timestamp::now()) {
            Step::Nothing => Ok(()),
            Step::Remember => self.remember(due, version, "not sent: podfit was not there then").await.map(|_| ()),
            Step::Send => {
                // Before it is claimed: what cannot be made now may be made by another, or later.
                let report = (delivery.report)(due).await?;
                let Some(version) = self.remember(due, version, "being sent").await? else { return Ok(()) };
                let delivered = deliver(&delivery.plan, &report, delivery.patience).await;
                let mut failed = 0;
                for one in &delivered {
                    self.figures.delivered(one.result.is_ok());
                    match &one.result {
                        Ok(what) => tracing::info!("{}: sent {what}", one.name),
                        Err(why) => {
                            failed += 1;
                            tracing::warn!("{}: not sent: {why}", one.name);
                        }
                    }
                }
                let result = format!("sent to {} of {} destinations", delivered.len() - failed, delivered.len());
                // For whoever looks; what counts is said already.
                let _ = self.remember(due, Some(&version), &result).await;
                Ok(())
            }
        }
    }

    async fn record(&self) -> Result<Option<Record>, String> {
        let object = lease::get(&self.api, &self.name()).await?;
        Ok(object.map(|object| Record {
            due: object["metadata"]["annotations"][DUE].as_str().and_then(|due| due.parse().ok()),
            version: version_of(&object),
        }))
    }

    /// The version of what was stored; `None` where another was quicker.
    async fn remember(&self, due: Timestamp, version: Option<&str>, result: &str) -> Result<Option<String>, String> {
        let name = self.name();
        let mut body = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": name.name, "namespace": name.namespace,
                "labels": {"app.kubernetes.io/name": "podfit"},
                "annotations": {DUE: due.to_string(), RESULT: result}},
            "spec": {"holderIdentity": self.me},
        });
        if let Some(version) = version {
            body["metadata"]["resourceVersion"] = json!(version);
        }
        Ok(lease::store(&self.api, &name, &body, version.is_some()).await?.as_ref().map(version_of))
    }

    fn name(&self) -> LeaseName {
        LeaseName { namespace: self.lease.namespace.clone(), name: format!("{}-report", self.lease.name) }
    }
}

fn version_of(object: &Value) -> String {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[rstest]
    #[case::that_very_moment("UTC", "2026-11-23T07:00:00Z", "2026-11-23T07:00:00Z")]
    #[case::a_second_before("UTC", "2026-11-23T06:59:59Z", "2026-11-16T07:00:00Z")]
    #[case::on_sunday("UTC", "2026-11-29T23:00:00Z", "2026-11-23T07:00:00Z")]
    #[case::winter("Europe/Berlin", "2026-11-23T06:30:00Z", "2026-11-23T06:00:00Z")]
    #[case::summer("Europe/Berlin", "2026-07-20T05:30:00Z", "2026-07-20T05:00:00Z")]
    #[case::already_monday_there("Pacific/Auckland", "2026-11-22T18:30:00Z", "2026-11-22T18:00:00Z")]
    #[case::still_sunday_there("America/Los_Angeles", "2026-11-23T14:59:00Z", "2026-11-16T15:00:00Z")]
    fn mondays_at_seven(#[case] zone: &str, #[case] now: &str, #[case] due: &str) {
        let zone = TimeZone::get(zone).unwrap();
        let moment = Moment { day: Weekday::Monday, time: Time::constant(7, 0, 0, 0), zone };
        assert_eq!(moment.last_before(at(now)), Some(at(due)));
    }

    #[test]
    fn an_hour_that_the_clocks_skip_is_not_left_out() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let moment = Moment { day: Weekday::Sunday, time: Time::constant(2, 30, 0, 0), zone };
        assert_eq!(moment.last_before(at("2026-03-29T12:00:00Z")), Some(at("2026-03-29T01:30:00Z")));
    }

    #[rstest]
    #[case::at_first(None, "2026-11-23T07:00:01Z", Step::Remember)]
    #[case::last_week(Some("2026-11-16T07:00:00Z"), "2026-11-23T07:00:01Z", Step::Send)]
    #[case::after_a_long_absence(Some("2026-11-16T07:00:00Z"), "2026-11-23T20:00:00Z", Step::Remember)]
    #[case::done(Some("2026-11-23T07:00:00Z"), "2026-11-23T07:00:01Z", Step::Nothing)]
    #[case::by_a_clock_ahead(Some("2026-11-30T07:00:00Z"), "2026-11-23T07:00:01Z", Step::Nothing)]
    fn each_due_time_is_dealt_with_once(#[case] done: Option<&str>, #[case] now: &str, #[case] expected: Step) {
        assert_eq!(step(done.map(at), at("2026-11-23T07:00:00Z"), at(now)), expected);
    }
}
