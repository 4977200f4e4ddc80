//! MCP adapters: they speak MCP inside the sandbox over a transport that the host owns.

pub use bindings::exports::flowhost::roles::mcp_adapter::{
    More, Prompt, PromptArgument, PromptPage, PromptText, PromptTurn, ResourcePage,
    ResourceTemplate, Session, TemplatePage, ToolPage,
};

use crate::{Answer, Context, Error, ResourceContents};

/// Generated from `wit/roles`.
pub mod bindings {
    #![expect(
        missing_docs,
        reason = "generated from wit/, where the documentation stands"
    )]

    wit_bindgen::generate!({
        path: ["wit/types/0.1.0", "wit/roles/0.1.0"],
        world: "flowhost:roles/mcp-adapter-role",
        with: { "flowhost:types/types@0.1.0": crate::bindings::flowhost::types::types },
        pub_export_macro: true,
        export_macro_name: "export_mcp_adapter_role",
        default_bindings_module: "flowhost_sdk::internal::mcp_adapter",
        runtime_path: "wit_bindgen::rt",
    });
}

impl More {
    /// The end of a list.
    #[must_use]
    pub const fn end() -> Self {
        Self {
            next: String::new(),
            ttl_ms: None,
        }
    }
}

/// A component that speaks to one MCP server. Each call may be an instance of its own: what must
/// outlive [`McpAdapter::connect`] is `session.state`, and the host hands the session back. What a
/// server does not have, an adapter need not write.
pub trait McpAdapter {
    /// Connects and agrees on a protocol revision.
    ///
    /// # Errors
    /// [`Error::Transient`] when the server does not answer, [`Error::Failed`] when it speaks something else.
    fn connect(ctx: &Context, config: &str) -> Result<Session, Error>;

    /// A page of the server's tools; `cursor` is empty for the first.
    ///
    /// # Errors
    /// As [`McpAdapter::connect`].
    fn list_tools(ctx: &Context, session: &Session, cursor: &str) -> Result<ToolPage, Error>;

    /// Calls one tool of the server.
    ///
    /// # Errors
    /// As [`McpAdapter::connect`], and whatever the tool answers.
    fn call_tool(
        ctx: &Context,
        session: &Session,
        name: &str,
        input: &str,
    ) -> Result<Answer, Error>;

    /// A page of what can be read.
    ///
    /// # Errors
    /// As [`McpAdapter::connect`].
    fn list_resources(_: &Context, _: &Session, _cursor: &str) -> Result<ResourcePage, Error> {
        Ok(ResourcePage {
            resources: Vec::new(),
            more: More::end(),
        })
    }

    /// A page of addresses with values in them.
    ///
    /// # Errors
    /// As [`McpAdapter::connect`].
    fn list_resource_templates(
        _: &Context,
        _: &Session,
        _cursor: &str,
    ) -> Result<TemplatePage, Error> {
        Ok(TemplatePage {
            templates: Vec::new(),
            more: More::end(),
        })
    }

    /// What stands at an address.
    ///
    /// # Errors
    /// As [`McpAdapter::connect`]; [`Error::Invalid`] when there is nothing.
    fn read_resource(_: &Context, _: &Session, uri: &str) -> Result<Vec<ResourceContents>, Error> {
        Err(Error::invalid(format_args!("there is no resource `{uri}`")))
    }

    /// A page of the server's prompts.
    ///
    /// # Errors
    /// As [`McpAdapter::connect`].
    fn list_prompts(_: &Context, _: &Session, _cursor: &str) -> Result<PromptPage, Error> {
        Ok(PromptPage {
            prompts: Vec::new(),
            more: More::end(),
        })
    }

    /// A prompt with its values, an object of strings.
    ///
    /// # Errors
    /// As [`McpAdapter::connect`]; [`Error::Invalid`] when there is no such prompt.
    fn get_prompt(
        _: &Context,
        _: &Session,
        name: &str,
        _arguments: &str,
    ) -> Result<PromptText, Error> {
        Err(Error::invalid(format_args!("there is no prompt `{name}`")))
    }

    /// Ends the conversation.
    fn close(_session: &Session) {}
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
            ) -> ::std::result::Result<$crate::Session, $crate::Error> {
                <$plugin as $crate::McpAdapter>::connect(&ctx, &config)
            }

            fn list_tools(
                ctx: $crate::Context,
                session: $crate::Session,
                cursor: ::std::string::String,
            ) -> ::std::result::Result<$crate::ToolPage, $crate::Error> {
                <$plugin as $crate::McpAdapter>::list_tools(&ctx, &session, &cursor)
            }

            fn call_tool(
                ctx: $crate::Context,
                session: $crate::Session,
                name: ::std::string::String,
                input: ::std::string::String,
            ) -> ::std::result::Result<$crate::Answer, $crate::Error> {
                <$plugin as $crate::McpAdapter>::call_tool(&ctx, &session, &name, &input)
            }

            fn list_resources(
                ctx: $crate::Context,
                session: $crate::Session,
                cursor: ::std::string::String,
            ) -> ::std::result::Result<$crate::ResourcePage, $crate::Error> {
                <$plugin as $crate::McpAdapter>::list_resources(&ctx, &session, &cursor)
            }

            fn list_resource_templates(
                ctx: $crate::Context,
                session: $crate::Session,
                cursor: ::std::string::String,
            ) -> ::std::result::Result<$crate::TemplatePage, $crate::Error> {
                <$plugin as $crate::McpAdapter>::list_resource_templates(&ctx, &session, &cursor)
            }

            fn read_resource(
                ctx: $crate::Context,
                session: $crate::Session,
                uri: ::std::string::String,
            ) -> ::std::result::Result<::std::vec::Vec<$crate::ResourceContents>, $crate::Error> {
                <$plugin as $crate::McpAdapter>::read_resource(&ctx, &session, &uri)
            }

            fn list_prompts(
                ctx: $crate::Context,
                session: $crate::Session,
                cursor: ::std::string::String,
            ) -> ::std::result::Result<$crate::PromptPage, $crate::Error> {
                <$plugin as $crate::McpAdapter>::list_prompts(&ctx, &session, &cursor)
            }

            fn get_prompt(
                ctx: $crate::Context,
                session: $crate::Session,
                name: ::std::string::String,
                arguments: ::std::string::String,
            ) -> ::std::result::Result<$crate::PromptText, $crate::Error> {
                <$plugin as $crate::McpAdapter>::get_prompt(&ctx, &session, &name, &arguments)
            }

            fn close(session: $crate::Session) {
                <$plugin as $crate::McpAdapter>::close(&session);
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
