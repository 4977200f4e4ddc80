//! Guest-side bindings of every import, made from `wit/`. Roles map `flowhost:types` to these, so one
//! error type travels through every interface. What a plugin does not call does not reach its component.

#![expect(
    missing_docs,
    reason = "generated from wit/, where the documentation stands"
)]

wit_bindgen::generate!({
    inline: "
        package flowhost:sdk;
        world imports {
            import flowhost:budget/budget@0.1.0;
            import flowhost:clock/clock@0.1.0;
            import flowhost:config/config@0.1.0;
            import flowhost:files/files@0.1.0;
            import flowhost:http/http@0.1.0;
            import flowhost:log/log@0.1.0;
            import flowhost:mcp-transport/mcp-transport@0.1.0;
            import flowhost:messaging/messaging@0.1.0;
            import flowhost:model/model@0.1.0;
            import flowhost:progress/progress@0.1.0;
            import flowhost:random/random@0.1.0;
            import flowhost:secrets/secrets@0.1.0;
            import flowhost:state/state@0.1.0;
            import flowhost:tools/tools@0.1.0;
            import flowhost:types/types@0.1.0;
        }
    ",
    path: [
        "wit/types/0.1.0",
        "wit/budget/0.1.0",
        "wit/clock/0.1.0",
        "wit/config/0.1.0",
        "wit/files/0.1.0",
        "wit/http/0.1.0",
        "wit/log/0.1.0",
        "wit/mcp-transport/0.1.0",
        "wit/messaging/0.1.0",
        "wit/model/0.1.0",
        "wit/progress/0.1.0",
        "wit/random/0.1.0",
        "wit/secrets/0.1.0",
        "wit/state/0.1.0",
        "wit/tools/0.1.0",
    ],
    world: "flowhost:sdk/imports",
    generate_all,
    generate_unused_types: true,
});
