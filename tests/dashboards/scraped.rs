//! Dashboards and rules on a real Prometheus that scrapes a running podfit with work to do: each expression has data.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::files::{dashboards, panels, rules};
use super::platform::Platform;
use super::promql::selected;
use super::support::cluster::until;
use super::variables::{Choice, put_in, resolve};

const TEST: &str = "every_expression_has_data_of_a_running_podfit";

/// An expression, where it stands, and whether it is asked over time.
struct Question {
    place: String,
    expression: String,
    range: bool,
}

impl Question {
    /// Whether Prometheus has data for it.
    fn has_data(&self, platform: &Platform, begun: u64) -> bool {
        let answer = if self.range {
            let (from, to) = (begun.to_string(), now().to_string());
            platform
                .prometheus
                .ask("query_range", &[("query", &self.expression), ("start", &from), ("end", &to), ("step", "1")])
        } else {
            platform.prometheus.ask("query", &[("query", &self.expression)])
        };
        let data = answer.unwrap_or_else(|why| panic!("{}: {}: {why}", self.place, self.expression));
        // A scalar is no list of series, and always something.
        data["resultType"] == "scalar" || data["result"].as_array().is_some_and(|found| !found.is_empty())
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn questions(platform: &Platform, choice: Choice) -> Vec<Question> {
    let picked = [("namespace", platform.namespace()), ("workload", "cronjob/nightly")];
    let mut all = Vec::new();
    for (name, dashboard) in dashboards() {
        let resolved = resolve(&dashboard, &platform.prometheus, choice, &picked);
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                all.push(Question {
                    place: format!("{name}: {} ({choice:?})", panel["title"].as_str().unwrap()),
                    expression: put_in(target["expr"].as_str().unwrap(), &resolved),
                    range: target["range"] == true,
                });
            }
        }
    }
    all
}

#[test]
fn every_expression_has_data_of_a_running_podfit() {
    let Some(platform) = Platform::start(TEST) else { return };
    let begun = now();
    let mut empty: Vec<Question> = Vec::new();
    until("options of all variables", || {
        platform.traffic();
        platform.sample("workload:podfit_memory_excess_bytes:max")
    });
    for choice in [Choice::All, Choice::Each] {
        empty.extend(questions(&platform, choice));
    }
    // Records have to have data, alerts only what they look at: most are silent as long as nothing is wrong.
    for (rule, expression) in rules() {
        let record = rule["record"].as_str();
        let place = format!("rule {}{}", rule["record"], rule["alert"]);
        let looked_at = if record.is_some() { vec![expression] } else { selected_in(&expression) };
        empty.extend(looked_at.into_iter().map(|expression| Question {
            place: place.clone(),
            expression,
            range: false,
        }));
        empty.extend(record.map(|name| Question { place: place.clone(), expression: name.to_owned(), range: false }));
    }
    let all = empty.len();
    assert!(all > 150, "{all}");
    // As long as `until` waits; with all that is empty told at the end.
    let deadline = now() + 180;
    while !empty.is_empty() && now() < deadline {
        platform.traffic();
        empty.retain(|question| !question.has_data(&platform, begun));
    }
    let list: String = empty.iter().map(|q| format!("{}: {}\n", q.place, q.expression)).collect();
    assert!(empty.is_empty(), "{} of {all} expressions have no data:\n{list}\n{}", empty.len(), platform.log());

    // Prometheus itself could evaluate every rule.
    let groups = platform.prometheus.ask("rules", &[]).unwrap();
    let evaluated: Vec<&Value> =
        groups["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert_eq!(evaluated.len(), rules().len());
    for rule in evaluated {
        assert_eq!(rule["health"], "ok", "{rule:#}");
    }
    // And the faults that were made are told.
    for alert in ["PodfitAdmissionFailingOpen", "PodfitInputUnusable"] {
        until(alert, || {
            platform.traffic();
            platform.sample(&format!("ALERTS{{alertname=\"{alert}\"}}"))
        });
    }
}

/// What an expression looks at.
fn selected_in(expression: &str) -> Vec<String> {
    selected(expression).into_iter().map(|(name, _)| name).collect()
}
