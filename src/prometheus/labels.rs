//! The labels of a series, kept in one piece: tens of thousands come and go in a collection, and every one has a dozen
//! names and values. Knows no metric.

/// The labels of a series, sorted by name, the metric name (`__name__`) left out.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels {
    /// Name, value, name, value … without anything between them.
    text: Box<str>,
    /// Where each of them ends.
    ends: Box<[usize]>,
}

impl Labels {
    /// From pairs in any order; a later duplicate wins; `__name__` and empty values are dropped, as an empty value
    /// means the same as an absent label.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.push(&name, &value);
        }
        builder.take()
    }

    /// The value of a label; `None` when absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (mut from, mut to) = (0, self.ends.len() / 2);
        while from < to {
            let middle = usize::midpoint(from, to);
            match self.part(2 * middle).cmp(name) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return Some(self.part(2 * middle + 1)),
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        None
    }

    /// All pairs in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.ends.len() / 2).map(|i| (self.part(2 * i), self.part(2 * i + 1)))
    }

    fn part(&self, i: usize) -> &str {
        part(&self.text, &self.ends, i)
    }
}

fn part<'a>(text: &'a str, ends: &[usize], i: usize) -> &'a str {
    let from = if i == 0 { 0 } else { ends[i - 1] };
    &text[from..ends[i]]
}

impl std::fmt::Debug for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Labels that are still coming in. Used for one series after another, so that their space is asked for once.
#[derive(Default)]
pub(crate) struct LabelsBuilder {
    text: String,
    ends: Vec<usize>,
}

impl LabelsBuilder {
    /// Adds a label.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        if name != "__name__" {
            self.text.push_str(name);
            self.ends.push(self.text.len());
            self.text.push_str(value);
            self.ends.push(self.text.len());
        }
    }

    /// The labels so far, by the rules of [`Labels::new`]; the next ones begin.
    pub(crate) fn take(&mut self) -> Labels {
        if !self.is_in_order() {
            self.put_in_order();
        }
        let labels = Labels { text: self.text.as_str().into(), ends: self.ends.as_slice().into() };
        self.text.clear();
        self.ends.clear();
        labels
    }

    /// Servers send labels in order, once, and none that is empty.
    fn is_in_order(&self) -> bool {
        let part = |i| part(&self.text, &self.ends, i);
        let count = self.ends.len() / 2;
        (0..count).all(|i| !part(2 * i + 1).is_empty() && (i == 0 || part(2 * i - 2) < part(2 * i)))
    }

    /// Whoever does not is put right: of duplicates the last one counts.
    fn put_in_order(&mut self) {
        let part = |i| part(&self.text, &self.ends, i).to_owned();
        let mut pairs: Vec<(String, String)> =
            (0..self.ends.len() / 2).rev().map(|i| (part(2 * i), part(2 * i + 1))).collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.dedup_by(|later, first| later.0 == first.0);
        self.text.clear();
        self.ends.clear();
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            self.push(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(pairs: &[(&str, &str)]) -> Labels {
        Labels::new(pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn any_order_gives_the_same_labels() {
        let sent = made(&[("__name__", "m"), ("a", "1"), ("pod", "p"), ("z", "2")]);
        assert_eq!(sent, made(&[("z", "2"), ("pod", "old"), ("b", ""), ("a", "1"), ("pod", "p"), ("__name__", "m")]));
        assert_eq!(sent.iter().collect::<Vec<_>>(), [("a", "1"), ("pod", "p"), ("z", "2")]);
        assert_eq!(["a", "pod", "z"].map(|n| sent.get(n)), [Some("1"), Some("p"), Some("2")]);
        assert_eq!(["", "aa", "zz", "__name__"].map(|n| sent.get(n)), [None; 4]);
        assert_eq!(made(&[("a", "1"), ("a", "")]), Labels::default(), "what was taken back is absent");
    }

    #[test]
    fn what_reads_the_same_in_one_piece_is_not_the_same() {
        assert_ne!(made(&[("ab", "c")]), made(&[("a", "bc")]));
        assert!(made(&[("a", "2")]) < made(&[("ab", "1")]));
        assert!(made(&[("a", "1")]) < made(&[("a", "1"), ("b", "1")]));
    }
}
