//! The last changes, for those who keep facts elsewhere: what each of them made stale, in a row that is bounded.

use std::collections::VecDeque;

use parking_lot::Mutex;
use scopegate_policy::wire::filter::{Position, Stale};
use uuid::Uuid;

use crate::store::Touch;

/// Changes that are remembered: whoever asks once a second misses none below so many a second.
const CHANGES_MAX: usize = 8192;

/// The row of changes since this process started, or last began to hear of those of others.
#[derive(Debug)]
pub(super) struct Changes {
    row: Mutex<Row>,
}

#[derive(Debug)]
struct Row {
    /// Of this process: after a restart nobody knows what a number meant before.
    run: String,
    /// Whether changes of others are not heard of now, so that nobody can tell what there was.
    is_deaf: bool,
    /// How many there were.
    sequence: u64,
    /// The last ones, the latest at the back.
    last: VecDeque<Stale>,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self {
            row: Mutex::new(Row::new(false)),
        }
    }

    /// Starts another row: some changes of others were missed, or will be as long as nobody hears of them.
    pub(super) fn restart(&self, is_deaf: bool) {
        *self.row.lock() = Row::new(is_deaf);
    }

    /// Where the row stands.
    pub(super) fn position(&self) -> Position {
        self.row.lock().position()
    }

    /// Adds a change.
    pub(super) fn note(&self, touch: Touch) {
        let stale = match touch {
            Touch::Nothing => return,
            Touch::Credential(id) | Touch::Session(id) => Stale::Credential(id),
            Touch::Rotations(id) => Stale::Rotations(id),
            Touch::User(id) => Stale::User(id),
            Touch::Organization(id) => Stale::Organization(id),
        };
        let mut row = self.row.lock();
        row.sequence += 1;
        if row.last.len() == CHANGES_MAX {
            row.last.pop_front();
        }
        row.last.push_back(stale);
    }

    /// What was made stale after a position, if that is still known.
    pub(super) fn since(&self, since: &Position) -> (Position, Option<Vec<Stale>>) {
        let row = self.row.lock();
        let here = row.position();
        let missed = row
            .sequence
            .checked_sub(since.sequence)
            .filter(|_| since.run == row.run && !row.is_deaf)
            .and_then(|missed| usize::try_from(missed).ok());
        let known = missed
            .and_then(|missed| row.last.len().checked_sub(missed))
            .map(|first| row.last.range(first..).copied().collect());
        (here, known)
    }
}

impl Row {
    fn new(is_deaf: bool) -> Self {
        Self {
            run: Uuid::new_v4().simple().to_string(),
            is_deaf,
            sequence: 0,
            last: VecDeque::new(),
        }
    }

    fn position(&self) -> Position {
        Position {
            run: self.run.clone(),
            sequence: self.sequence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_after_a_position_is_told_as_long_as_it_is_known() {
        let changes = Changes::new();
        let id = Uuid::from_u128;
        let start = changes.position();
        assert_eq!(changes.since(&start), (start.clone(), Some(Vec::new())));
        changes.note(Touch::Nothing);
        assert_eq!(changes.position(), start);
        changes.note(Touch::Session(id(1)));
        let middle = changes.position();
        changes.note(Touch::User(id(2)));
        let both = vec![Stale::Credential(id(1)), Stale::User(id(2))];
        assert_eq!(changes.since(&start).1, Some(both));
        assert_eq!(changes.since(&middle).1, Some(vec![Stale::User(id(2))]));

        let later = Position {
            sequence: 3,
            ..middle.clone()
        };
        assert_eq!(changes.since(&later).1, None, "nobody was told of that");
        let other = Position {
            run: "other".to_owned(),
            ..middle.clone()
        };
        assert_eq!(changes.since(&other).1, None);

        let heard = Changes::new();
        heard.note(Touch::User(id(1)));
        let before = heard.position();
        heard.restart(true);
        assert_eq!(
            heard.since(&before).1,
            None,
            "changes of others may be missed"
        );
        let deaf = heard.position();
        assert_eq!(heard.since(&deaf).1, None);
        heard.restart(false);
        assert_eq!(heard.since(&deaf).1, None);
        assert_eq!(heard.since(&heard.position()).1, Some(Vec::new()));

        for n in 0..CHANGES_MAX {
            changes.note(Touch::Organization(id(n as u128)));
        }
        assert_eq!(changes.since(&middle).1, None, "too long ago");
        let (_, last) = changes.since(&Position {
            sequence: 2,
            ..middle
        });
        assert_eq!(last.map(|last| last.len()), Some(CHANGES_MAX));
    }
}
