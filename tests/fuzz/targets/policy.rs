//! Policy files: what is accepted is written so that it is accepted and the same again, it can be used and exported,
//! and a fault is told in one line. Knows nothing of where the bytes come from.

use podfit::policy::export::export;
use podfit::policy::{Policy, RULES};

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let policy = match Policy::from_yaml(text) {
        Ok(policy) => policy,
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && !said.contains(char::is_control), "{said:?}");
            return;
        }
    };
    let written = serde_json::to_string(&policy).unwrap();
    assert_eq!(Policy::from_yaml(&written).as_ref(), Ok(&policy), "{written}");
    for namespace in ["", "jobs", "dev-a"] {
        let modes = policy.rules.modes_for(namespace);
        let set = policy.rules.modes.iter().all(|(name, mode)| {
            let rule = RULES.iter().find(|rule| rule.id() == name).unwrap();
            !policy.rules.namespaces.is_empty() || modes.of(*rule) == *mode
        });
        assert!(set, "a mode that is set holds");
    }
    let _ = export(&policy.rules, "podfit", &["jobs".to_owned()]);
}
