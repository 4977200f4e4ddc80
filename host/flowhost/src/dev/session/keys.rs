//! What a person asks for by a key.

use super::Session;
use crate::dev::{Key, Told, Why};
use crate::failure::Failure;

impl Session<'_> {
    pub(super) fn key(&mut self, key: Key) -> Result<(), Failure> {
        self.face.pressed(key);
        match key {
            Key::Again => match self.project.clone() {
                Some(project) => self.start(project, Why::Again),
                None => Ok(()),
            },
            Key::Yes => match self.wider.take() {
                Some(project) => self.start(project, Why::Rights),
                None => Ok(()),
            },
            Key::No => {
                if self.wider.take().is_some() {
                    let message = "the rights stay as they were, and so do the plugins".to_owned();
                    self.face.tell(&Told::Said { message });
                }
                Ok(())
            }
            Key::Only => self.only(),
            Key::Back => self.back(),
            Key::Up | Key::Down => {
                self.face.refresh();
                Ok(())
            }
            Key::Open => {
                self.open();
                Ok(())
            }
            Key::Refresh => {
                self.face.refresh();
                Ok(())
            }
            // Ends the loop, before it comes here.
            Key::Quit => Ok(()),
        }
    }

    fn open(&mut self) {
        let message = match &self.report {
            Some(page) => format!("report: file://{}", page.display()),
            None => "the report is written when a run has ended; none has yet".to_owned(),
        };
        self.face.tell(&Told::Said { message });
        if let Some(page) = &self.report {
            self.ambient.open_page(page);
        }
    }
}
