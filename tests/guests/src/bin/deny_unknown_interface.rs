//! Imports an interface that no host serves (CAP-001).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer};

mod acme {
    //! Bindings of an interface that only this guest knows.

    wit_bindgen::generate!({
        inline: "
            package acme:backdoor@1.0.0;
            interface shell { run: func(command: string) -> string; }
            world guest { import shell; }
        ",
    });
}

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    answer(&acme::acme::backdoor::shell::run("id"))
}

flowhost_test_guests::guest!(run);
