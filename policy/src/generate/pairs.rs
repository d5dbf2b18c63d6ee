//! Rows in which every two values of different factors meet once at least.

/// Rows over factors with this many values each. Greedy: each row starts with the first pair that is missing and
/// takes for every other factor the value that brings most missing pairs. Nothing where a factor has no value.
pub(super) fn rows<const N: usize>(sizes: [usize; N]) -> Vec<[usize; N]> {
    let mut rows = Vec::new();
    if sizes.contains(&0) {
        return rows;
    }
    let mut met = Met::new(sizes);
    while let Some((first, second)) = met.first_missing() {
        let mut row = [None; N];
        set(&mut row, first);
        set(&mut row, second);
        for (factor, size) in sizes.into_iter().enumerate() {
            if row.get(factor).is_some_and(Option::is_some) {
                continue;
            }
            // Rows take turns, so that ties do not always fall to the first value.
            let turn = rows.len() % size;
            let values = (0..size).map(|value| (value + turn) % size);
            let best = values
                .map(|value| (met.count_missing((factor, value), &row), value))
                .reduce(|best, next| if next.0 > best.0 { next } else { best });
            set(&mut row, (factor, best.map_or(0, |(_, value)| value)));
        }
        let row = row.map(Option::unwrap_or_default);
        met.note(&row);
        rows.push(row);
    }
    rows
}

/// A factor and one of its values.
type Setting = (usize, usize);

fn set<const N: usize>(row: &mut [Option<usize>; N], (factor, value): Setting) {
    if let Some(place) = row.get_mut(factor) {
        *place = Some(value);
    }
}

/// Which pairs have met.
struct Met<const N: usize> {
    /// Where the values of each factor start, in one numbering of all.
    starts: [usize; N],
    values: usize,
    pairs: Vec<bool>,
    /// No pair before this one is missing.
    done: usize,
}

impl<const N: usize> Met<N> {
    fn new(sizes: [usize; N]) -> Self {
        let mut values = 0;
        let starts = sizes.map(|size| {
            values += size;
            values - size
        });
        let mut met = Self {
            starts,
            values,
            pairs: vec![false; values * values],
            done: 0,
        };
        // Values of one factor never meet.
        for (factor, size) in sizes.into_iter().enumerate() {
            for a in 0..size {
                for b in 0..size {
                    met.mark((factor, a), (factor, b));
                }
            }
        }
        met
    }

    fn place(&self, a: Setting, b: Setting) -> usize {
        let number =
            |(factor, value): Setting| self.starts.get(factor).copied().unwrap_or_default() + value;
        number(a) * self.values + number(b)
    }

    fn mark(&mut self, a: Setting, b: Setting) {
        for place in [self.place(a, b), self.place(b, a)] {
            if let Some(pair) = self.pairs.get_mut(place) {
                *pair = true;
            }
        }
    }

    fn note(&mut self, row: &[usize; N]) {
        for (a, value) in row.iter().enumerate() {
            for (b, other) in row.iter().enumerate() {
                self.mark((a, *value), (b, *other));
            }
        }
    }

    fn first_missing(&mut self) -> Option<(Setting, Setting)> {
        let rest = self.pairs.get(self.done..)?;
        self.done += rest.iter().position(|met| !met)?;
        Some((
            self.setting(self.done / self.values)?,
            self.setting(self.done % self.values)?,
        ))
    }

    fn setting(&self, number: usize) -> Option<Setting> {
        let factor = self.starts.iter().rposition(|start| *start <= number)?;
        Some((factor, number - self.starts.get(factor)?))
    }

    fn count_missing(&self, setting: Setting, row: &[Option<usize>; N]) -> usize {
        let others = row.iter().enumerate();
        others
            .filter_map(|(factor, value)| Some((factor, (*value)?)))
            .filter(|other| {
                let place = self.place(setting, *other);
                self.pairs.get(place).is_some_and(|met| !met)
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn every_two_values_meet_in_few_rows() {
        let sizes = [15, 9, 5, 6, 4];
        let rows = rows(sizes);
        for a in 0..sizes.len() {
            for b in a + 1..sizes.len() {
                for x in 0..sizes[a] {
                    for y in 0..sizes[b] {
                        assert!(rows.iter().any(|row| row[a] == x && row[b] == y));
                    }
                }
            }
        }
        assert!(rows.len() < 15 * 9 * 4 / 3, "{}", rows.len());
        assert_eq!(super::rows([1, 1, 1]), [[0, 0, 0]]);
        assert!(super::rows([2, 0]).is_empty());
        assert_eq!(super::rows([7]).len(), 0, "nothing to meet");
    }
}
