//! MCP adapters: they speak MCP inside the sandbox over a transport that the host owns.

pub use bindings::exports::flowhost::roles::mcp_adapter::ServerInfo;

use crate::{Answer, Context, Descriptor, Error};

/// Generated from `wit/roles`.
pub mod bindings {
    #![expect(
        missing_docs,
        reason = "generated from wit/, where the documentation stands"
    )]

    wit_bindgen::generate!({
        path: ["../../wit/types/0.1.0", "../../wit/roles/0.1.0"],
        world: "flowhost:roles/mcp-adapter-role",
        with: {
            "flowhost:types/types@0.1.0": crate::bindings::flowhost::types::types,
            "flowhost:roles/tool@0.1.0": crate::role::tool::bindings::exports::flowhost::roles::tool,
        },
        pub_export_macro: true,
        export_macro_name: "export_mcp_adapter_role",
        default_bindings_module: "flowhost_sdk::internal::mcp_adapter",
        runtime_path: "wit_bindgen::rt",
    });
}

/// A component that connects to one MCP server.
pub trait McpAdapter {
    /// Connects and agrees on a protocol revision.
    ///
    /// # Errors
    /// [`Error::Transient`] when the server does not answer, [`Error::Failed`] when it speaks something else.
    fn connect(ctx: &Context, config: &str) -> Result<ServerInfo, Error>;

    /// The server's tools.
    ///
    /// # Errors
    /// As [`McpAdapter::connect`].
    fn list_tools(ctx: &Context) -> Result<Vec<Descriptor>, Error>;

    /// Calls one tool of the server.
    ///
    /// # Errors
    /// As [`McpAdapter::connect`], and whatever the tool answers.
    fn call_tool(ctx: &Context, name: &str, input: &str) -> Result<Answer, Error>;

    /// Ends the conversation.
    fn close() {}
}

/// Makes a component of a type that implements [`McpAdapter`].
#[macro_export]
macro_rules! export_mcp_adapter {
    ($plugin:ty) => {
        /// The component behind the role's exports.
        #[doc(hidden)]
        pub struct FlowhostExport;

        impl $crate::internal::mcp_adapter::exports::flowhost::roles::mcp_adapter::Guest
            for FlowhostExport
        {
            fn connect(
                ctx: $crate::Context,
                config: ::std::string::String,
            ) -> ::std::result::Result<$crate::ServerInfo, $crate::Error> {
                <$plugin as $crate::McpAdapter>::connect(&ctx, &config)
            }

            fn list_tools(
                ctx: $crate::Context,
            ) -> ::std::result::Result<::std::vec::Vec<$crate::Descriptor>, $crate::Error> {
                <$plugin as $crate::McpAdapter>::list_tools(&ctx)
            }

            fn call_tool(
                ctx: $crate::Context,
                name: ::std::string::String,
                input: ::std::string::String,
            ) -> ::std::result::Result<$crate::Answer, $crate::Error> {
                <$plugin as $crate::McpAdapter>::call_tool(&ctx, &name, &input)
            }

            fn close() {
                <$plugin as $crate::McpAdapter>::close();
            }
        }

        #[cfg(not(target_arch = "wasm32"))]
        const _: FlowhostExport = FlowhostExport;

        #[cfg(target_arch = "wasm32")]
        #[expect(unsafe_code, reason = "the canonical ABI's exports are raw functions")]
        mod flowhost_export {
            use super::FlowhostExport;
            $crate::internal::mcp_adapter::export_mcp_adapter_role!(
                FlowhostExport with_types_in $crate::internal::mcp_adapter
            );
        }
    };
}
