//! A planner that is fed while its records are read, held against one that is fed when they were.

use flowhost_flow::RunSetup;

use super::{Named, simulate};
use crate::earlier::resume::past::read_beside_in;
use crate::earlier::resume::rebuild::rebuild;

#[test]
fn a_planner_that_is_fed_while_records_are_read_stands_as_one_that_is_fed_later() {
    for seed in 0..20 {
        let test = "a_planner_that_is_fed_while_records_are_read_stands_as_one_that_is_fed_later";
        let _named = Named::of(test, seed);
        let simulated = simulate(seed).1;
        let (_, beside) = simulated.read().unwrap().expect("the run has begun");
        // Who has no plan for it hears all the same what it was fed.
        let (disk, dir) = (&simulated.world.disk, simulated.dir());
        let read = read_beside_in(disk, &dir, None, &|_: &RunSetup| None).unwrap();
        assert!(read.fed.rebuilt.is_none());
        let fed = read.fed.fed.unwrap();
        assert_eq!(fed.events, beside.fed.events);
        let (_, later) = rebuild(simulated.plan.clone(), &fed).unwrap();
        let beside = beside.rebuilt;
        assert!(beside.at.is_some());
        assert_eq!(beside.at, later.at);
        assert_eq!(beside.notes, later.notes);
        assert_eq!(beside.outputs, later.outputs);
        assert_eq!(beside.paths, later.paths);
        assert_eq!(beside.cancelled, later.cancelled);
        assert!(beside.open.keys().eq(later.open.keys()));
        assert_eq!(beside.end.is_some(), later.end.is_some());
    }
}
