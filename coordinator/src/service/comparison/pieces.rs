//! The pieces of one comparison: which have been given to whom, and which must be given to another, too.
//!
//! When all have been given, whoever is idle gets the oldest one of those without an answer once more, if it has taken far
//! longer than others did: the first answer counts. So neither a slow worker nor one that hangs holds a comparison up.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// How much longer than the longest answered piece a piece must have taken to be given once more.
const HEDGE_FACTOR: u32 = 2;
/// A piece younger than this is never given once more.
const HEDGE_AGE_MIN: Duration = Duration::from_millis(500);
/// While no piece has been answered, one is given once more at this age.
const HEDGE_AGE_UNKNOWN: Duration = Duration::from_secs(10);
/// The most workers that have the same piece.
const HOLDERS_MAX: u32 = 2;

/// Some tasks of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece {
    pub(super) family: u32,
    pub(super) first: u32,
    pub(super) tasks: u32,
}

/// What there is for a worker that is idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Piece(Piece),
    /// Nothing now, but a piece will be old enough then.
    Later(Instant),
    Nothing,
}

/// A piece that was given and has no answer.
struct Open {
    since: Instant,
    holders: u32,
}

/// All pieces of a comparison.
pub(super) struct Pieces {
    families: u32,
    tasks_per_family: u32,
    /// The first task that nobody has been given: its family and number.
    next: (u32, u32),
    /// Pieces that came back from the last one that had them.
    returned: Vec<Piece>,
    open: BTreeMap<Piece, Open>,
    /// The longest time that a piece took until its answer.
    longest: Option<Duration>,
    /// Tasks without an answer.
    missing: u64,
}

impl Pieces {
    /// Of so many tasks of each of so many families.
    pub(super) fn new(families: u32, tasks_per_family: u32) -> Self {
        Self {
            families,
            tasks_per_family,
            next: (0, 0),
            returned: Vec::new(),
            open: BTreeMap::new(),
            longest: None,
            missing: u64::from(families) * u64::from(tasks_per_family),
        }
    }

    /// Whether all tasks have an answer.
    pub(super) fn are_done(&self) -> bool {
        self.missing == 0
    }

    /// What a worker gets that wants at most so many tasks.
    pub(super) fn take(&mut self, now: Instant, most: u32) -> Offer {
        let Some(piece) = self.returned.pop().or_else(|| self.cut(most)) else { return self.hedge(now) };
        self.open.insert(piece, Open { since: now, holders: 1 });
        Offer::Piece(piece)
    }

    fn cut(&mut self, most: u32) -> Option<Piece> {
        let (family, first) = self.next;
        if family >= self.families {
            return None;
        }
        let tasks = most.min(self.tasks_per_family - first);
        let after = first + tasks;
        self.next = if after == self.tasks_per_family { (family + 1, 0) } else { (family, after) };
        Some(Piece { family, first, tasks })
    }

    fn hedge(&mut self, now: Instant) -> Offer {
        let usual = self.longest.map_or(HEDGE_AGE_UNKNOWN, |longest| longest * HEDGE_FACTOR);
        let alone = self.open.iter_mut().filter(|(_, open)| open.holders < HOLDERS_MAX);
        let Some((&piece, oldest)) = alone.min_by_key(|(_, open)| open.since) else { return Offer::Nothing };
        let due = oldest.since + usual.max(HEDGE_AGE_MIN);
        if now < due {
            return Offer::Later(due);
        }
        oldest.holders += 1;
        Offer::Piece(piece)
    }

    /// One that had a piece has left without an answer.
    pub(super) fn give_back(&mut self, piece: Piece) {
        let Some(open) = self.open.get_mut(&piece) else { return };
        open.holders -= 1;
        if open.holders == 0 {
            self.open.remove(&piece);
            self.returned.push(piece);
        }
    }

    /// Notes an answer; whether it is the piece's first.
    pub(super) fn answer(&mut self, now: Instant, piece: Piece) -> bool {
        let Some(open) = self.open.remove(&piece) else { return false };
        self.longest = self.longest.max(Some(now - open.since));
        self.missing -= u64::from(piece.tasks);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn piece(offer: Offer) -> Piece {
        match offer {
            Offer::Piece(piece) => piece,
            other => panic!("{other:?} is no piece"),
        }
    }

    #[test]
    fn an_old_piece_is_given_once_more_and_its_first_answer_counts() {
        let start = Instant::now();
        let mut pieces = Pieces::new(1, 8);
        let slow = piece(pieces.take(start, 4));
        let other = piece(pieces.take(start, 4));
        assert_eq!((slow.first, other.first), (0, 4));
        assert!(pieces.answer(start + 400 * MS, other));
        let due = start + 800 * MS;
        assert_eq!(pieces.take(start + 400 * MS, 4), Offer::Later(due), "it has twice the other's time");
        assert_eq!(pieces.take(due, 4), Offer::Piece(slow));
        assert_eq!(pieces.take(due, 4), Offer::Nothing, "two have it");
        assert!(pieces.answer(due + MS, slow) && pieces.are_done());
        assert!(!pieces.answer(due + 2 * MS, slow), "the second answer is nothing new");
    }

    #[test]
    fn a_piece_comes_back_only_from_the_last_one_that_had_it() {
        let start = Instant::now();
        let mut pieces = Pieces::new(1, 2);
        let only = piece(pieces.take(start, 4));
        assert_eq!(pieces.take(start, 4), Offer::Later(start + HEDGE_AGE_UNKNOWN));
        assert_eq!(pieces.take(start + HEDGE_AGE_UNKNOWN, 4), Offer::Piece(only));
        pieces.give_back(only);
        assert_eq!(pieces.take(start + HEDGE_AGE_UNKNOWN, 4), Offer::Piece(only), "one has it: it is old");
        pieces.give_back(only);
        pieces.give_back(only);
        assert_eq!(pieces.returned, [only]);
        assert_eq!(pieces.take(start, 1), Offer::Piece(only), "whole, whatever the worker wants");
        assert!(pieces.answer(start, only));
        pieces.give_back(only);
        assert_eq!(pieces.take(start + 60_000 * MS, 1), Offer::Nothing);
    }
}
