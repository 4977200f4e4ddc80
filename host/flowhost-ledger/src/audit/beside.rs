//! A ledger and what lies beside it: its records are checked, then the views that they name are compared, and what no
//! record names is counted.
//!
//! Whether the run has ended changes nothing of that but for what it is made of: a report of a run that waits is believed as
//! any other, and what such a run goes on by must be there.

use std::path::Path;

use super::{Walk, io_fault};
use crate::layout::PLAN_BUNDLE;
use crate::record::View;
use crate::report::{Code, LedgerReport, Problem};
use crate::verify::Floor;
use crate::views::Views;

/// How often a ledger that somebody may be writing to is read before one of its views is called altered. Whoever has the
/// run records a view before it stands in the place of another, so that the second reading finds the record.
const READS_MAX: usize = 3;

/// Most names of files that no record names: whoever reads the report knows by then that there are many.
const UNNAMED_MAX: usize = 10;

impl Walk<'_> {
    pub(super) fn ledger(
        &self,
        dir: &Path,
        floors: &[Floor],
        look: &mut dyn FnMut(&View<'_>),
    ) -> LedgerReport {
        let mut reads = 1..READS_MAX;
        loop {
            let report = self.read(dir, floors, &mut *look);
            let is_view = |problem: &Problem| problem.code == Code::View;
            let may_be_at_work = !report.ended && report.problem.as_ref().is_some_and(is_view);
            if !may_be_at_work || reads.next().is_none() {
                return report;
            }
        }
    }

    fn read(&self, dir: &Path, floors: &[Floor], look: &mut dyn FnMut(&View<'_>)) -> LedgerReport {
        let mut report = LedgerReport::new(dir.display().to_string());
        let mut views = Views::default();
        let mut look = |record: &View<'_>| {
            views.take(record);
            look(record);
        };
        let checked = self.check(dir, floors, &mut look, &mut report);
        let checked = checked.and_then(|()| self.beside(dir, &views, &mut report));
        if let Err(problem) = checked {
            report.problem = Some(problem);
        }
        report
    }

    fn beside(&self, dir: &Path, views: &Views, report: &mut LedgerReport) -> Result<(), Problem> {
        // What lies beside the index is the host's own, and no reader of evidence reads it.
        if !report.is_index() {
            let mut unnamed = views.unnamed(self.source, dir).map_err(io_fault(dir))?;
            report.views.unnamed = unnamed.len() as u64;
            unnamed.truncate(UNNAMED_MAX);
            report.unnamed = unnamed;
        }
        let needed = (!report.ended).then_some(PLAN_BUNDLE);
        views.compare(self.source, dir, needed, &mut report.views)
    }
}
