//! Guardrails: they look at a value before or after a step and pass it, rewrite it or stop it.

pub use bindings::exports::flowhost::roles::guardrail::{
    Action, Finding, Phase, Severity, Subject, Verdict,
};

use crate::{Context, Error};

/// Generated from `wit/roles`.
pub mod bindings {
    #![expect(
        missing_docs,
        reason = "generated from wit/, where the documentation stands"
    )]

    wit_bindgen::generate!({
        path: ["wit/types/0.1.0", "wit/roles/0.1.0"],
        world: "flowhost:roles/guardrail-role",
        with: { "flowhost:types/types@0.1.0": crate::bindings::flowhost::types::types },
        pub_export_macro: true,
        export_macro_name: "export_guardrail_role",
        default_bindings_module: "flowhost_sdk::internal::guardrail",
        runtime_path: "wit_bindgen::rt",
    });
}

/// A component that judges values.
pub trait Guardrail {
    /// Judges `subject.value`. `config` is the guardrail's rendered `with:`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the configuration is wrong; a verdict is never an error.
    fn check(ctx: &Context, subject: &Subject, config: &str) -> Result<Verdict, Error>;
}

impl Verdict {
    /// Nothing to object to.
    #[must_use]
    pub const fn pass() -> Self {
        Self {
            action: Action::Pass,
            findings: Vec::new(),
            value: String::new(),
        }
    }

    /// Passes, with remarks.
    #[must_use]
    pub const fn pass_with(findings: Vec<Finding>) -> Self {
        Self {
            action: Action::Pass,
            findings,
            value: String::new(),
        }
    }

    /// Stops the value. The plan's `on_fail` decides what that means for the run.
    #[must_use]
    pub const fn deny(findings: Vec<Finding>) -> Self {
        Self {
            action: Action::Deny,
            findings,
            value: String::new(),
        }
    }

    /// Puts `value`, a JSON document, in its place.
    #[must_use]
    pub const fn rewrite(value: String, findings: Vec<Finding>) -> Self {
        Self {
            action: Action::Rewrite,
            findings,
            value,
        }
    }
}

/// Makes a component of a type that implements [`Guardrail`].
#[macro_export]
macro_rules! export_guardrail {
    ($plugin:ty) => {
        /// The component behind the role's exports.
        #[doc(hidden)]
        pub struct FlowhostExport;

        impl $crate::internal::guardrail::exports::flowhost::roles::guardrail::Guest
            for FlowhostExport
        {
            fn check(
                ctx: $crate::Context,
                subject: $crate::Subject,
                config: ::std::string::String,
            ) -> ::std::result::Result<$crate::Verdict, $crate::Error> {
                <$plugin as $crate::Guardrail>::check(&ctx, &subject, &config)
            }
        }

        #[cfg(not(target_arch = "wasm32"))]
        const _: FlowhostExport = FlowhostExport;

        #[cfg(target_arch = "wasm32")]
        #[expect(unsafe_code, reason = "the canonical ABI's exports are raw functions")]
        mod flowhost_export {
            use super::FlowhostExport;
            $crate::internal::guardrail::export_guardrail_role!(
                FlowhostExport with_types_in $crate::internal::guardrail
            );
        }
    };
}
