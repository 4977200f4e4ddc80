//! The sandbox from outside, with small hand-written hostile guests. Names carry the ids of the
//! adversarial catalogue.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod build;
#[cfg(test)]
mod capability;
#[cfg(test)]
mod dos;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod support;
