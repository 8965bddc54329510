//! Files of recommendations: what is accepted can be used, and a fault is told in one line.
//! Knows nothing of where the bytes come from.

use podfit::admission::{LoadedRecommendations, Snapshot};
use podfit::quantity::Quantity;

pub fn run(data: &[u8]) {
    match LoadedRecommendations::read(data) {
        Ok(loaded) => {
            let (count, mut known) = (loaded.workloads, Snapshot::default());
            loaded.replace_in(&mut known);
            let all = || known.namespaces.values().flat_map(|namespace| namespace.recommendations.values());
            assert_eq!(all().count(), count);
            for (_, size) in all().flat_map(|recommended| recommended.containers.iter()) {
                let values = [size.cpu_request, size.cpu_limit, size.memory_request, size.memory_limit];
                assert!(values.iter().any(Option::is_some) && values.into_iter().flatten().all(|q| q > Quantity::ZERO));
            }
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.contains(char::is_control) && said.chars().count() < 500, "{said:?}");
        }
    }
}
