//! Quantiles of a histogram as Prometheus reads them: within a bucket, everything is spread evenly.
//! Must not know whose histogram it is.

/// Upper bounds in seconds, and how many observations were not above them.
#[derive(Clone, Debug, Default)]
pub struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    /// Reads `NAME_bucket` lines with this label from metrics in text form.
    pub fn read(text: &str, name: &str, label: &str) -> Self {
        let prefix = format!("{name}_bucket{{");
        let of_line = |line: &str| {
            let (labels, count) = line.strip_prefix(&prefix)?.split_once("} ")?;
            let bound = labels.split_once("le=\"")?.1.split_once('"')?.0;
            labels.contains(label).then_some(())?;
            Some((bound.replace("+Inf", "inf").parse().ok()?, count.trim().parse().ok()?))
        };
        Self(text.lines().filter_map(of_line).collect())
    }

    /// What came after an earlier look.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self(self.0.iter().zip(&before.0).map(|((bound, now), (_, then))| (*bound, now - then)).collect())
    }

    /// Takes in what another one counted.
    pub fn add(&mut self, more: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&more.0);
            return;
        }
        for ((_, count), (_, more)) in self.0.iter_mut().zip(&more.0) {
            *count += more;
        }
    }

    /// Seconds; none where nothing was observed.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = q * self.0.last().filter(|(_, all)| *all > 0.0)?.1;
        let (mut below, mut under) = (0.0, 0.0);
        for (bound, count) in &self.0 {
            if *count >= rank {
                return Some(if bound.is_finite() {
                    below + (bound - below) * (rank - under) / (count - under)
                } else {
                    below
                });
            }
            (below, under) = (*bound, *count);
        }
        None
    }
}
