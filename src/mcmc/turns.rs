//! Tasks take turns on the threads: the one furthest behind goes on, so that all end at nearly the same time.
//!
//! With a thread for each chain until it ends, threads wait for the last ones: four chains on three threads take as long
//! as on two, and a thread that the machine slows down holds up whole chains.

use rayon::prelude::*;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Work of many steps that can rest between any two of them.
pub(crate) trait Task: Send + Sized {
    /// What is left at the end.
    type Outcome: Send;

    /// Steps done.
    fn done(&self) -> usize;

    /// Does up to `steps` more.
    fn advance(self, steps: usize) -> ControlFlow<Self::Outcome, Self>;
}

/// Tasks with their places that no thread works on, and the outcomes of those that have ended.
struct Table<K: Task> {
    waiting: Vec<(usize, K)>,
    ended: Vec<(usize, K::Outcome)>,
}

/// Runs all tasks to their ends, `steps` at a time; returns their outcomes in order.
pub(crate) fn take_turns<K: Task>(tasks: Vec<K>, steps: usize) -> Vec<K::Outcome> {
    let workers = rayon::current_num_threads().min(tasks.len());
    let table = Mutex::new(Table { waiting: tasks.into_iter().enumerate().collect(), ended: vec![] });
    (0..workers).into_par_iter().with_max_len(1).for_each(|_| work(&table, steps));
    let mut ended = table.into_inner().unwrap_or_else(PoisonError::into_inner).ended;
    ended.sort_unstable_by_key(|(place, _)| *place);
    ended.into_iter().map(|(_, outcome)| outcome).collect()
}

/// What one thread does until no task waits.
fn work<K: Task>(table: &Mutex<Table<K>>, steps: usize) {
    let mut turn = lock(table).next(None);
    while let Some((place, task)) = turn {
        let after = task.advance(steps);
        let mut table = lock(table);
        turn = match after {
            ControlFlow::Continue(task) => table.next(Some((place, task))),
            ControlFlow::Break(outcome) => {
                table.ended.push((place, outcome));
                table.next(None)
            }
        };
    }
}

fn lock<K: Task>(table: &Mutex<Table<K>>) -> MutexGuard<'_, Table<K>> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Task> Table<K> {
    /// Takes the task that is furthest behind; `now` is put back unless it is that one.
    fn next(&mut self, now: Option<(usize, K)>) -> Option<(usize, K)> {
        let behind = (0..self.waiting.len()).min_by_key(|&i| self.waiting[i].1.done());
        match (behind, now) {
            (Some(i), Some(now)) if self.waiting[i].1.done() < now.1.done() => {
                Some(std::mem::replace(&mut self.waiting[i], now))
            }
            (_, Some(now)) => Some(now),
            (Some(i), None) => Some(self.waiting.swap_remove(i)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts to `length`; `order` is the number of turns of all tasks so far.
    struct Count<'a> {
        length: usize,
        done: usize,
        largest_lead: &'a AtomicUsize,
        all: &'a Mutex<Vec<usize>>,
        place: usize,
    }

    impl Task for Count<'_> {
        type Outcome = usize;

        fn done(&self) -> usize {
            self.done
        }

        fn advance(mut self, steps: usize) -> ControlFlow<usize, Self> {
            self.done = self.length.min(self.done + steps);
            let mut all = self.all.lock().unwrap();
            all[self.place] = self.done;
            let (least, most) = (*all.iter().min().unwrap(), *all.iter().max().unwrap());
            self.largest_lead.fetch_max(most - least, Ordering::Relaxed);
            drop(all);
            if self.done == self.length { ControlFlow::Break(self.length) } else { ControlFlow::Continue(self) }
        }
    }

    /// Largest distance between the first and the last of equal tasks, and the outcomes.
    fn lead(threads: usize, lengths: &[usize]) -> (usize, Vec<usize>) {
        let (largest_lead, all) = (AtomicUsize::new(0), Mutex::new(vec![0; lengths.len()]));
        let count = |(place, &length)| Count { length, done: 0, largest_lead: &largest_lead, all: &all, place };
        let tasks = lengths.iter().enumerate().map(count).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let outcomes = pool.install(|| take_turns(tasks, 7));
        (largest_lead.into_inner(), outcomes)
    }

    #[test]
    fn one_thread_keeps_equal_tasks_within_a_turn_of_each_other() {
        let (lead, outcomes) = lead(1, &[100; 5]);
        assert_eq!(outcomes, [100; 5]);
        assert_eq!(lead, 7);
    }

    #[test]
    fn every_task_ends_and_outcomes_keep_their_order() {
        for threads in [1, 2, 3, 8] {
            let lengths = [3, 700, 1, 64, 65, 63, 7];
            assert_eq!(lead(threads, &lengths).1, lengths);
        }
        assert!(take_turns(Vec::<Count<'_>>::new(), 1).is_empty());
    }
}
