//! Imports an interface of ours in a version that this host does not have (CAP-002).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer};

mod newer {
    //! Bindings of an interface that may exist one day.

    wit_bindgen::generate!({
        inline: "
            package flowhost:log@0.2.0;
            interface log { shout: func(message: string); }
            world guest { import log; }
        ",
    });
}

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    newer::flowhost::log::log::shout("hello");
    answer(&"written")
}

flowhost_test_guests::guest!(run);
