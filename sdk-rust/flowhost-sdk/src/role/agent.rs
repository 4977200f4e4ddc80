//! Agents: actors that do a step's work and read messages.

pub use bindings::exports::flowhost::roles::agent::{Outcome, Outgoing, Output, Task};

use crate::{Context, Error, Message};

/// Generated from `wit/roles`.
pub mod bindings {
    #![expect(
        missing_docs,
        reason = "generated from wit/, where the documentation stands"
    )]

    wit_bindgen::generate!({
        path: ["wit/types/0.1.0", "wit/roles/0.1.0"],
        world: "flowhost:roles/agent-role",
        with: { "flowhost:types/types@0.1.0": crate::bindings::flowhost::types::types },
        pub_export_macro: true,
        export_macro_name: "export_agent_role",
        default_bindings_module: "flowhost_sdk::internal::agent",
        runtime_path: "wit_bindgen::rt",
    });
}

/// An actor. Only the step's work is asked for; the rest does nothing unless written.
pub trait Agent {
    /// Called once before anything else, with the plan's `config:`.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the configuration is wrong; the run does not start then.
    fn on_start(_ctx: &Context, _config: &str) -> Result<(), Error> {
        Ok(())
    }

    /// The step's work.
    ///
    /// # Errors
    /// Whatever went wrong; see [`Error`] for what the host does with each.
    fn on_plan(ctx: &Context, task: &Task) -> Result<Output, Error>;

    /// Called for each message of a subscribed topic; what it returns is delivered afterwards.
    ///
    /// # Errors
    /// As [`Agent::on_plan`].
    fn on_message(_ctx: &Context, _message: &Message) -> Result<Vec<Outgoing>, Error> {
        Ok(Vec::new())
    }

    /// Called once at the end.
    ///
    /// # Errors
    /// They are recorded and change nothing.
    fn on_finish(_ctx: &Context, _outcome: &Outcome) -> Result<(), Error> {
        Ok(())
    }
}

/// Makes a component of a type that implements [`Agent`].
#[macro_export]
macro_rules! export_agent {
    ($plugin:ty) => {
        /// The component behind the role's exports.
        #[doc(hidden)]
        pub struct FlowhostExport;

        impl $crate::internal::agent::exports::flowhost::roles::agent::Guest for FlowhostExport {
            fn on_start(
                ctx: $crate::Context,
                config: ::std::string::String,
            ) -> ::std::result::Result<(), $crate::Error> {
                <$plugin as $crate::Agent>::on_start(&ctx, &config)
            }

            fn on_message(
                ctx: $crate::Context,
                message: $crate::Message,
            ) -> ::std::result::Result<::std::vec::Vec<$crate::Outgoing>, $crate::Error> {
                <$plugin as $crate::Agent>::on_message(&ctx, &message)
            }

            fn on_plan(
                ctx: $crate::Context,
                task: $crate::Task,
            ) -> ::std::result::Result<$crate::Output, $crate::Error> {
                <$plugin as $crate::Agent>::on_plan(&ctx, &task)
            }

            fn on_finish(
                ctx: $crate::Context,
                outcome: $crate::Outcome,
            ) -> ::std::result::Result<(), $crate::Error> {
                <$plugin as $crate::Agent>::on_finish(&ctx, &outcome)
            }
        }

        #[cfg(not(target_arch = "wasm32"))]
        const _: FlowhostExport = FlowhostExport;

        #[cfg(target_arch = "wasm32")]
        #[expect(unsafe_code, reason = "the canonical ABI's exports are raw functions")]
        mod flowhost_export {
            use super::FlowhostExport;
            $crate::internal::agent::export_agent_role!(
                FlowhostExport with_types_in $crate::internal::agent
            );
        }
    };
}
