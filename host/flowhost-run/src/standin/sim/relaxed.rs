//! A relaxed run that loses power. It may lose what it did, which can be done again; what the next process must find all
//! the same is tried here.

use flowhost_ledger::{Durability, Ledger};

use super::Named;
use super::disk::Rng;
use super::random::Mood;
use super::run::Simulated;

/// Losses of power of one run.
const LOSSES: u64 = 5;

#[tokio::test(start_paused = true)]
async fn whoever_took_a_relaxed_run_up_is_counted_after_a_loss_of_power() {
    for seed in 0..20 {
        let test = "whoever_took_a_relaxed_run_up_is_counted_after_a_loss_of_power";
        let _named = Named::of(test, seed);
        let mut simulated = Simulated::new(seed, Mood::Calm);
        simulated.durability = Durability::Relaxed;
        let disk = &simulated.world.disk;
        let mut chance = Rng::new(seed);
        simulated.world.begins();
        let ledger = simulated.begin().unwrap();
        let journal = simulated.journal(&ledger);
        simulated.recorded((&journal, &ledger), None).await.unwrap();
        ledger.close().await.unwrap();
        drop((journal, ledger));
        for before in 1..=LOSSES {
            let ledger = Ledger::reopen(&simulated.options()).unwrap();
            let taken_up = simulated.read().unwrap().expect("the run has begun");
            // Its channel is its own: nobody spoke on it before.
            assert_eq!(taken_up.1.past.processes, before);
            let journal = simulated.journal(&ledger);
            let recorded = simulated.recorded((&journal, &ledger), Some(&taken_up));
            recorded.await.unwrap();
            disk.lose_power_after(0);
            drop((journal, ledger));
            disk.crash(&mut chance);
        }
    }
}
