//! What CI runs of the simulation: some seeds from the start.

#![allow(clippy::unwrap_used)]

#[test]
fn seeds_are_clean() {
    let all = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        for first in 0..all {
            scope.spawn(move || {
                for seed in (first..200).step_by(all as usize) {
                    sim::run(seed, false).unwrap();
                }
            });
        }
    });
}

/// The same seed is the same story, to the last step.
#[test]
fn a_seed_replays() {
    let told = |seed| {
        let ran = sim::run(seed, false).unwrap();
        (ran.steps, ran.tasks, ran.seconds)
    };
    assert_eq!(told(7), told(7));
}
