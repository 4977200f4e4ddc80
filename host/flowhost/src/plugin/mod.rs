//! An author's side of the program: a project is made, built and tried, and what comes out is a component
//! that any host can judge.
//!
//! Nothing here decides a right, and nothing that an author writes is run outside the sandbox but the
//! author's own compiler, in the author's own folder.

pub mod add;
pub mod build;
pub mod describe;
pub mod kit;
pub mod lang;
pub mod lock;
pub mod new;
mod programs;
pub mod project;
pub mod template;
mod trial;
pub mod trust;
pub mod vouched;

pub use build::{Built, build, wrap};
pub use lang::Lang;
pub use project::Project;
pub use template::Template;
