//! Sketches against sorted values.
//! Knows nothing of runs.

use proptest::prelude::*;

use crate::history::sketch::{bucket_count, bucket_of};
use crate::history::{GAMMA, LogHistogram, MAX_VALUE, MIN_VALUE, RELATIVE_ERROR};

fn sketch(values: &[f64]) -> LogHistogram {
    let mut sketch = LogHistogram::new();
    for v in values {
        assert!(sketch.add(*v, 1.0));
    }
    sketch
}

/// From fractions of a core to terabytes, zero and repetitions included.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-6.0..19.0_f64).prop_map(|e| 10.0_f64.powf(e)),
        2 => (0_u32..20).prop_map(f64::from),
        1 => Just(0.0),
    ]
}

fn weighted() -> impl Strategy<Value = Vec<(f64, f64)>> {
    proptest::collection::vec((value(), prop_oneof![Just(1.0), 1e-6..1e6_f64]), 0..200)
}

fn filled(values: &[(f64, f64)]) -> LogHistogram {
    let mut sketch = LogHistogram::new();
    for (v, w) in values {
        sketch.add(*v, *w);
    }
    sketch
}

proptest! {
    #[test]
    fn quantiles_are_within_the_bound(mut values in proptest::collection::vec(value(), 1..300), q in 0.0..=1.0_f64) {
        let sketch = sketch(&values);
        values.sort_by(f64::total_cmp);
        let rank = ((q * values.len() as f64).ceil() as usize).clamp(1, values.len());
        let exact = values[rank - 1];
        let found = sketch.quantile(q).unwrap();
        prop_assert!((found - exact).abs() <= exact * RELATIVE_ERROR * (1.0 + 1e-9), "{found} for {exact}");
        prop_assert_eq!(sketch.min(), values.first().copied());
        prop_assert_eq!(sketch.max(), values.last().copied());
        prop_assert_eq!(sketch.total_weight(), values.len() as f64);
    }

    #[test]
    fn share_above_errs_on_the_high_side_by_one_bucket(values in proptest::collection::vec(value(), 1..300), x in value()) {
        let sketch = sketch(&values);
        let share = |x: f64| values.iter().filter(|v| **v > x).count() as f64 / values.len() as f64;
        let found = sketch.share_above(x);
        prop_assert!(found >= share(x) - 1e-12);
        let low_edge = if x < MIN_VALUE { -1.0 } else { x / GAMMA * (1.0 - 1e-12) };
        prop_assert!(found <= share(low_edge) + 1e-12);
    }

    #[test]
    fn merging_is_adding(a in weighted(), b in weighted(), c in weighted()) {
        let all: Vec<_> = [a.clone(), b.clone(), c.clone()].concat();
        let mut backwards = all.clone();
        backwards.reverse();
        let mut left = filled(&a);
        left.merge(&filled(&b));
        left.merge(&filled(&c));
        let mut right = filled(&c);
        right.merge(&filled(&b));
        let mut other = filled(&a);
        other.merge(&right);
        prop_assert_eq!(&left, &filled(&all));
        prop_assert_eq!(&left, &filled(&backwards));
        prop_assert_eq!(&left, &other);
    }

    #[test]
    fn bytes_are_read_back(values in weighted(), bad in 0_u8..3) {
        let mut sketch = filled(&values);
        for _ in 0..bad {
            sketch.add(-1.0, 1.0);
        }
        let bytes = sketch.to_bytes();
        prop_assert_eq!(LogHistogram::from_bytes(&bytes), Ok(sketch));
        prop_assert!(LogHistogram::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(sketch) = LogHistogram::from_bytes(&bytes) {
            prop_assert_eq!(LogHistogram::from_bytes(&sketch.to_bytes()), Ok(sketch));
        }
    }

    #[test]
    fn changed_bytes_are_read_or_refused(values in weighted(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = filled(&values).to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(sketch) = LogHistogram::from_bytes(&bytes) {
            for q in [0.0, 0.01, 0.5, 0.99, 1.0] {
                if let Some(v) = sketch.quantile(q) {
                    prop_assert!(sketch.min().unwrap() <= v && v <= sketch.max().unwrap());
                }
            }
            prop_assert!((0.0..=1.0).contains(&sketch.share_above(1e9)));
            prop_assert_eq!(LogHistogram::from_bytes(&sketch.to_bytes()), Ok(sketch));
        }
    }
}

#[test]
fn what_is_no_size_is_turned_away_and_counted() {
    let mut sketch = LogHistogram::new();
    for (value, weight) in [
        (f64::NAN, 1.0),
        (f64::INFINITY, 1.0),
        (-1.0, 1.0),
        (-f64::MIN_POSITIVE, 1.0),
        (1.0, 0.0),
        (1.0, -1.0),
        (1.0, f64::NAN),
        (1.0, f64::INFINITY),
        (1.0, 1e-9),
    ] {
        assert!(!sketch.add(value, weight), "{value} {weight}");
    }
    assert_eq!(sketch.rejected(), 9);
    assert!(sketch.is_empty());
    assert_eq!((sketch.quantile(0.5), sketch.min(), sketch.max()), (None, None, None));
    assert_eq!((sketch.total_weight(), sketch.share_above(0.0)), (0.0, 0.0));
    assert_eq!(sketch.buckets().count(), 0);
}

#[test]
fn zeros_and_extremes_have_their_place() {
    let mut sketch = sketch(&[0.0, -0.0, 1e-9, 5.0]);
    assert_eq!(sketch.quantile(0.5), Some(0.0));
    assert_eq!(sketch.quantile(1.0), Some(5.0));
    assert_eq!(sketch.quantile(0.99), Some(5.0));
    assert_eq!(sketch.quantile(1.01), None);
    assert_eq!(sketch.quantile(f64::NAN), None);
    assert_eq!(sketch.share_above(1.0), 0.25);
    assert_eq!(sketch.share_above(5.0), 0.0);
    assert_eq!(sketch.share_above(-1.0), 1.0);
    let shape: Vec<_> = sketch.buckets().map(|b| (b.lower, b.weight)).collect();
    assert_eq!((shape[0], shape[1].1, shape.len()), ((0.0, 3.0), 1.0, 2));
    assert!(sketch.add(f64::MAX, f64::MAX));
    assert!(sketch.add(f64::MAX, f64::MAX));
    assert_eq!(sketch.max(), Some(f64::MAX));
    assert_eq!(sketch.quantile(0.5), sketch.quantile(0.9));
    assert_eq!(LogHistogram::from_bytes(&sketch.to_bytes()), Ok(sketch));
}

#[test]
fn buckets_cover_all_sizes_without_gaps() {
    assert!((5_800..5_900).contains(&bucket_count()), "{}", bucket_count());
    assert_eq!(bucket_of(MIN_VALUE), Some(0));
    assert_eq!(bucket_of(MIN_VALUE * 0.999), None);
    assert_eq!(bucket_of(MAX_VALUE), u16::try_from(bucket_count() - 1).ok());
    assert_eq!(bucket_of(f64::MAX), bucket_of(MAX_VALUE));
    let mut all = LogHistogram::new();
    let mut v = MIN_VALUE;
    while v < MAX_VALUE {
        all.add(v, 1.0);
        v *= 1.003;
    }
    let buckets: Vec<_> = all.buckets().collect();
    assert_eq!(buckets.len(), bucket_count());
    for pair in buckets.windows(2) {
        assert_eq!(pair[0].upper, pair[1].lower);
        assert!((pair[1].upper / pair[1].lower - GAMMA).abs() < 1e-12);
    }
    assert!(all.to_bytes().len() < 30_000, "{}", all.to_bytes().len());
}

/// The bytes of a release must be readable by all later ones.
#[test]
fn version_1_bytes_stay_readable() {
    let mut sketch = sketch(&[0.0, 0.25, 1.5, 1.5, 4_294_967_296.0]);
    sketch.add(-1.0, 1.0);
    let bytes = b"\x01\x00\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xf0\x41\x18\x01\x03\xe1\x09\x01\xb3\x01\x02\x8b\x11\x01";
    assert_eq!(LogHistogram::from_bytes(bytes).as_ref(), Ok(&sketch));
    assert_eq!(sketch.to_bytes(), bytes);
}
