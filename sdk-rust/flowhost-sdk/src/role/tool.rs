//! Tools: functions with described inputs and outputs.

use crate::{Annotations, Answer, Context, Descriptor, Effects, Error};

/// Generated from `wit/roles`.
pub mod bindings {
    #![expect(
        missing_docs,
        reason = "generated from wit/, where the documentation stands"
    )]

    wit_bindgen::generate!({
        path: ["wit/types/0.1.0", "wit/roles/0.1.0"],
        world: "flowhost:roles/tool-role",
        with: { "flowhost:types/types@0.1.0": crate::bindings::flowhost::types::types },
        pub_export_macro: true,
        export_macro_name: "export_tool_role",
        default_bindings_module: "flowhost_sdk::internal::tool",
        runtime_path: "wit_bindgen::rt",
    });
}

/// A component with one or more functions.
pub trait Tool {
    /// Calls the tool `name` with a JSON document that the host has checked against its schema.
    ///
    /// # Errors
    /// Whatever the tool answers; see [`Error`] for what the host does with each.
    fn call(ctx: &Context, name: &str, input: &str) -> Result<Answer, Error>;
}

/// What one tool takes and gives; `flowhost-sdk-build` writes these from the manifest.
#[derive(Debug, Clone, Copy)]
pub struct ToolSpec {
    /// Unique within the plugin: ASCII letters, digits, `-`, `_` and `.`, at most 64.
    pub name: &'static str,
    /// A short title.
    pub title: &'static str,
    /// At most 4 KiB, printable.
    pub description: &'static str,
    /// JSON Schema 2020-12 of the input.
    pub input_schema: &'static str,
    /// JSON Schema of the output; empty for none.
    pub output_schema: &'static str,
    /// What repeating a call does to the world.
    pub effects: Effects,
    /// What people and models are told of it.
    pub annotations: Annotations,
}

/// Nothing said.
const UNSAID: Annotations = Annotations {
    read_only: None,
    destructive: None,
    idempotent: None,
    open_world: None,
};

impl ToolSpec {
    /// A tool that takes any JSON and says nothing about itself: for tests and first steps.
    #[must_use]
    pub const fn any(name: &'static str) -> Self {
        Self {
            name,
            title: name,
            description: name,
            input_schema: "{}",
            output_schema: "",
            effects: Effects::None,
            annotations: UNSAID,
        }
    }

    /// The descriptor of a tool that is known by its name alone.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn named(&self, name: &str) -> Descriptor {
        Descriptor {
            name: name.to_owned(),
            ..self.descriptor()
        }
    }

    /// The form that crosses the boundary.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        Descriptor {
            name: self.name.to_owned(),
            title: self.title.to_owned(),
            description: self.description.to_owned(),
            input_schema: self.input_schema.to_owned(),
            output_schema: self.output_schema.to_owned(),
            effects: self.effects,
            annotations: self.annotations,
        }
    }
}

/// Makes a component of a type that implements [`Tool`].
///
/// With one argument the tools are those of the manifest (`build.rs` calls
/// `flowhost_sdk_build::generate`); the second argument gives them directly.
#[macro_export]
macro_rules! export_tool {
    ($plugin:ty) => {
        $crate::export_tool!($plugin, include!(concat!(env!("OUT_DIR"), "/tools.rs")));
    };
    ($plugin:ty, $tools:expr) => {
        /// The component behind the role's exports.
        #[doc(hidden)]
        pub struct FlowhostExport;

        /// The tools of this component.
        const FLOWHOST_TOOLS: &[$crate::ToolSpec] = $tools;

        impl $crate::internal::tool::exports::flowhost::roles::tool::Guest for FlowhostExport {
            fn describe() -> ::std::vec::Vec<$crate::Descriptor> {
                FLOWHOST_TOOLS.iter().map($crate::ToolSpec::descriptor).collect()
            }

            fn call(
                ctx: $crate::Context,
                name: ::std::string::String,
                input: ::std::string::String,
            ) -> ::std::result::Result<$crate::Answer, $crate::Error> {
                <$plugin as $crate::Tool>::call(&ctx, &name, &input)
            }
        }

        #[cfg(not(target_arch = "wasm32"))]
        const _: FlowhostExport = FlowhostExport;

        #[cfg(target_arch = "wasm32")]
        #[expect(unsafe_code, reason = "the canonical ABI's exports are raw functions")]
        mod flowhost_export {
            use super::FlowhostExport;
            $crate::internal::tool::export_tool_role!(
                FlowhostExport with_types_in $crate::internal::tool
            );
        }
    };
}

/// Makes a component of functions that carry [`tool`](macro@crate::tool), in the order in which models
/// and people see them. A function that is not named here is no tool, and the compiler says that its
/// type is never used.
///
/// ```
/// use flowhost_sdk as flowhost;
///
/// /// Rolls nothing but sixes.
/// #[flowhost::tool(effects = "none")]
/// fn roll() -> u8 {
///     6
/// }
///
/// flowhost::export_tools!(roll);
/// # fn main() { assert_eq!(roll(), 6); }
/// ```
#[cfg(feature = "derive")]
#[macro_export]
macro_rules! export_tools {
    ($($tool:path),+ $(,)?) => {
        /// The component behind the role's exports.
        #[doc(hidden)]
        pub struct FlowhostExport;

        impl $crate::internal::tool::exports::flowhost::roles::tool::Guest for FlowhostExport {
            fn describe() -> ::std::vec::Vec<$crate::Descriptor> {
                ::std::vec![$(<$tool as $crate::internal::Function>::descriptor()),+]
            }

            fn call(
                ctx: $crate::Context,
                name: ::std::string::String,
                input: ::std::string::String,
            ) -> ::std::result::Result<$crate::Answer, $crate::Error> {
                $(
                    if name == <$tool as $crate::internal::Function>::NAME {
                        return <$tool as $crate::internal::Function>::call(&ctx, &input);
                    }
                )+
                ::std::result::Result::Err($crate::Error::unknown_tool(&name))
            }
        }

        #[cfg(not(target_arch = "wasm32"))]
        const _: FlowhostExport = FlowhostExport;

        #[cfg(target_arch = "wasm32")]
        #[expect(unsafe_code, reason = "the canonical ABI's exports are raw functions")]
        mod flowhost_export {
            use super::FlowhostExport;
            $crate::internal::tool::export_tool_role!(
                FlowhostExport with_types_in $crate::internal::tool
            );
        }
    };
}
