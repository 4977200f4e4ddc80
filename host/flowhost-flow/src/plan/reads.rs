//! What a plan reads of what its steps hand on, and where the parts of steps and plugins stand: for whoever knows what
//! plugins take and give, and tells a plan's author what does not fit.

use serde_json::Value;

use crate::expr::Reference;
use crate::plan::{Plan, PluginDecl, Step};
use crate::problem::At;
use crate::schema_check::OutputSchema;

/// Members that an expression cannot do without, of the output of a step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Read {
    /// Where the expression stands.
    pub at: At,
    /// The step.
    pub step: String,
    /// The members, each of the one before: of `steps.a.output.files.first` these are `files` and `first`; of
    /// `steps.each.outputs[0].files`, `files`.
    pub path: Vec<String>,
}

impl Read {
    /// What a reference reads: through `results`, the name by which the plan's parts are known, or, of a step's own
    /// output, as `output` where `own` is that step.
    pub(super) fn of(
        reference: &Reference,
        results: &str,
        own: Option<&Step>,
        at: At,
    ) -> Option<Self> {
        let (step, path) = match (reference.root.as_str(), own, reference.path.as_slice()) {
            ("output", Some(step), path) => (&step.id, path),
            (root, _, [id, field, path @ ..]) if root == results && field == "output" => (id, path),
            (root, _, [id, field]) if root == results && field == "outputs" => {
                (id, reference.of_element.as_slice())
            }
            _ => return None,
        };
        (!path.is_empty()).then(|| Self {
            at,
            step: step.clone(),
            path: path.to_vec(),
        })
    }
}

impl Plan {
    /// Every member of an output that an expression of this plan cannot do without, sub-plans left out.
    #[must_use]
    pub fn reads(&self) -> &[Read] {
        &self.reads
    }

    /// What the plan itself says of a step's output, as a JSON Schema, where it does and the file was attached.
    #[must_use]
    pub fn stated_output<'a>(&'a self, step: &'a Step) -> Option<&'a Value> {
        self.schema_of(step).map(OutputSchema::written)
    }
}

impl PluginDecl {
    /// Where a part of it stands, such as `/config/model`; where it begins, for one that is not written.
    #[must_use]
    pub fn place(&self, pointer: &str) -> At {
        self.places.around(pointer).unwrap_or(self.at)
    }
}

impl Step {
    /// Where a part of it stands, such as `/with/text`; where it begins, for one that is not written.
    #[must_use]
    pub fn place(&self, pointer: &str) -> At {
        self.places.around(pointer).unwrap_or(self.at)
    }
}
