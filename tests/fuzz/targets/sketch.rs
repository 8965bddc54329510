//! Sketches: bytes that are read are written again as they were, merging is the same in any order, and quantiles stay
//! inside what was seen. Knows nothing of where the bytes come from.

use podfit::history::LogHistogram;

/// Two sketches, the length of the first in the first byte.
pub fn run(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let (a, b) = rest.split_at(usize::from(*length).min(rest.len()));
    let (a, b) = (one(a), one(b));
    if let (Some(a), Some(b)) = (a, b) {
        let merged = |first: &LogHistogram, second: &LogHistogram| {
            let mut first = first.clone();
            first.merge(second);
            first
        };
        let both = merged(&a, &b);
        assert_eq!(both, merged(&b, &a));
        assert_eq!(merged(&both, &a), merged(&a, &both));
        let empty = LogHistogram::new();
        assert_eq!((merged(&a, &empty), merged(&empty, &a)), (a.clone(), a.clone()));
        check(&both);
        let mut more = both.clone();
        more.add(1.5, 1.0);
        assert!(more.total_weight() >= both.total_weight() && more.max() >= both.max());
        check(&more);
    }
}

fn one(bytes: &[u8]) -> Option<LogHistogram> {
    let sketch = LogHistogram::from_bytes(bytes).ok()?;
    check(&sketch);
    Some(sketch)
}

fn check(sketch: &LogHistogram) {
    assert_eq!(LogHistogram::from_bytes(&sketch.to_bytes()).as_ref(), Ok(sketch));
    let (Some(min), Some(max)) = (sketch.min(), sketch.max()) else {
        assert!(sketch.is_empty() && sketch.quantile(0.5).is_none() && sketch.share_above(0.0) == 0.0);
        return;
    };
    let quantiles = [0.0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0].map(|q| sketch.quantile(q).unwrap());
    assert!(quantiles.is_sorted() && quantiles[0] == min && quantiles[7] == max, "{quantiles:?}");
    let shares = [-1.0, 0.0, min, quantiles[3], max, f64::INFINITY].map(|x| sketch.share_above(x));
    assert!(shares.iter().all(|s| (0.0..=1.0).contains(s)), "{shares:?}");
    assert!(shares[4] == 0.0 && shares[2] >= shares[3], "{shares:?}");
    assert!(sketch.buckets().all(|b| b.lower < b.upper && b.weight > 0.0));
    assert!(sketch.total_weight() > 0.0);
}
