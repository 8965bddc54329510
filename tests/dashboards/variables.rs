//! A dashboard's variables as Grafana resolves them: options from the data source, one after the other, and put into
//! expressions in the form that a Prometheus data source has them.

use serde_json::Value;

use super::support::prometheus_server::PrometheusServer;

/// What is chosen in the variables that take several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// "All".
    All,
    /// Every option, one by one.
    Each,
}

/// Names, and what stands for them in expressions.
pub type Resolved = Vec<(String, String)>;

/// The variables of a dashboard. Where only one can be chosen it is the one of `picked`, which has to be among the
/// options.
pub fn resolve(dashboard: &Value, server: &PrometheusServer, choice: Choice, picked: &[(&str, &str)]) -> Resolved {
    let mut resolved = Resolved::new();
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let name = variable["name"].as_str().unwrap();
        if variable["type"] != "query" {
            continue;
        }
        let query = variable["query"]["query"].as_str().unwrap();
        let (selector, label) =
            query.strip_prefix("label_values(").unwrap().trim_end_matches(')').rsplit_once(',').unwrap();
        let options = options(server, &put_in(selector, &resolved), label.trim());
        assert!(!options.is_empty(), "${name} has no options: {query}");
        let value = if variable["multi"] == true {
            match choice {
                Choice::All => variable["allValue"].as_str().unwrap().to_owned(),
                Choice::Each => {
                    let options: Vec<String> = options.iter().map(|option| escaped(option)).collect();
                    if options.len() == 1 { options.concat() } else { format!("({})", options.join("|")) }
                }
            }
        } else {
            let (_, value) = picked.iter().find(|(picked, _)| *picked == name).unwrap();
            assert!(options.iter().any(|option| option == value), "${name}: {value} is not among {options:?}");
            (*value).to_owned()
        };
        resolved.push((name.to_owned(), value));
    }
    resolved
}

/// The expression with values for variables.
pub fn put_in(expression: &str, resolved: &Resolved) -> String {
    // Every second of scrapes; the data source knows it. Four of them are what Grafana makes of it.
    let mut expression = expression.replace("$__rate_interval", "4s");
    for (name, value) in resolved {
        expression = expression.replace(&format!("${name}"), value);
    }
    expression
}

fn options(server: &PrometheusServer, selector: &str, label: &str) -> Vec<String> {
    let values = server.ask(&format!("label/{label}/values"), &[("match[]", selector)]).unwrap();
    values.as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// As Grafana writes a chosen value into a string of PromQL that is a regular expression.
fn escaped(value: &str) -> String {
    value
        .chars()
        .flat_map(|c| {
            let special = r"\$^*{}[]'+?.()|".contains(c);
            special.then_some(r"\\").into_iter().flat_map(str::chars).chain([c])
        })
        .collect()
}
