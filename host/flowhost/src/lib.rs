//! The host as a library: find, check and run plans, and read their evidence.
//!
//! The binary and whatever controls runs later call the same functions. Nothing in here knows the
//! command line; ambient authority comes in through [`ambient::Ambient`] alone.

pub mod alert_rules;
pub mod ambient;
pub mod component;
pub mod config;
pub mod dev;
pub mod doctor;
pub mod firsts;
pub mod fresh;
pub mod host;
pub mod identities;
pub mod kept;
pub mod keys;
pub mod locks;
pub mod logins;
pub mod loopback;
pub mod made_here;
pub mod models;
pub mod offers;
pub mod output;
pub mod plugin;
pub mod preflight;
pub mod project;
pub mod readiness;
pub mod remote;
pub mod report;
pub mod roots;
pub mod sender;
pub mod services;
pub mod shelf;
pub mod sources;
pub mod starter;
pub mod state;
pub mod telemetry;
pub mod worktree;

pub use flowhost_run::{failure, finding};
