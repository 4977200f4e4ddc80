//! Other builds of plugins in a living run, and the way back to those before.

use flowhost_run::{Member, Project, Run, RunState, Swapped};

use super::Session;
use crate::dev::change::Build;
use crate::dev::{Told, Why};
use crate::failure::Failure;

/// States of plugins that `b` can go back through. Each holds a component's bytes, some megabytes of them, and nobody
/// goes back further than he remembers.
const BACK_MAX: usize = 32;

/// A swap that was tried.
pub(super) struct Swap {
    run: Run,
    key: String,
    member: Box<Member>,
    /// Whether a person went back to it: then what was before it is not kept, or `b` would go in a circle.
    back: bool,
    done: Result<Swapped, Failure>,
}

impl Session<'_> {
    /// Puts these plugins of `project` into the living run; without one, begins a run with them.
    pub(super) fn swap(
        &mut self,
        project: Project,
        keys: &[String],
        why: Why,
    ) -> Result<(), Failure> {
        let back = why == Why::Back;
        // One that has ended takes nothing any more, also while its end is not heard yet.
        let living = self.living.as_ref();
        let Some(living) = living.filter(|it| it.run.state() != RunState::Ended) else {
            if !back {
                self.remember(keys);
            }
            return self.start(project, why);
        };
        for key in keys {
            let Some(member) = project.members.get(key) else {
                debug_assert!(false, "a changed plugin is one of the project's");
                continue;
            };
            let coming = Build::of(member);
            // The end of a build and the watch both bring it, and twice would be two revisions.
            if self.coming.insert(key.clone(), coming.clone()) == Some(coming) {
                continue;
            }
            let (run, key, member) = (living.run.clone(), key.clone(), Box::new(member.clone()));
            self.swaps.spawn(async move {
                let done = run.swap(&key, &member).await;
                Swap {
                    run,
                    key,
                    member,
                    back,
                    done,
                }
            });
        }
        Ok(())
    }

    pub(super) fn swapped(
        &mut self,
        done: Result<Swap, tokio::task::JoinError>,
    ) -> Result<(), Failure> {
        let Swap {
            run,
            key,
            member,
            back,
            done,
        } = match done {
            Ok(done) => done,
            Err(error) => {
                // Whose swap it was went with its task: all of them may be tried again.
                self.coming.clear();
                let message = format!("a swap was lost: {error}");
                self.face.tell(&Told::Said { message });
                return Ok(());
            }
        };
        // Another one may be on its way already, and stays noted.
        if self.coming.get(&key) == Some(&Build::of(&member)) {
            self.coming.remove(&key);
        }
        match done {
            Ok(swapped) => {
                if !back {
                    self.remember(std::slice::from_ref(&key));
                }
                let digest = member.inspection.digest.to_string();
                if let Some(project) = &mut self.project {
                    project.members.insert(key.clone(), *member);
                }
                self.face.tell(&Told::swapped(&key, &digest, &swapped));
            }
            Err(_) if run.state() == RunState::Ended => return self.missed(key, *member, back),
            Err(failure) => self.refuse(&failure),
        }
        Ok(())
    }

    /// What was to go into a run that has ended meanwhile is for the next one, if nothing newer has come: whoever saved
    /// it saves it once.
    fn missed(&mut self, key: String, member: Member, back: bool) -> Result<(), Failure> {
        let Some(mut project) = self.project.clone() else {
            debug_assert!(false, "what is swapped is a part of a project");
            return Ok(());
        };
        let now = project.members.get(&key);
        let is_new = now.is_some_and(|now| Build::of(now) != Build::of(&member));
        if !is_new || self.coming.contains_key(&key) {
            return Ok(());
        }
        project.members.insert(key.clone(), member);
        let why = match back {
            true => Why::Back,
            false => Why::Change,
        };
        self.swap(project, &[key], why)
    }

    /// Keeps what these plugins are now, for the way back.
    pub(super) fn remember(&mut self, keys: &[String]) {
        let members = self.project.iter().flat_map(|project| &project.members);
        let now: Vec<_> = members
            .filter(|(key, _)| keys.contains(key))
            .map(|(key, member)| (key.clone(), member.clone()))
            .collect();
        self.before.extend(now);
        let beyond = self.before.len().saturating_sub(BACK_MAX);
        self.before.drain(..beyond);
    }

    pub(super) fn back(&mut self) -> Result<(), Failure> {
        let (Some((key, member)), Some(mut project)) = (self.before.pop(), self.project.clone())
        else {
            let message = "no plugin has changed since the start, so none can go back".to_owned();
            self.face.tell(&Told::Said { message });
            return Ok(());
        };
        let Some(now) = project.members.get(&key) else {
            let message = format!("the plan has no plugin `{key}` any more");
            self.face.tell(&Told::Said { message });
            return Ok(());
        };
        // Its file still has what a person goes back from: the next look at it must not bring it in again.
        self.held_back.insert(key.clone(), Build::of(now));
        project.members.insert(key.clone(), member);
        // It had these rights before: going back asks nobody.
        self.swap(project, &[key], Why::Back)
    }
}
