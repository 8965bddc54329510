//! The files of `dashboards/`: panels, variables, rules, and every expression in them. Asks no server anything.

use std::path::{Path, PathBuf};

use serde_json::Value;

pub fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards")
}

pub fn dashboards() -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = std::fs::read_dir(dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

pub fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().collect()
}

/// Every rule: the metric that it records, or the alert, and its expression.
pub fn rules() -> Vec<(Value, String)> {
    ["recording.yaml", "alerts.yaml"]
        .into_iter()
        .flat_map(|file| {
            let text = std::fs::read_to_string(dir().join("rules").join(file)).unwrap();
            let groups: Value = serde_saphyr::from_str(&text).unwrap();
            let rules =
                groups["groups"].as_array().unwrap().iter().flat_map(|g| g["rules"].as_array().unwrap().clone());
            rules.collect::<Vec<Value>>()
        })
        .map(|rule| {
            let expression = rule["expr"].as_str().unwrap().to_owned();
            (rule, expression)
        })
        .collect()
}

/// Where it stands, and the expression: of every panel, variable and rule.
pub fn expressions() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = rules()
        .into_iter()
        .map(|(rule, expression)| (format!("rule {}{}", rule["record"], rule["alert"]), expression))
        .collect();
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let place = format!("{name}: {}", panel["title"].as_str().unwrap());
                all.push((place, target["expr"].as_str().unwrap().to_owned()));
            }
        }
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            // label_values(selector, label)
            if let Some(query) = variable["query"]["query"].as_str() {
                let selector = query.strip_prefix("label_values(").unwrap().rsplit_once(',').unwrap().0;
                all.push((format!("{name}: ${}", variable["name"].as_str().unwrap()), selector.to_owned()));
            }
        }
    }
    all
}
